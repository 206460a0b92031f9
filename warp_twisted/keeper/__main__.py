"""
`warp-keeper`, or `python -m warp_twisted.keeper`: the main process of a unit, and how `systemctl reload` asks it.

This reads options, environment and the wall clock; the keeper itself is `loop`.
"""

import argparse
import json
import os
import socket
import stat
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from warp_twisted.errors import WarpError
from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.asking import ask
from warp_twisted.keeper.loop import Keeper
from warp_twisted.keeper.messages import Message
from warp_twisted.keeper.renewal import STATE_FD, Kept, read
from warp_twisted.keeper.times import WATCH_SECONDS

EXAMPLES = """
examples:
  warp-keeper run --control /run/warp-edge/keeper.sock -- \\
      /opt/warp/releases/0.1.0/bin/twistd --nodaemon --pidfile= warp-edge --config /etc/warp/edge.yaml
  warp-keeper reload --control /run/warp-edge/keeper.sock -- COMMAND   (as ExecReload=)

`run` starts COMMAND with the sockets of systemd and hands over to another process of it when it is asked to. `reload`
has the process read its configuration again; if that is not enough, or COMMAND or this Python is another than the
keeper's, a new process takes over. It waits for the end and says what happened: status 0, or 1 and the old one serves.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, or ask; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)  # argparse would take the command's options for ours
    options, command = _parser().parse_args(given[:end]), tuple(given[end + 1 :])
    if not command or not os.path.isabs(command[0]):
        print("warp-keeper: COMMAND: expected a program with its whole path, after --", file=sys.stderr)
        return 2
    launch = Launch(sys.executable, command, options.starts_with)
    try:
        return _run(options, launch) if options.what == "run" else _reload(options.control, launch)
    except (WarpError, OSError) as error:
        print(f"warp-keeper: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warp-keeper",
        usage="%(prog)s {run,reload} [--control SOCKET] -- COMMAND...",
        description="Keep a serving process, and hand over to the next one without turning anybody away.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["run", "reload"])
    parser.add_argument("--control", default="", metavar="SOCKET", help="where operators ask; without it nobody can")
    parser.add_argument(
        "--starts-with",
        default="",
        metavar="TEXT",
        help="what else the process starts with, in short: at a reload with another TEXT a new process takes over",
    )
    parser.add_argument(
        "--watch",
        type=float,
        default=WATCH_SECONDS,
        metavar="SECONDS",
        help="for so long the old process would resume, should the new one end (default: %(default)g)",
    )
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # of `renewal`
    return parser


def _run(options: argparse.Namespace, launch: Launch) -> int:
    kept = _take_state()
    if options.check:
        return 0
    if kept is not None:
        kept.have()
    environment = {name: value for name, value in os.environ.items() if name != STATE_FD}
    keeper = Keeper(
        launch=launch,
        control=options.control,
        environment=environment,
        own_command=lambda launch, is_check: own_command(options, launch, is_check=is_check),
        log=say,
        kept=kept,
        watch_seconds=options.watch,
    )
    return keeper.run()


def _take_state() -> Kept | None:
    """Return what the program before this one left, if this process was one."""
    descriptor = os.environ.get(STATE_FD, "")
    if not descriptor.isdigit():
        return None
    kept = read(int(descriptor))
    os.close(int(descriptor))
    return kept


def own_command(options: argparse.Namespace, launch: Launch, *, is_check: bool) -> list[str]:
    """Return how the keeper of a launch is started."""
    check = ["--check"] if is_check else []
    own = ["run", "--control", options.control, "--watch", str(options.watch), "--starts-with", launch.mark]
    return [launch.python, "-P", "-m", "warp_twisted.keeper", *own, *check, "--", *launch.command]


def _reload(control: str, launch: Launch) -> int:
    request = Message("do", "reload", {"python": launch.python, "command": launch.command, "mark": launch.mark})
    answer = ask(control, request, step=print)
    print(answer.text("what"))
    return 0


def say(level: str, message: str) -> None:
    """Write a line of the log, in the form that the services' own have; a reader who does not read it misses it."""
    at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"at": at, "level": level, "logger": "warp_twisted.keeper", "message": message}) + "\n"
    try:
        if stat.S_ISSOCK(os.fstat(1).st_mode):  # the journal
            with socket.socket(fileno=os.dup(1)) as journal:
                journal.send(line.encode(), socket.MSG_DONTWAIT)
        else:
            os.write(1, line.encode())
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
