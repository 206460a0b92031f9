"""`python -m tests.fresh [--due]`: try the committed tree on a fresh machine, or say whether that is due."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.fleet.place import FleetError
from tests.fresh.machine import take_over
from tests.fresh.stamp import Stamp, committed
from tests.fresh.tree import base_tree
from tests.fresh.trial import STEPS, take_steps

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = Path(os.environ.get("WARP_FRESH_DIR", "/var/tmp/warp-fresh"))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description=__doc__)
    parser.add_argument("--due", action="store_true", help="exit with 0 if it has yet to pass here, and can run")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="what make is asked for, instead of all")
    given = parser.parse_args(arguments)
    stamp, now = Stamp(DIRECTORY), committed(ROOT)
    if given.due:
        # Where no fresh tree can be made, tests and checks run as they are.
        return 0 if os.geteuid() == 0 and Path("/etc/debian_version").exists() and stamp.is_due(now) else 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if os.geteuid() != 0:
            raise FleetError("a fresh Debian tree is made and entered by root; run this as root")
        print("Making a Debian tree with git, make and python3 alone, if there is none of this week", flush=True)
        tree = base_tree(DIRECTORY)
        verdict = take_steps(tree, ROOT, given.steps or STEPS, lambda upper: take_over(upper, os.environ))
    except FleetError as error:
        print(f"fresh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fresh: interrupted", file=sys.stderr)
        return 130
    print("\n".join(["", "On a fresh machine:", *verdict.lines, verdict.line()]), flush=True)
    if verdict.is_good and not given.steps:
        stamp.passed(now)
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
