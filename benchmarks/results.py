"""
The figures of a run: what was measured, on which peer, under which load.

A plain table that is easy to judge (`benchmarks.targets`), to print (`benchmarks.report`) and to draw
(`benchmarks.plot`). A metric is its column's heading, with its unit, everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

REQUESTS = "requests/s"
P50 = "p50 ms"
P99 = "p99 ms"
ERRORS = "errors"
DOWN = "down MB/s"
UP = "up MB/s"
VISITORS = "visitors"
TUNNELS = "tunnels"
HOSTNAMES = "hostnames"
REGISTERED = "registered s"
ANSWERED = "answered by DNS s"
EXTRA_MEMORY = "extra MiB in all"
AHEAD = "origin ahead MB"
READ = "visitor read MB"


def cpu_per_request(program: str) -> str:
    """Name the metric of a program's CPU time."""
    return f"{program} µs/request"


def cpu_per_transfer(program: str, metric: str) -> str:
    """Name the metric of a program's CPU time for moving 100 MB; `metric` is DOWN or UP."""
    return f"{program} ms {metric.removesuffix(' MB/s')}"


def kib_per_visitor(program: str) -> str:
    """Name the metric of a program's memory for an idle visitor."""
    return f"{program} KiB/visitor"


def kib_per_tunnel(program: str) -> str:
    """Name the metric of a program's memory for an idle tunnel."""
    return f"{program} KiB/tunnel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    One measured value.

    :param variant: the load within the case ("32 connections"), or "" when there is only one.
    """

    case: str
    variant: str
    peer: str
    metric: str
    value: float


class NotMeasured(LookupError):
    """A figure that was asked for is not among the results."""


@dataclass(slots=True)
class Results:
    """Figures in the order of their measuring, and the cases that failed with the reason."""

    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, case: str, variant: str, peer: str, metrics: Mapping[str, float]) -> None:
        """Note what one peer did under one load."""
        self.figures.extend(
            Figure(case=case, variant=variant, peer=peer, metric=metric, value=value)
            for metric, value in metrics.items()
        )

    def value(self, case: str, variant: str, peer: str, metric: str) -> float:
        """
        Look a figure up.

        :raises NotMeasured: if it is not there.
        """
        for figure in self.figures:
            if (figure.case, figure.variant, figure.peer, figure.metric) == (case, variant, peer, metric):
                return figure.value
        raise NotMeasured(f"{case}, {variant}, {peer}: {metric}")

    def of_case(self, case: str) -> list[Figure]:
        """List a case's figures."""
        return [figure for figure in self.figures if figure.case == case]


def unique(names: Iterable[str]) -> list[str]:
    """Drop repetitions and keep the order."""
    return list(dict.fromkeys(names))
