"""
`python -m benchmarks.peers_scale [TUNNELS]`: what many tunnels cost edges that tell each other of them.

Two edges with half of the tunnels each, from one process of agents for each edge; then a third edge, which starts with
nothing, as one does that was restarted. What is told: how long after the last registration each knows all, how long
the third takes from its start of listening, what they use while nothing happens, and the longest turn of each edge's
event loop (most of its own computing, as all share the machine).
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases.swarms import open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.errors import BenchmarkError, ProgramFailed
from benchmarks.load import visitors
from benchmarks.load.visitors import Address
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import Edge, Identity, ask_admin, new_identities, open_edge
from benchmarks.processes import raise_file_limit
from benchmarks.turns import longest_turns

IDLE_SECONDS = 10.0
_KNOWN_SECONDS = 120.0
_SETTLE_SECONDS = 5.0
_STOP_SECONDS = 60.0  # an edge tells of its longest turn when it has closed all tunnels


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """
    What was seen.

    :ivar known_seconds: from the last registration until both edges knew all, and relayed.
    :ivar restarted_seconds: from the moment at which an edge that was started with nothing listens until it knows all.
    :ivar restarted_cpu_seconds: what it computed meanwhile, which says what it would take on a machine of its own.
    :ivar idle_percent: of a core that each edge used while nothing happened; the one that started last comes last.
    :ivar resident_bytes: of each edge, then.
    :ivar computing_ms: of each edge: the most computing in one turn, in milliseconds.
    :ivar turns: a sentence on each edge's longest turns.
    """

    tunnels: int
    hostnames: int
    known_seconds: float
    restarted_seconds: float
    restarted_cpu_seconds: float
    idle_percent: Sequence[float]
    resident_bytes: Sequence[int]
    computing_ms: Sequence[int]
    turns: Sequence[str]

    def __str__(self) -> str:
        idle = ", ".join(f"{each:.1f} %" for each in self.idle_percent)
        memory = ", ".join(f"{each / 2**20:.0f} MiB" for each in self.resident_bytes)
        return (
            f"{self.tunnels:,} tunnels, {self.hostnames:,} hostnames: both edges know all {self.known_seconds:.1f} s"
            f" after the last registration; one that starts, {self.restarted_seconds:.1f} s after it listens,"
            f" {self.restarted_cpu_seconds:.1f} s of them computing;"
            f" idle {idle} of a core; {memory}; " + "; ".join(self.turns)
        )


def scale(directory: Path, tunnels: int, hostnames: int, limit: float, progress: Callable[[str], None]) -> Scaled:
    """
    Open so many tunnels, half of them at each of two edges, and start a third edge then.

    :param limit: in seconds, for the tunnels to be registered.
    """
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    identities = new_identities("edge0", "edge1", "edge2")  # an edge dials those whose names come later
    half = tunnels // 2
    with contextlib.ExitStack() as stack:
        edges = [stack.enter_context(_open(directory, certificate, identities, at)) for at in (1, 2)]
        swarms = [
            stack.enter_context(open_swarm(edge, _place(directory, f"swarm{at}"), half, hostnames // 2, f"app{at}-"))
            for at, edge in enumerate(edges, 1)
        ]
        registered = [swarm.wait_until_registered(limit, progress) for swarm in swarms]
        progress(f"{tunnels:,} registered in {max(each.seconds for each in registered):.1f} s")
        for edge, other in zip(edges, reversed(swarms), strict=True):
            wait_until_known(edge, {half}, [other.hostnames[-1]])
        known = time.monotonic() - max(each.ended_at for each in registered)
        edges.append(stack.enter_context(_open(directory, certificate, identities, 0)))
        began_at, used_before = time.monotonic(), edges[-1].process.cpu_seconds()
        wait_until_known(edges[-1], {half}, [swarm.hostnames[-1] for swarm in swarms])
        restarted, computed = time.monotonic() - began_at, edges[-1].process.cpu_seconds() - used_before
        progress("all are known; waiting")
        time.sleep(_SETTLE_SECONDS)
        before = [edge.process.cpu_seconds() for edge in edges]
        time.sleep(IDLE_SECONDS)
        used = [edge.process.cpu_seconds() - was for edge, was in zip(edges, before, strict=True)]
        held = [edge.process.resident_bytes() for edge in edges]
        for swarm in swarms:
            swarm.check()
    turns = [turn for edge in edges for turn in longest_turns(edge.process.log.read_text())]
    return Scaled(
        tunnels=tunnels,
        hostnames=hostnames,
        known_seconds=known,
        restarted_seconds=restarted,
        restarted_cpu_seconds=computed,
        idle_percent=[100 * each / IDLE_SECONDS for each in used],
        resident_bytes=held,
        computing_ms=[turn.computing_ms for turn in turns],
        turns=[turn.sentence for turn in turns],
    )


def _place(directory: Path, name: str) -> Path:
    place = directory / name
    place.mkdir()
    return place


@contextlib.contextmanager
def _open(directory: Path, certificate: Path, identities: Sequence[Identity], at: int) -> Iterator[Edge]:
    """Run one of the edges, whose registry knows the others."""
    identity = identities[at]
    others = [each for each in identities if each is not identity]
    with open_edge(_place(directory, identity.name), certificate, identity=identity, others=others) as edge:
        yield edge
        edge.process.send_signal(signal.SIGTERM)
        edge.process.wait_for_end(_STOP_SECONDS)


def wait_until_known(edge: Edge, counts: set[int], hostnames: Sequence[str]) -> None:
    """
    Wait until an edge knows so many tunnels of each other edge that has some, and relays what is asked for hostnames.

    :raises ProgramFailed: if that takes too long.
    """
    deadline = time.monotonic() + _KNOWN_SECONDS
    while time.monotonic() < deadline:
        peers = ask_admin(edge.admin, "GET", "/v1/peers")
        told = [each["tunnels"] for each in peers if each["alive"] and each["tunnels"]]
        if len(told) == len(hostnames) and set(told) == counts:
            with contextlib.suppress(BenchmarkError, OSError):
                for hostname in hostnames:
                    visitors.fetch(Address(port=edge.web.port, hostname=hostname), "/1k")
                return
        time.sleep(0.05)
    raise ProgramFailed(f"{edge.process.name} does not know all after {_KNOWN_SECONDS:g} s")


def main(tunnels: str = "16000") -> None:
    """Measure once."""
    raise_file_limit()
    count = int(tunnels)
    directory = Path(tempfile.mkdtemp(prefix="warp-peers-"))
    print(scale(directory, count, count * 5 // 8, 60 + count / 20, lambda step: print(f"  {step}", flush=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
