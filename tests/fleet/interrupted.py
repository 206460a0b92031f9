"""
Runs of playbooks that lose their controller: `python -m tests.fleet.interrupted [PLAY…]`, by hand.

On one machine with everything, each play is begun and ansible-playbook killed as soon as a task has changed something.
The next run begins anew and is killed after the next such task, and so on, until one is left nothing to change; so each
task that changes something is the last of a run once. Meanwhile a visitor asks ten times a second. Prints what came of
each play, and exits with 1 if one did not end well.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.deployment import Deployment, Run
from tests.fleet.place import FleetError, Place
from tests.fleet.single import ZONE, Single

KILLED = -9
# More than any play has tasks that change something: one that changes something in every run would never end.
MOST_RUNS = 120
VISITOR = Path(__file__).with_name("visitor.py")
_WHERE = re.compile(r"^killed after: (.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    What came of one play.

    :ivar killed_after: the tasks after which its runs were killed, in order.
    :ivar longest_seconds: the longest time in which the visitor was not served; None if it was served at no time.
    :ivar wrong: what a run said that neither was killed nor went well, or what is not as it should be at the end.
    """

    killed_after: Sequence[str]
    seconds: float
    longest_seconds: float | None
    wrong: str = ""


class Visitor:
    """The visitor, from now until it is asked what it found."""

    def __init__(self, fleet: Deployment, address: str, hostname: str) -> None:
        command = fleet.hosts.beside(sys.executable, str(VISITOR), address, hostname)
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def found(self) -> Mapping[str, float]:
        """End it, and return what it counted."""
        text, _ = self._program.communicate("\n", timeout=30)
        counted: Mapping[str, float] = json.loads(text)
        return counted


def interrupt(
    play: Callable[[Mapping[str, str]], Run], is_well: Callable[[], bool], *, most: int = MOST_RUNS
) -> tuple[list[str], str]:
    """
    Run a play again and again, each run killed after its first change, until a run has nothing to change.

    :param play: runs it, with more of Ansible's environment.
    :param is_well: whether all is as the play should leave it.
    :param most: how many runs there may be that are killed; the one after that is not.
    :returns: the tasks after which runs were killed, and what went wrong, if something did.
    """
    killed: list[str] = []
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
        "ANSIBLE_CALLBACKS_ENABLED": "interrupt",
        "WARP_INTERRUPT_AFTER": "1",
    }
    while True:
        run = play(environment if len(killed) < most else {})
        if run.returncode != KILLED:
            break
        killed += _WHERE.findall(run.output)
    if run.returncode:
        return killed, f"the run after {killed[-1:]} exited {run.returncode}: {run.output[-3000:]}"
    if most == MOST_RUNS and len(killed) == MOST_RUNS:
        return killed, f"every run changes something: {killed[-3:]}"
    return killed, "" if is_well() else "the last run went well, and yet it is not as it should be"


def change_release(fleet: Single) -> None:
    """Make the checkout another release."""
    readme = fleet.checkout / "README.md"
    readme.write_text(f"{readme.read_text()}\nAnother release.\n")


def nothing(fleet: Single) -> None:
    """Leave everything as it is."""


# Name → what is done before, and the arguments of ansible-playbook. Each finds what the one before it has left.
PLAYS: dict[str, tuple[Callable[[Single], None], tuple[str, ...]]] = {
    "fresh": (nothing, ("site.yml",)),
    "configure": (
        nothing,
        ("site.yml", "--extra-vars", '{"warp_edge_limits": {"head_bytes": 20000}, "warp_firewall_bans": true}'),
    ),
    "configure-back": (nothing, ("site.yml",)),
    "upgrade": (change_release, ("playbooks/upgrade.yml",)),
    "rollback": (nothing, ("playbooks/upgrade.yml", "--extra-vars", '{"warp_rollback": true}')),
    "rotate-ca": (nothing, ("playbooks/rotate-ca.yml",)),
    "backup": (nothing, ("playbooks/backup.yml",)),
}


def try_play(fleet: Single, name: str) -> Found:
    """Run one of PLAYS, interrupted, with a visitor."""
    before, arguments = PLAYS[name]
    before(fleet)
    hostname = f"hello.{ZONE}"
    begun = time.monotonic()
    visitor = Visitor(fleet, fleet.hosts.address(fleet.name), hostname)

    def is_well() -> bool:
        failed = fleet.hosts.execute(fleet.name, "systemctl", "--failed", "--plain", "--no-legend")
        return "Hello from Warp" in fleet.visit(f"http://{hostname}/", edge=fleet.name) and not failed

    inventory = f"--inventory={fleet.inventory}"

    def play(environment: Mapping[str, str]) -> Run:
        run = fleet.play(arguments[0], inventory, *arguments[1:], environment=environment)
        print(*(f"killed after: {task}" for task in _WHERE.findall(run.output)), flush=True)
        return run

    killed, wrong = interrupt(play, is_well)
    seconds = time.monotonic() - begun
    counted = visitor.found()
    return Found(
        killed_after=killed,
        seconds=seconds,
        longest_seconds=counted["longest_seconds"] if counted["answered"] else None,
        wrong=wrong,
    )


def main(names: Sequence[str]) -> int:
    """Try plays, and print what came of each."""
    if unknown := [name for name in names if name not in PLAYS]:
        print(f"interrupted: no play {', '.join(unknown)}; there are {', '.join(PLAYS)}", file=sys.stderr)
        return 2
    fleet = Single(Place(), "broken1")
    status = 0
    if not names or "fresh" in names:
        fleet.hosts.down()
        fleet.copy_checkout()
    fleet.prepare()
    if names and "fresh" not in names:
        fleet.play("site.yml", f"--inventory={fleet.inventory}").check()
    for name in names or PLAYS:
        found = try_play(fleet, name)
        without = "never served" if found.longest_seconds is None else f"{found.longest_seconds} s"
        killed = len(found.killed_after)
        print(f"\n{name}: {killed} runs killed, {found.seconds:.0f} s, longest without service: {without}", flush=True)
        if found.wrong:
            print(f"  WRONG: {found.wrong}")
            status = 1
            break
    if not os.environ.get("WARP_FLEET_KEEP"):
        fleet.hosts.down()
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FleetError as error:
        sys.exit(f"tests.fleet: {error}")
