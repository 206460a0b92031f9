"""
10,000 hostnames and 16,000 tunnels on one edge: registration, rest, status, and the loss of all at one instant.

All the while a visitor asks for another hostname, behind an agent of its own: the waits are what the others cost.
For each phase the median is noted and the tail with it, as the tail is what users remember.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks import results as names
from benchmarks.bench import Bench
from benchmarks.cases.swarms import Swarm, open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.errors import ProgramFailed
from benchmarks.load.lookups import wait_until_answered
from benchmarks.load.prober import Waits, probing
from benchmarks.peers.origins import open_origins
from benchmarks.peers.peer import WEB_HOSTNAME, Peer
from benchmarks.peers.warp import Checkout, Edge, fetch_admin, open_agent, open_edge
from benchmarks.processes import Process

CASE = "large"

_REGISTER_SECONDS = 400.0
_ANSWER_SECONDS = 60.0
_ASK_SECONDS = 0.01
_ASK_OFTEN_SECONDS = 0.002
_SETTLE_SECONDS = 150.0
_QUIET_SHARE = 0.25
_STATUS_TURNS = 5
_PAUSE_SECONDS = 0.5
# How many tunnels the first and the last stretch of the registration have, of sixteen thousand.
_STRETCH = 1 / 16

# What edge and swarm may hold for each tunnel, with room: a machine with less has to leave this case out.
_BYTES_PER_TUNNEL = 256 * 1024
_SPARE_FILES = 1000


def measure(bench: Bench) -> None:
    """Measure each tree of Warp that is wanted."""
    tunnels = bench.scale.large_tunnels
    if machine.available_bytes() < tunnels * _BYTES_PER_TUNNEL:
        raise ProgramFailed(f"{tunnels * _BYTES_PER_TUNNEL >> 20} MiB of memory are needed for {tunnels:,} tunnels")
    if bench.file_limit < tunnels + _SPARE_FILES:
        raise ProgramFailed(f"{tunnels + _SPARE_FILES} open files are needed, {bench.file_limit} are allowed")
    for name, checkout in bench.all_warps().items():
        directory = Path(tempfile.mkdtemp(dir=bench.directory))
        certificate = write_certificate(directory, [WEB_HOSTNAME])
        with (
            open_origins(directory, bench.file_limit) as origins,
            open_edge(directory, certificate, checkout) as edge,
            open_agent(edge, origins, directory, name=name, checkout=checkout) as peer,
        ):
            _Run(bench=bench, name=name, checkout=checkout, directory=directory, edge=edge, peer=peer).measure()


@dataclass(slots=True, kw_only=True)
class _Run:
    """The phases, one after the other, on one edge."""

    bench: Bench
    name: str
    checkout: Checkout
    directory: Path
    edge: Edge
    peer: Peer

    def measure(self) -> None:
        """Go through the phases."""
        scale = self.bench.scale
        self._tell(f"{scale.large_tunnels:,} tunnels with {scale.large_hostnames:,} hostnames register")
        with open_swarm(self.edge, self.directory, scale.large_tunnels, scale.large_hostnames) as members:
            self._register(members)
            self._rest(members)
            for target in ("/v1/status", "/v1/records"):
                self._ask_admin(target)
            members.check()
            self._lose(members)

    def _register(self, members: Swarm) -> None:
        """Let all tunnels register, and ask DNS for every hostname."""
        held_before = self.edge.process.resident_bytes()
        with (
            probing(self.peer.web, _ASK_SECONDS, self.directory) as visitor,
            sampling(self.edge.process) as trace,
        ):
            registered = members.wait_until_registered(_REGISTER_SECONDS, self._tell)
            self._tell(f"registered in {registered.seconds:.1f} s")
            answered_at = wait_until_answered(self.edge.dns_port, members.hostnames, _ANSWER_SECONDS)
        count = len(registered.times)
        waits = visitor.between(registered.began_at, registered.ended_at)
        accepted = [at for _, _, at in registered.times]
        stretch = max(2, round(count * _STRETCH))
        self._note(
            names.REGISTRATION,
            {
                names.TUNNELS: count,
                names.HOSTNAMES: len(members.hostnames),
                names.FAILED_DIALS: registered.failed_dials,
                names.TUNNELS_PER_SECOND: count / registered.seconds,
                names.ANSWERED: answered_at - registered.began_at,
                **_tail("hello to acceptance", registered.without_handshake()),
                **_tail("dial to acceptance", registered.with_handshake()),
                names.CPU_OF_FIRST: trace.used(registered.began_at, accepted[stretch - 1]) / stretch * 1000,
                names.CPU_OF_LAST: trace.used(accepted[-stretch], accepted[-1]) / (stretch - 1) * 1000,
                names.MEMORY_PER_TUNNEL: (self.edge.process.resident_bytes() - held_before) / count / 1024,
                **_waits(waits),
            },
        )
        self._tell(f"a visitor waited {waits.quantile_ms(1):,.0f} ms at the longest")

    def _rest(self, members: Swarm) -> None:
        """Let everything idle, and see what edge and agents use of a core."""
        time.sleep(5 * _PAUSE_SECONDS)
        seconds = self.bench.scale.large_idle_seconds
        programs = {"edge": self.edge.process, "swarm": members.process}
        before = {name: program.cpu_seconds() for name, program in programs.items()}
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        used = {name: 100 * (program.cpu_seconds() - before[name]) / took for name, program in programs.items()}
        with probing(self.peer.web, _ASK_SECONDS, self.directory) as visitor:
            began = time.monotonic()
            time.sleep(seconds)
            ended = time.monotonic()
        waits = visitor.between(began, ended)
        self._note(
            names.REST,
            {names.IDLE_EDGE: used["edge"], names.IDLE_AGENTS: used["swarm"], **_waits(waits)},
        )
        self._tell(f"at rest: edge {used['edge']:.1f} % of a core")

    def _ask_admin(self, target: str) -> None:
        """Ask the admin interface some times, and see how long that holds the edge."""
        took, used, spans, holds = [], [], [], []
        size = 0
        with probing(self.peer.web, _ASK_OFTEN_SECONDS, self.directory) as visitor:
            for _ in range(_STATUS_TURNS):
                time.sleep(_PAUSE_SECONDS)
                turns = self.edge.turns()
                before, began = self.edge.process.cpu_seconds(), time.monotonic()
                size = len(fetch_admin(self.edge.admin, target))
                ended = time.monotonic()
                took.append(1000 * (ended - began))
                used.append(1000 * (self.edge.process.cpu_seconds() - before))
                spans.append((began, ended))
                holds.append(_longest_ms(turns, self.edge.turns()))
            time.sleep(_PAUSE_SECONDS)
            over = time.monotonic()
        self._note(
            target,
            {
                "answer KiB": size / 1024,
                "time p50 ms": statistics.median(took),
                "time longest ms": max(took),
                "edge CPU ms": statistics.median(used),
                **({names.HELD: statistics.median(holds), names.HELD_LONGEST: max(holds)} if turns else {}),
                **_waits(visitor.between(spans[0][0], over)),
            },
        )
        self._tell(f"{target}: {statistics.median(took):.0f} ms, the reactor held for at most {max(holds):g} ms")

    def _lose(self, members: Swarm) -> None:
        """End the swarm as a crash would, and see how long the visitor waits until the edge is at rest again."""
        with probing(self.peer.web, _ASK_SECONDS, self.directory) as visitor:
            time.sleep(_PAUSE_SECONDS)
            used_before = self.edge.process.cpu_seconds()
            began = time.monotonic()
            members.process.kill()
            quiet_at = self._wait_until_quiet(began)
            used = self.edge.process.cpu_seconds() - used_before
            time.sleep(_PAUSE_SECONDS)
        # A few tunnels are dealt with between two visitors.
        waits = visitor.between(began, max(quiet_at, began + _PAUSE_SECONDS))
        self._note(
            names.LOSS,
            {names.QUIET: quiet_at - began, "edge CPU s": used, **_waits(waits)},
        )
        self._tell(f"all lost: a visitor waited {waits.quantile_ms(1):,.0f} ms at the longest")

    def _wait_until_quiet(self, began: float) -> float:
        """
        Wait until the edge has dealt with what happened: it uses little of the CPU for a while.

        :returns: when the quiet time began.
        """
        quiet_since = time.monotonic()
        used = self.edge.process.cpu_seconds()
        while time.monotonic() - began < _SETTLE_SECONDS:
            time.sleep(_PAUSE_SECONDS)
            self.edge.process.check_alive()
            before, used = used, self.edge.process.cpu_seconds()
            if used - before > _QUIET_SHARE * _PAUSE_SECONDS:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= 6 * _PAUSE_SECONDS:
                return quiet_since
        raise ProgramFailed(f"the edge was still busy {_SETTLE_SECONDS:.0f} s after all tunnels were lost")

    def _note(self, phase: str, metrics: dict[str, float]) -> None:
        """Note a phase, and the longest turn of the edge's event loop until its end."""
        longest = self.edge.longest_turn_seconds()
        if longest is not None:
            metrics[names.LONGEST_TURN] = 1000 * longest
        self.bench.results.add(CASE, phase, self.name, metrics)

    def _tell(self, text: str) -> None:
        self.bench.progress(f"large: {self.name}, {text}")


