"""One row: load, the fault, and waiting until everybody is served again."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.fleet.deployment import ORIGINS, ZONE, Deployment
from tests.fleet.faults.measure import Figures, Sample, figures, is_calm
from tests.fleet.faults.table import Fault
from tests.fleet.faults.wrecks import Wrecks
from tests.fleet.place import FleetError

CALM_SECONDS = 3.0
NOTICE_SECONDS = CALM_SECONDS + 1.0  # until what went wrong at once has been told, and nothing from before counts
LIMIT_SECONDS = 150.0  # until it is said that something does not come back
TUNNELS = 4 * len(ORIGINS)


class Load:
    """Visitors and resolvers, from entering to leaving."""

    def __init__(self, fleet: Deployment, rate: float) -> None:
        self._samples: list[Sample] = []
        self._read_bytes = 0
        self._output = fleet.hosts.place.directory / "samples.jsonl"
        program = Path(__file__).with_name("visitors.py")
        servers = [fleet.hosts.address(name) for name in ("edge1", "ns1")]
        self._command = fleet.hosts.beside(
            sys.executable, str(program), f"app.{ZONE}", str(rate), fleet.hosts.address("edge1"), *servers
        )

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._program = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=output)
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(60)

    def samples(self) -> list[Sample]:
        """Return all that has ended until now."""
        with self._output.open("rb") as output:
            output.seek(self._read_bytes)
            lines = output.read().rpartition(b"\n")[0]
        self._read_bytes += len(lines) + 1 if lines else 0
        for whom, began, seconds, wrong in map(json.loads, lines.splitlines()):
            self._samples.append(Sample(whom=whom, began_at=began, seconds=seconds, wrong=wrong))
        return self._samples


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What came of one row.

    :ivar stalled_seconds: of the time until all was well, those in which other work kept the hosts from running.
    :ivar problem: what is not as it has to be; empty: nothing.
    """

    fault: Fault
    figures: Figures
    stalled_seconds: float
    problem: str


class Runner:
    """Runs rows on a fleet."""

    def __init__(self, fleet: Deployment, rate: float) -> None:
        self._fleet = fleet
        self._wrecks = Wrecks(fleet)
        self._rate = rate

    def run(self, fault: Fault) -> Outcome:
        """
        Run one row.

        :raises FleetError: if the fleet does not serve before it, or not again.
        """
        try:
            fault.begin(self._wrecks)
            with Load(self._fleet, self._rate) as load:
                self._wait_until_calm(load, f"service before {fault.name}")
                began = back_from = time.monotonic()
                watch = self._fleet.hosts.stopwatch()
                fault.wreck(self._wrecks)
                try:
                    time.sleep(fault.hold_seconds)
                finally:
                    if fault.mend is not None:
                        fault.mend(self._wrecks)
                if fault.mend is not None:
                    back_from, watch = time.monotonic(), self._fleet.hosts.stopwatch()
                time.sleep(NOTICE_SECONDS)
                problem = ""
                try:
                    self._wait_until_calm(load, f"service after {fault.name}")
                except FleetError as error:
                    problem = str(error)
                stalled = time.monotonic() - back_from - watch.seconds
            found = figures(load.samples(), began, back_from)
        finally:
            fault.end(self._wrecks)
        problem = problem or _judge(fault, found, stalled)
        return Outcome(fault=fault, figures=found, stalled_seconds=stalled, problem=problem)

    def _wait_until_calm(self, load: Load, what: str) -> None:
        """Wait until everybody has been served for a while, and every tunnel is there."""

        def is_so() -> bool:
            time.sleep(0.5)
            return (
                is_calm(load.samples(), time.monotonic(), CALM_SECONDS)
                and len(self._fleet.status()["tunnels"]) == TUNNELS
            )

        self._fleet.wait(what, is_so, LIMIT_SECONDS)


def _judge(fault: Fault, found: Figures, stalled: float) -> str:
    """Return what is not as the row says."""
    back = found.back_seconds - stalled
    if back > fault.back_seconds:
        return f"back after {back:.1f} s, not {fault.back_seconds:g}"
    if fault.failed is not None and found.failed > fault.failed:
        return f"{found.failed} requests failed, not {fault.failed} at most"
    return ""
