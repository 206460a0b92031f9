"""
Say whether this checkout's Warp would take a configuration: `check_settings.py edge|agent|dns <FILE`.

Run on the controller before anything changes on a host. It looks at keys, types and bounds; files that the
configuration names are looked at on the host, when they are there.
"""

import sys
from collections.abc import Callable

from warp_dns.configuration import read_configuration
from warp_dns.errors import DnsError
from warp_twisted.agent.settings import read_agent_settings
from warp_twisted.edge.settings import read_edge_settings
from warp_twisted.errors import WarpError

READERS: dict[str, Callable[[str], object]] = {
    "agent": read_agent_settings,
    "dns": read_configuration,
    "edge": read_edge_settings,
}

if __name__ == "__main__":
    try:
        READERS[sys.argv[1]]("/dev/stdin")
    except (WarpError, DnsError) as error:
        sys.exit(str(error).removeprefix("/dev/stdin").lstrip(": "))
