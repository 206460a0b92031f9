"""
Tests on hosts, in two halves at once: what `make test-fleet` runs, `python -m tests.fleet.side_by_side [MODULE]...`.

Each half is a trial of its own, on a fleet of its own, whose playbooks are run with the oldest ansible-core that is
promised, and with the newest. A deployment waits for one host after another, so two of them
take little longer than one. What a half prints of a module is shown when the module has ended, in one piece, and the
counts of both are added up in the last line. Whatever ends the run takes both fleets down.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.fleet.controllers import NEWEST, OLDEST
from tests.fleet.hosts import Hosts, require_machine
from tests.fleet.place import FleetError, Group, Place, unified_hierarchy
from tests.run import Outcome, read_outcome, verdict

HERE = Path(__file__).parent
# Whose tests look at every run of a deployment: in one half, so that the other deploys its fleet by one run.
LOOK_AT_RUNS = ("fleet_deploy", "fleet_secrets")
# About what each module takes by itself on two cores, from the plays that it runs and what it waits for; without the
# making of the fleet, which each half has once (its check and its second run are counted with fleet_deploy). A run
# prints what its modules took: correct these when you add plays.
SECONDS: dict[str, float] = {
    "fleet_agents": 180, "fleet_authority": 455, "fleet_backup": 150, "fleet_canary": 240, "fleet_deploy": 315,
    "fleet_document": 130, "fleet_edges": 540, "fleet_faults": 140, "fleet_firewall": 130, "fleet_handover": 260,
    "fleet_interrupted": 110, "fleet_one_host": 230, "fleet_outage": 80,
    "fleet_policy": 380, "fleet_reboot": 55, "fleet_registry": 300, "fleet_releases": 150,
    "fleet_restarts": 95, "fleet_secrets": 50, "fleet_upgrade": 400, "fleet_visits": 50,
}  # fmt: skip
MIDDLING_SECONDS = 120.0  # of a module that is not there
END_SECONDS = 10.0
_HEADING = re.compile(r"tests\.fleet\.(\w+)\n")


def halves(
    modules: Iterable[str], seconds: Mapping[str, float], together: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """
    Share modules out so that both halves take about as long: the longest first, each to whoever has less to do.

    :param seconds: module → how long it took.
    :param together: modules that are to be in the same half.
    :returns: the modules of each half, in order of the alphabet.
    """
    wanted = set(modules)
    lots = [lot for lot in (wanted & set(together), *({module} for module in wanted - set(together))) if lot]
    weights = [(sum(seconds.get(module, MIDDLING_SECONDS) for module in lot), sorted(lot)) for lot in lots]
    shares: tuple[list[str], list[str]] = ([], [])
    loads = [0.0, 0.0]
    for weight, lot in sorted(weights, key=lambda each: (-each[0], each[1])):
        least = loads.index(min(loads))
        shares[least].extend(lot)
        loads[least] += weight
    return sorted(shares[0]), sorted(shares[1])


class Pieces:
    """
    What a trial prints, cut into one piece a module.

    :ivar module: whose output comes now, or None before the first.
    """

    def __init__(self) -> None:
        self.module: str | None = None
        self._lines: list[str] = []

    def take(self, line: str) -> tuple[str | None, str] | None:
        """Take a line; if it begins another module, return the one that ended, and all of its output."""
        ended = None
        if found := _HEADING.fullmatch(line):
            ended = self.rest()
            self.module = found[1]
        self._lines.append(line)
        return ended

    def rest(self) -> tuple[str | None, str]:
        """Return the module that is not followed by another, and its output."""
        text = "".join(self._lines)
        self._lines.clear()
        return self.module, text


@dataclass(frozen=True, kw_only=True)
class Half:
    """
    One half of the run.

    :ivar command: a trial with the verbose reporter.
    :ivar take_down: ends all that the half started and left behind.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    take_down: Callable[[], None]


