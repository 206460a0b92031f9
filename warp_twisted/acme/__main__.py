"""
`python -m warp_twisted.acme`: the issuing process. The edge starts it where `acme` is configured; by hand, with
`--once`, it does what is due and ends.

This reads options and names the clock; the work is in `issuing`.
"""

import argparse
import fcntl
import random
import sys
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

from twisted.logger import Logger, globalLogBeginner

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.nonblocking_writer import stream_sink
from warp_dns.program.log_lines import LogLines, as_text
from warp_twisted.acme.admin_socket import AdminSocket
from warp_twisted.acme.authority import Authority
from warp_twisted.acme.edge_line import EdgeLine
from warp_twisted.acme.errors import DoorRefused, EdgeGone
from warp_twisted.acme.issuing import Issuing, Tools
from warp_twisted.acme.proving import Proving
from warp_twisted.acme.sealing import open_sealed
from warp_twisted.acme.visible import await_visible
from warp_twisted.errors import WarpError

DOOR_SECONDS = 5.0  # before the edge is asked again that did not answer
HELD_SECONDS = 2.0  # before it is tried again to be the only issuing process of this edge

_log = Logger()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until the edge is gone, or once."""
    parser = argparse.ArgumentParser(
        prog="python -m warp_twisted.acme", description="Order the certificates that an edge wants."
    )
    parser.add_argument("--admin", required=True, metavar="SOCKET", help="the edge's admin socket")
    parser.add_argument("--key", required=True, metavar="FILE", help="the key that opens what is sealed for this edge")
    parser.add_argument("--once", action="store_true", help="do what is due, and end")
    options = parser.parse_args(arguments)
    globalLogBeginner.beginLoggingTo([LogLines(stream_sink(sys.stderr), as_text)], redirectStandardIO=False)
    line = EdgeLine(sys.stdin.fileno())
    try:
        with open(options.key, "rb") as key:
            _hold(key, line)
            _run(options, key.read(), line)
    except EdgeGone:
        sys.exit(0)
    except (WarpError, OSError, ValueError) as error:
        print(f"warp_twisted.acme: {error}", file=sys.stderr)
        sys.exit(1)


def _hold(key: BinaryIO, line: EdgeLine) -> None:
    """Wait until this is the only issuing process of the edge: two would hold its lock by the same name."""
    while True:
        try:
            fcntl.flock(key, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            line.pause(HELD_SECONDS)


def _run(options: argparse.Namespace, key: bytes, line: EdgeLine) -> None:
    door = AdminSocket(options.admin)
    tools = Tools(
        door=door,
        proving=Proving(door, await_visible, line.pause),
        open_sealed=partial(open_sealed, key),
        connect=Authority,
        wall=MACHINE_WALL_CLOCK,
        pause=line.pause,
        draw=random.SystemRandom().random,
    )
    issuing = Issuing(tools)
    while True:
        try:
            seconds = issuing.look()
        except DoorRefused as error:
            if options.once:
                raise
            _log.info("{error}", error=str(error))
            seconds = DOOR_SECONDS
        if options.once:
            return
        line.wait(seconds)


if __name__ == "__main__":
    main()
