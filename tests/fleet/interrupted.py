"""
Runs of playbooks that lose their controller: `python -m tests.fleet.interrupted [PLAY…]`, by hand.

On one machine with everything, each play is begun and ansible-playbook killed as soon as a task has changed something.
The next run begins anew and is killed after the next other task that does, and so on, until one comes to its end; so
each task that changes something is the last of a run once. Meanwhile a visitor asks ten times a second. Prints what
came of each play, and exits with 1 if one did not end well.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.deployment import Deployment, Run
from tests.fleet.place import FleetError, Place
from tests.fleet.single import ZONE, Single

KILLED = -9
MOST_RUNS = 200  # more than any play has tasks that change something
VISITOR = Path(__file__).with_name("visitor.py")
_WHERE = re.compile(r"^killed after: (.*)$", re.MULTILINE)
_AGAIN = re.compile(r"^done again: (.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    What came of one play.

    :ivar killed_after: the tasks after which its runs were killed, in order.
    :ivar again: those of them that changed something once more in a later run.
    :ivar longest_seconds: the longest time in which the visitor was not served; None if it was served at no time.
    :ivar wrong: what a run said that neither was killed nor went well, or what is not as it should be at the end.
    """

    killed_after: Sequence[str]
    again: Collection[str]
    seconds: float
    longest_seconds: float | None
    wrong: str = ""


@dataclass(kw_only=True)
class Chain:
    """
    The runs of one play, so far.

    :ivar killed_after: as `Found` has it.
    :ivar again: as `Found` has it.
    :ivar wrong: what went wrong, if something did.
    """

    killed_after: list[str] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
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


def interrupt(play: Callable[[Mapping[str, str]], Run], is_well: Callable[[], bool], *, most: int = MOST_RUNS) -> Chain:
    """
    Run a play again and again, each run killed after a change by another task, until a run comes to its end.

    :param play: runs it, with more of Ansible's environment.
    :param is_well: whether all is as the play should leave it.
    :param most: how many runs there may be that are killed; the one after that is not.
    """
    chain = Chain()
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
        "ANSIBLE_CALLBACKS_ENABLED": "interrupt",
    }
    while True:
        before = {"WARP_INTERRUPT_NOT_AFTER": "\n".join(chain.killed_after)}
        run = play(environment | before if len(chain.killed_after) < most else {})
        chain.again.update(_AGAIN.findall(run.output))
        if run.returncode != KILLED:
            break
        chain.killed_after += _WHERE.findall(run.output)
    if run.returncode:
        last = chain.killed_after[-1:]
        chain.wrong = f"the run after {last} exited {run.returncode}: {run.output[-3000:]}"
    elif not is_well():
        chain.wrong = "the last run went well, and yet it is not as it should be"
    return chain


def nothing(fleet: Single) -> Sequence[str]:
    """Leave everything as it is."""
    return ()


def change_release(fleet: Single) -> Sequence[str]:
    """Make the checkout another release."""
    readme = fleet.checkout / "README.md"
    readme.write_text(f"{readme.read_text()}\nAnother release.\n")
    return ()


def release_of(fleet: Single, unit: str) -> str:
    """Return the directory of the release that a unit runs."""
    shown = fleet.hosts.execute(fleet.name, "systemctl", "show", "--property=ExecStart", "--value", unit)
    return shown.split()[1].removeprefix("path=").rpartition("/bin/")[0]


def serves(fleet: Single) -> bool:
    """Return whether a visitor is served, and no unit has failed."""
    failed = fleet.hosts.execute(fleet.name, "systemctl", "--failed", "--plain", "--no-legend")
    return "Hello from Warp" in fleet.visit(f"http://hello.{ZONE}/", edge=fleet.name) and not failed


def runs_one_release(fleet: Single) -> bool:
    """Return whether all services run one release."""
    releases = {release_of(fleet, unit) for unit in ("warp-edge", "warp-dns", "warp-agent@main")}
    return serves(fleet) and len(releases) == 1


def runs_the_older(fleet: Single) -> bool:
    """Return whether all services run the release that was the first of two to serve."""
    found = fleet.hosts.execute(fleet.name, "sh", "-c", "ls -1tr /opt/warp/releases/*/.good").split()
    return runs_one_release(fleet) and release_of(fleet, "warp-edge") == found[0].removesuffix("/.good")


def has_one_root(fleet: Single) -> bool:
    """Return whether everybody trusts the root of now alone, and earlier ones are put aside."""
    directory = fleet.inventory / "secrets/ca"
    root = (directory / "root.pem").read_text()
    trusted = (fleet.hosts.execute(fleet.name, "cat", path) for path in ROOTS)
    return serves(fleet) and {*trusted} == {root} and not {*directory.iterdir()} & {directory / name for name in PARTS}


