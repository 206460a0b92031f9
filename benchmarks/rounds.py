"""
Peers that take turns: one load on each, then the next round, so that a busy neighbour disturbs all of them alike.

What each round gave is kept, so that the report can show medians with their spread, and ratios of one round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkError
from benchmarks.peers.peer import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    One peer's turn.

    :param metrics: what the load saw, by metric.
    :param by_program: for a metric that programs have of their own, each program's share.
    """

    metrics: Mapping[str, float]
    by_program: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def in_rounds(
    bench: Bench, case: str, peers: Sequence[Peer], loads: Mapping[str, Callable[[Peer], Measured]], rounds: int
) -> None:
    """
    Let the peers take turns under each load, tell each turn's first metrics, and note a row for each load and peer.

    Every other round goes backwards, loads and peers, so that nobody always comes after the same one. A peer that
    fails is noted and left out from then on; what was measured is kept, also when the run is out of time.

    :param loads: by the variant that the row is called.
    """
    turns: dict[tuple[str, str], list[Measured]] = {(variant, peer.name): [] for variant in loads for peer in peers}
    failed: set[str] = set()
    try:
        for number in range(1, rounds + 1):
            for variant, load in loads.items() if number % 2 else reversed(list(loads.items())):
                for peer in peers if number % 2 else reversed(peers):
                    if peer.name in failed:
                        continue
                    try:
                        measured = load(peer)
                    except (BenchmarkError, OSError) as error:
                        failed.add(peer.name)
                        bench.fail(case, f"{variant}: {peer.name}: {error}")
                        continue
                    turns[variant, peer.name].append(measured)
                    told = ", ".join(f"{value:,.4g} {metric}" for metric, value in list(measured.metrics.items())[:2])
                    bench.progress(f"{case}, {variant}, round {number} of {rounds}: {peer.name} {told}")
    finally:
        for (variant, name), measured_turns in turns.items():
            if measured_turns:
                add_turns(bench, case, variant, name, measured_turns)


def add_turns(bench: Bench, case: str, variant: str, peer: str, turns: Sequence[Measured]) -> None:
    """Note what one peer did in its turns."""
    first = turns[0]
    bench.results.add(
        case,
        variant,
        peer,
        {metric: [turn.metrics[metric] for turn in turns] for metric in first.metrics},
        {
            metric: {program: [turn.by_program[metric][program] for turn in turns] for program in shares}
            for metric, shares in first.by_program.items()
        },
    )


def used_since(peer: Peer, before: Mapping[str, float], per: float, unit_seconds: float) -> dict[str, float]:
    """
    Tell what each of a peer's programs used of the CPU since `before`, for each of `per` things.

    :param before: what `Peer.cpu_seconds` said.
    :param unit_seconds: 1e-6 to have microseconds.
    """
    return {
        program: (seconds - before[program]) / max(1, per) / unit_seconds
        for program, seconds in peer.cpu_seconds().items()
    }
