"""
`python -m benchmarks.handover [TUNNELS]`: an edge with many tunnels hands over to another process while visitors ask.

A keeper, two edges, one process with all agents, and a visitor every 10 ms who asks for one hostname after the other.
What is told: how long the hand-over and the move of all tunnels took, how long visitors waited, what became of their
requests, and the longest turn of each edge's event loop (most of its own computing, as the machine is busy with more).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases.swarms import open_swarm
from benchmarks.certificates import write_certificate
from benchmarks.load import swarm
from benchmarks.load.prober import Waits, probing
from benchmarks.peers.peer import WEB_HOSTNAME
from benchmarks.peers.warp import KEEPER, open_edge
from benchmarks.processes import raise_file_limit
from benchmarks.turns import longest_turns
from warp_twisted.keeper.asking import ask
from warp_twisted.keeper.messages import Message

ASK_SECONDS = 0.01
ASKED_HOSTNAMES = 1_000
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """
    What was seen.

    :ivar seconds: from the order to the answer that everything is handed over, without the time of watching.
    :ivar moved_seconds: from the first tunnel that was asked to move until the last one was accepted.
    :ivar waits: of visitors, from the order on.
    :ivar computing_ms: of each process, the one before first: the most computing in one turn, in milliseconds.
    """

    tunnels: int
    seconds: float
    moved_seconds: float
    waits: Waits
    computing_ms: list[int]
    turns: list[str]

    def __str__(self) -> str:
        waits = self.waits
        return (
            f"{self.tunnels:,} tunnels: handed over in {self.seconds:.1f} s, all moved in {self.moved_seconds:.1f} s;"
            f" {len(waits.seconds):,} requests, {waits.errors} failed; waits p50 {waits.quantile_ms(0.5):.1f},"
            f" p99 {waits.quantile_ms(0.99):.0f}, longest {waits.quantile_ms(1):.0f} ms; " + "; ".join(self.turns)
        )


def hand_over(
    directory: Path, tunnels: int, hostnames: int, limit: float, progress: Callable[[str], None]
) -> HandedOver:
    """
    Open so many tunnels, and hand over once.

    :param limit: in seconds, for the tunnels to be registered, and again for them to move.
    """
    certificate = write_certificate(directory, [WEB_HOSTNAME])
    with (
        open_edge(directory, certificate, is_kept=True) as edge,
        open_swarm(edge, directory, tunnels, hostnames) as members,
    ):
        registered = members.wait_until_registered(limit, progress)
        progress(f"{tunnels:,} registered in {registered.seconds:.1f} s")
        step = max(1, len(members.hostnames) // ASKED_HOSTNAMES)
        with probing(edge.web, ASK_SECONDS, directory, members.hostnames[::step]) as visitors:
            time.sleep(_SETTLE_SECONDS)
            began_at = time.monotonic()
            ask(str(directory / KEEPER), Message("do", "restart"), progress)
            ended_at = time.monotonic()
            moved = members.process.wait_for_line(f"{swarm.MOVED}|{swarm.FAILED}", limit)
            time.sleep(_SETTLE_SECONDS)
        members.check()
    turns = longest_turns(edge.process.log.read_text())
    return HandedOver(
        tunnels=tunnels,
        seconds=ended_at - began_at,
        moved_seconds=float(moved["last"]) - float(moved["first"]),
        waits=visitors.between(began_at, time.monotonic()),
        computing_ms=[turn.computing_ms for turn in turns],
        turns=[turn.sentence for turn in turns],
    )


def main(tunnels: str = "4000") -> None:
    """Measure once."""
    raise_file_limit()
    count = int(tunnels)
    directory = Path(tempfile.mkdtemp(prefix="warp-handover-"))
    print(hand_over(directory, count, count // 4, 60 + count / 20, lambda step: print(f"  {step}", flush=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