class Running:
    """A half that runs, and the thread that reads what it prints."""

    _printing = threading.Lock()

    def __init__(self, half: Half) -> None:
        self.half = half
        self._said: list[str] = []
        self._begun = time.monotonic()
        self.trial = subprocess.Popen(
            half.command,
            env={**os.environ, **half.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def finish(self) -> tuple[Outcome, int]:
        """Wait for the end, and return what it came to, and the exit status."""
        returncode = self.trial.wait()
        self._reader.join(END_SECONDS)
        outcome = read_outcome(self._said)
        if returncode and not outcome.failed:
            outcome.failed = 1
        return outcome, returncode

    def end(self) -> None:
        """End the trial, if it still runs, and what it has left."""
        self.trial.terminate()
        try:
            self.trial.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.trial.kill()
            self.trial.wait()
        self._reader.join(END_SECONDS)  # so that its last piece is not mixed with what is said next

    def _read(self) -> None:
        assert self.trial.stdout is not None
        pieces = Pieces()
        for line in self.trial.stdout:
            self._said.append(line)
            before = pieces.module
            self._show(pieces.take(line))
            if pieces.module != before:
                self._print(f"== {time.strftime('%T')} {self.half.name} begins {pieces.module}\n")
        self._show(pieces.rest())

    def _show(self, piece: tuple[str | None, str] | None) -> None:
        if piece is None or not piece[1].strip():
            return
        module, text = piece
        now = time.monotonic()
        took = f"== {module}, on {self.half.name}: {now - self._begun:.0f} s\n" if module else ""
        self._begun = now
        self._print(f"{text.rstrip()}\n{took}")

    def _print(self, text: str) -> None:
        with self._printing:
            sys.stdout.write(text)
            sys.stdout.flush()


def run(both: Sequence[Half], *, skips_fail: bool) -> int:
    """
    Run the halves beside each other to their end, show what they print, and end with one line of counts.

    :param skips_fail: true in CI.
    :returns: the exit status; 1 when it was interrupted, by a signal to this process or from the keyboard.
    """

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    running: list[Running] = []
    total, status = Outcome(), 0
    try:
        for half in both:
            running.append(Running(half))
        for one in running:
            outcome, returncode = one.finish()
            total.passed += outcome.passed
            total.failed += outcome.failed
            total.skipped += outcome.skipped
            total.skips += outcome.skips
            status = max(status, verdict(outcome, returncode, skips_fail=skips_fail))
    except KeyboardInterrupt:
        print("== interrupted", flush=True)
        total.failed += 1
        status = 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what follows is short, and is not to be left halfway
        for one in running:
            one.end()
        for half in both:
            try:
                half.take_down()
            except FleetError as error:
                print(f"== {half.name} was not taken down: {error}", flush=True)
                total.failed += 1
                status = 1
        signal.signal(signal.SIGTERM, before)
    print()
    for test, reason in total.skips:
        print(f"skipped: {test}: {reason}")
    print(total.line(), flush=True)
    return status


def half_of(place: Place, controller: str, modules: Sequence[str], *, keep: bool) -> Half:
    """
    Describe the half that tests these modules on a fleet at a place.

    :param controller: which ansible-core its playbooks are run with.
    :param keep: leave the hosts, to look at.
    """
    group = Group(unified_hierarchy() / f"{place.name}-tests")
    trial = (sys.executable, "-m", "twisted.trial", "--reporter=verbose", "--rterrors")
    where = {
        "WARP_FLEET_NAME": place.name,
        "WARP_FLEET_DIR": str(place.directory),
        "WARP_FLEET_SHARED": str(place.shared),
        "WARP_FLEET_CONTROLLER": controller,
    }
    if not set(LOOK_AT_RUNS) & set(modules):
        where["WARP_FLEET_RUNS"] = "first"

    def take_down() -> None:
        group.end()
        if keep:
            shown = " ".join(f"{name}={value}" for name, value in where.items())
            print(f"== its hosts are kept, to look at: {shown} python -m tests.fleet list", flush=True)
        else:
            Hosts(place).down()

    return Half(
        name=place.name,
        command=group.joining(*trial, *(f"tests.fleet.{module}" for module in modules)),
        environment=where,
        take_down=take_down,
    )


def main(arguments: Sequence[str]) -> int:
    """Run modules of tests on hosts: those that are named, or all."""
    modules = [path.stem for path in HERE.glob("fleet_*.py")]
    if unknown := sorted(set(arguments) - set(modules)):
        print(f"no module of tests on hosts: {', '.join(unknown)}; there are {', '.join(sorted(modules))}")
        return 1
    require_machine()
    first = Place()
    second = Place(
        name=f"{first.name}2",
        directory=first.directory.with_name(f"{first.directory.name}2"),
        shared=first.shared,
    )
    places = (first, second)
    for place in places:
        Group(unified_hierarchy() / f"{place.name}-tests").end()  # of a run that was killed
        Hosts(place).down()
    shares = halves(arguments or modules, SECONDS, LOOK_AT_RUNS)
    keep = bool(os.environ.get("WARP_FLEET_KEEP"))
    in_ci = os.environ.get("CI", "") not in ("", "0", "false")
    both = zip(places, (OLDEST, NEWEST), shares, strict=True)
    return run([half_of(place, which, share, keep=keep) for place, which, share in both], skips_fail=in_ci)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except FleetError as error:
        sys.exit(f"tests.fleet: {error}")
