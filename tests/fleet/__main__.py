"""
The test hosts by hand: `python -m tests.fleet up edge1 ns1`, `exec edge1 journalctl -b`, `down`.

For looking at a host that a test left behind. `ssh -F /var/tmp/warp-fleet/ssh_config edge1` works as well.
"""

import os
import sys

from tests.fleet.hosts import Hosts, require_machine
from tests.fleet.place import FleetError, Place

USAGE = "usage: python -m tests.fleet check | up HOST… | halt HOST… | exec HOST COMMAND… | net COMMAND… | list | down"


def main(arguments: list[str]) -> int:
    hosts = Hosts(Place())
    match arguments:
        case ["check"]:
            require_machine()
        case ["up", *names] if names:
            hosts.up(*names)
        case ["halt", *names] if names:
            for name in names:
                hosts.halt(name)
        case ["exec", name, *command] if command:
            os.execvp("sh", hosts.inside(name, *command))
        case ["net", *command] if command:
            os.execvp("sh", hosts.beside(*command))
        case ["list"]:
            for name in hosts.names:
                print(name, hosts.address(name), "up" if hosts.is_running(name) else "off", sep="\t")
        case ["down"]:
            hosts.down()
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FleetError as error:
        sys.exit(f"tests.fleet: {error}")
