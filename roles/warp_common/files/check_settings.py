"""
Say whether this checkout's Warp would take a configuration: `check_settings.py edge|agent|dns|records|policy <FILE`.

Run on the controller before anything changes on a host. It looks at keys, types and bounds; files that the
configuration names are looked at on the host, when they are there. Records come with their zone: `{"zone": an item of
zones in dns.yaml, "records": the master file's text}`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from warp_dns.errors import DnsError
from warp_dns.program.configuration import read_configuration
from warp_dns.settings import ZoneSettings
from warp_dns.zone.master import static_records
from warp_twisted.agent.settings import read_agent_settings
from warp_twisted.edge.settings import read_edge_settings
from warp_twisted.errors import WarpError
from warp_twisted.policy.document.policy import parse_policy


class Records(msgspec.Struct):
    """A zone and its own records."""

    zone: ZoneSettings
    records: str


def read_records(path: str) -> object:
    """Read the records; what is wrong with them is said with the name of the role's variable and the line."""
    given = msgspec.json.decode(Path(path).read_bytes(), type=Records)
    zone = msgspec.structs.replace(given.zone, master_file="warp_edge_dns_records")
    return static_records(zone, given.records.encode())


def read_policy(path: str) -> object:
    """Read a policy; what is wrong with it is said with the key's path."""
    return parse_policy(Path(path).read_bytes(), path)


READERS: dict[str, Callable[[str], object]] = {
    "agent": read_agent_settings,
    "dns": read_configuration,
    "edge": read_edge_settings,
    "policy": read_policy,
    "records": read_records,
}

if __name__ == "__main__":
    try:
        READERS[sys.argv[1]]("/dev/stdin")
    except (WarpError, DnsError) as error:
        sys.exit(str(error).removeprefix("/dev/stdin").lstrip(": "))
