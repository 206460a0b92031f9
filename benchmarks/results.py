"""
The figures of a run: what was measured, on which peer, under which load.

A plain table that is easy to judge (`benchmarks.targets`), to print (`benchmarks.report`), to draw (`benchmarks.plot`)
and to join with those of other runs (`benchmarks.merge`). A metric is its column's heading, with its unit, everywhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

REQUESTS = "requests/s"
CONNECTIONS = "connections/s"
P50 = "p50 ms"
P99 = "p99 ms"
ERRORS = "errors"
CPU_PER_REQUEST = "CPU µs/request"
CPU_PER_CONNECTION = "CPU µs/connection"
RESUMED = "resumed %"
DOWN = "down MB/s"
UP = "up MB/s"
CPU_DOWN = "CPU ms down"
CPU_UP = "CPU ms up"
VISITORS = "visitors"
MEMORY_PER_VISITOR = "KiB/visitor"
TUNNELS = "tunnels"
HOSTNAMES = "hostnames"
REGISTERED = "registered s"
ANSWERED = "answered by DNS s"
CPU_PER_TUNNEL = "edge CPU ms/tunnel"
MEMORY_PER_TUNNEL = "edge KiB/tunnel"
EXTRA_MEMORY = "extra MiB in all"
AHEAD = "origin ahead MB"
READ = "visitor read MB"

# Who asks for more than is allowed.
ATTEMPTS = "attempts"
LET_IN = "let in"
REFUSED = "refused"
SEEN = "seen by the origin"
REFUSED_PER_SECOND = "turned away/s"

# The phases of the case `large`, and what is noted of them.
REGISTRATION = "registration"
REST = "at rest"
LOSS = "all tunnels lost at one instant"
TUNNELS_PER_SECOND = "tunnels/s"
REGISTERED_P99 = "hello to acceptance p99 ms"
FAILED_DIALS = "dials that failed"
CPU_OF_FIRST = "edge CPU ms/tunnel, first 1/16"
CPU_OF_LAST = "edge CPU ms/tunnel, last 1/16"
IDLE_EDGE = "edge % of a core"
IDLE_AGENTS = "agents % of a core"
HELD = "longest turn, p50 of the answers, ms"
HELD_LONGEST = "longest turn, of all answers, ms"
LONGEST_TURN = "longest turn until then ms"
QUIET = "seconds until at rest"
WAIT_P50 = "visitor p50 ms"
WAIT_P99 = "visitor p99 ms"
WAIT_LONGEST = "visitor longest ms"
WAIT_ERRORS = "visitor errors"

MORE_IS_BETTER = frozenset({REQUESTS, CONNECTIONS, DOWN, UP, TUNNELS_PER_SECOND})
"""Of every other metric less is better, save those of `CIRCUMSTANCES`."""

CIRCUMSTANCES = frozenset(
    {
        *(VISITORS, TUNNELS, HOSTNAMES, READ, RESUMED, ERRORS, FAILED_DIALS),
        *(ATTEMPTS, LET_IN, REFUSED, SEEN, REFUSED_PER_SECOND),
    }
)
"""What says how a figure came about rather than how good it is."""

Samples: TypeAlias = float | Sequence[float]
"""One value, or one for each round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One measured value.

    :param variant: the load within the case ("32 connections"), or "" when there is only one.
    :param program: which of the peer's programs it is about; "" for all of them together.
    :param samples: what was measured in each round (or, of joined runs, in each run); the value is their median.
    """

    case: str
    variant: str
    peer: str
    metric: str
    samples: tuple[float, ...]
    program: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread_percent(self) -> float:
        """Tell how far the samples lie from the middle of their range, in per cent of the value."""
        return 50 * (max(self.samples) - min(self.samples)) / abs(self.value) if self.value else 0.0


class NotMeasured(LookupError):
    """A figure that was asked for is not among the results."""


@dataclass(slots=True)
class Results:
    """
    Figures in the order of their measuring.

    :ivar failures: the cases that failed in whole or for a peer, with the reasons.
    :ivar skipped: the peers that were wanted and could not be had, with the reason.
    """

    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        case: str,
        variant: str,
        peer: str,
        metrics: Mapping[str, Samples],
        by_program: Mapping[str, Mapping[str, Samples]] | None = None,
    ) -> None:
        """
        Note what one peer did under one load.

        :param by_program: for each metric that programs have of their own (CPU, memory), each program's share; their
            sum is noted as the peer's.
        """
        for metric, samples in metrics.items():
            self._note(case, variant, peer, metric, _as_tuple(samples))
        for metric, shares in (by_program or {}).items():
            rounds = {program: _as_tuple(samples) for program, samples in shares.items()}
            total = tuple(sum(each) for each in zip(*rounds.values(), strict=True))
            if total:
                self._note(case, variant, peer, metric, total)
            for program, samples in rounds.items():
                self._note(case, variant, peer, metric, samples, program)

    def _note(
        self, case: str, variant: str, peer: str, metric: str, samples: tuple[float, ...], program: str = ""
    ) -> None:
        self.figures.append(
            Figure(case=case, variant=variant, peer=peer, metric=metric, samples=samples, program=program)
        )

    def figure(self, case: str, variant: str, peer: str, metric: str, program: str = "") -> Figure:
        """
        Look a figure up.

        :raises NotMeasured: if it is not there.
        """
        wanted = (case, variant, peer, metric, program)
        for figure in self.figures:
            if (figure.case, figure.variant, figure.peer, figure.metric, figure.program) == wanted:
                return figure
        raise NotMeasured(f"{case}, {variant}, {peer}: {metric} {program}")

    def value(self, case: str, variant: str, peer: str, metric: str, program: str = "") -> float:
        """
        Look a figure's value up.

        :raises NotMeasured: if it is not there.
        """
        return self.figure(case, variant, peer, metric, program).value

    def of_case(self, case: str) -> list[Figure]:
        """List a case's figures."""
        return [figure for figure in self.figures if figure.case == case]


def _as_tuple(samples: Samples) -> tuple[float, ...]:
    return (float(samples),) if isinstance(samples, int | float) else tuple(map(float, samples))


def unique(names: Iterable[str]) -> list[str]:
    """Drop repetitions and keep the order."""
    return list(dict.fromkeys(names))