def _longest_ms(before: Mapping[float, int], after: Mapping[float, int]) -> float:
    """Tell how long the longest of the turns between two counts was at most: the bound of its interval."""
    bounds = sorted(after)
    since = [after[bound] - before.get(bound, 0) for bound in bounds]
    return next((1000 * bound for bound, count in zip(bounds, since, strict=True) if count == since[-1]), 0.0)


def _waits(waits: Waits) -> dict[str, float]:
    """Name what a visitor to another hostname waited meanwhile."""
    return {
        names.WAIT_P50: waits.quantile_ms(0.5),
        names.WAIT_P99: waits.quantile_ms(0.99),
        names.WAIT_LONGEST: waits.quantile_ms(1),
        names.WAIT_ERRORS: waits.errors,
    }


def _tail(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Name median, 99th percentile and maximum."""
    waits = Waits(seconds=sorted(seconds), errors=0)
    return {
        f"{name} p50 ms": waits.quantile_ms(0.5),
        f"{name} p99 ms": waits.quantile_ms(0.99),
        f"{name} longest ms": waits.quantile_ms(1),
    }


@dataclass(slots=True)
class CpuTrace:
    """How much CPU time a program had used at which time: instants on time.monotonic's clock, and seconds."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def used(self, began_at: float, ended_at: float) -> float:
        """Tell how much was used in a stretch of time, the points joined by straight lines."""
        return self._at(ended_at) - self._at(began_at)

    def _at(self, instant: float) -> float:
        for (before, used_before), (after, used_after) in zip(self.points, self.points[1:], strict=False):
            if instant <= after:
                share = (max(instant, before) - before) / (after - before) if after > before else 0.0
                return used_before + share * (used_after - used_before)
        return self.points[-1][1]


@contextlib.contextmanager
def sampling(program: Process, interval: float = 0.1) -> Iterator[CpuTrace]:
    """Note a program's CPU time again and again for the length of a `with` block."""
    trace = CpuTrace([(time.monotonic(), program.cpu_seconds())])
    over = threading.Event()

    def sample() -> None:
        while not over.wait(interval):
            trace.points.append((time.monotonic(), program.cpu_seconds()))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield trace
    finally:
        over.set()
        thread.join()
        trace.points.append((time.monotonic(), program.cpu_seconds()))