def backups(fleet: Single) -> list[Path]:
    """Return the directories of backups, whole or not, in the order of their making."""
    return sorted((fleet.inventory / "backups" / fleet.name).iterdir())


def has_whole_backups(fleet: Single) -> bool:
    """Return whether there are backups, each with all that it needs."""
    found = [{path.name for path in backup.iterdir()} for backup in backups(fleet)]
    return serves(fleet) and bool(found) and all(names == {"registry.sqlite", "zone.serial"} for names in found)


def back_up(fleet: Single) -> Sequence[str]:
    """Make a join token, a backup that has it, and another token; return how that backup is restored."""
    fleet.hosts.execute(fleet.name, "warp", "token", "create", "--hostname", f"before.{ZONE}")
    fleet.play("playbooks/backup.yml", f"--inventory={fleet.inventory}").check()
    fleet.hosts.execute(fleet.name, "warp", "token", "create", "--hostname", f"after.{ZONE}")
    return "--limit", fleet.name, "--extra-vars", f"backup={backups(fleet)[-1]}"


def has_what_was_backed_up(fleet: Single) -> bool:
    """Return whether the registry has the token from before the backup, and not the one from after it."""
    tokens = fleet.hosts.execute(fleet.name, "warp", "token", "list", "--json")
    return serves(fleet) and f"before.{ZONE}" in tokens and f"after.{ZONE}" not in tokens


@dataclass(frozen=True, kw_only=True)
class Play:
    """
    One play.

    :ivar arguments: of ansible-playbook.
    :ivar before: what is done before; it may return more arguments.
    :ivar is_well: whether all is as the play should leave it.
    :ivar is_settled: whether a run after one that came to its end changes nothing.
    """

    arguments: Sequence[str]
    before: Callable[[Single], Sequence[str]] = nothing
    is_well: Callable[[Single], bool] = serves
    is_settled: bool = True


ROOTS = ("/etc/warp/ca/root.pem", "/var/lib/warp-agent/main/root.pem")
PARTS = ("next", "previous", "leaving")  # of a change of the root
CONFIGURED = '{"warp_edge_limits": {"head_bytes": 20000}, "warp_firewall_bans": true}'
UPGRADE = "playbooks/upgrade.yml"
# Each finds what the one before it has left.
PLAYS = {
    "fresh": Play(arguments=("site.yml",), is_well=runs_one_release),
    "configure": Play(arguments=("site.yml", "--extra-vars", CONFIGURED)),
    "configure-back": Play(arguments=("site.yml",)),
    "upgrade": Play(arguments=(UPGRADE,), before=change_release, is_well=runs_one_release),
    "rollback": Play(arguments=(UPGRADE, "--extra-vars", '{"warp_rollback": true}'), is_well=runs_the_older),
    "rotate-ca": Play(arguments=("playbooks/rotate-ca.yml",), is_well=has_one_root, is_settled=False),
    "backup": Play(arguments=("playbooks/backup.yml",), is_well=has_whole_backups, is_settled=False),
    "restore": Play(
        arguments=("playbooks/restore.yml",), before=back_up, is_well=has_what_was_backed_up, is_settled=False
    ),
}


def try_play(fleet: Single, name: str) -> Found:
    """Run one of PLAYS, interrupted, with a visitor."""
    it = PLAYS[name]
    arguments = (*it.arguments, f"--inventory={fleet.inventory}", *it.before(fleet))
    begun = time.monotonic()
    visitor = Visitor(fleet, fleet.hosts.address(fleet.name), f"hello.{ZONE}")

    def play(environment: Mapping[str, str]) -> Run:
        run = fleet.play(*arguments, environment=environment)
        print(*(f"killed after: {task}" for task in _WHERE.findall(run.output)), flush=True)
        return run

    chain = interrupt(play, lambda: it.is_well(fleet))
    seconds = time.monotonic() - begun
    counted = visitor.found()
    if it.is_settled and not chain.wrong:
        again = fleet.play(*arguments)
        if again.returncode or again.changes:
            chain.wrong = f"the same again changes {again.changes}: {again.output[-3000:]}"
    return Found(
        killed_after=chain.killed_after,
        again=chain.again,
        seconds=seconds,
        longest_seconds=counted["longest_seconds"] if counted["answered"] else None,
        wrong=chain.wrong,
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
        print(*(f"  done again: {task}\n" for task in sorted(found.again)), sep="", end="", flush=True)
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
