"""
What Warp is held to: ratios within one run, and a few absolute limits, each judged from the results.

Judged and printed, never asserted by a test: a figure says as much about the machine as about the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import results as names
from benchmarks.results import NotMeasured, Results

NGINX, HAPROXY, SSH, WARP = "nginx direct", "HAProxy", "ssh -R", "Warp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One promise.

    :param limit: the least value when `at_least`, otherwise the greatest.
    :param measure: computes the value; raises NotMeasured.
    """

    sentence: str
    limit: float
    at_least: bool
    measure: Callable[[Results], float]

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A target with its value, or with None when the run did not measure it."""

    target: Target
    value: float | None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit
        return "met" if met else "**not met**"


def connections(count: int) -> str:
    """Name the variant of a load with so many connections."""
    return "1 connection" if count == 1 else f"{count} connections"


def judge(results: Results) -> list[Judgement]:
    """Compare the results with every target."""
    judgements = []
    for target in TARGETS:
        try:
            value = target.measure(results)
        except NotMeasured:
            value = None
        judgements.append(Judgement(target=target, value=value))
    return judgements


def _ratio(case: str, variant: str, metric: str, other: str) -> Callable[[Results], float]:
    def measure(results: Results) -> float:
        theirs = results.value(case, variant, other, metric)
        if not theirs:
            raise NotMeasured(f"{other} did nothing")
        return results.value(case, variant, WARP, metric) / theirs

    return measure


def _value(case: str, variant: str, metric: str) -> Callable[[Results], float]:
    return lambda results: results.value(case, variant, WARP, metric)


def _added_latency(results: Results) -> float:
    one = connections(1)
    return results.value("keepalive", one, WARP, names.P50) - results.value("keepalive", one, NGINX, names.P50)


def _moved_median(results: Results) -> float:
    """Compute by how many per cent the slow visitors move the others' median."""
    alone = results.value("slow-crowd", "alone", WARP, names.P50)
    return 100 * (results.value("slow-crowd", "beside slow visitors", WARP, names.P50) / alone - 1)


TARGETS = [
    *(
        Target(
            sentence=f"requests/s at {count} connections, as a share of {other}'s",
            limit=limit,
            at_least=True,
            measure=_ratio("keepalive", connections(count), names.REQUESTS, other),
        )
        for other, limit in ((HAPROXY, 0.30), (SSH, 3.0))
        for count in (32, 128)
    ),
    Target(
        sentence="median latency at 1 connection above nginx direct, ms",
        limit=0.35,
        at_least=False,
        measure=_added_latency,
    ),
    *(
        Target(
            sentence=f"{program}'s CPU per request at 128 connections, µs",
            limit=limit,
            at_least=False,
            measure=_value("keepalive", connections(128), names.cpu_per_request(program)),
        )
        for program, limit in (("edge", 25.0), ("agent", 20.0))
    ),
    *(
        Target(
            sentence=f"100 MB {direction}, as a share of HAProxy's rate",
            limit=0.5,
            at_least=True,
            measure=_ratio("transfer", "100 MB", metric, HAPROXY),
        )
        for direction, metric in (("down", names.DOWN), ("up", names.UP))
    ),
    Target(
        sentence="edge's memory per idle tunnel, KiB",
        limit=72,
        at_least=False,
        measure=_value("idle-tunnels", "", names.kib_per_tunnel("edge")),
    ),
    Target(
        sentence="all idle tunnels registered, seconds after the first dial",
        limit=60,
        at_least=False,
        measure=_value("idle-tunnels", "", names.REGISTERED),
    ),
    Target(
        sentence="all their hostnames answered by DNS, seconds after the first dial",
        limit=60,
        at_least=False,
        measure=_value("idle-tunnels", "", names.ANSWERED),
    ),
    Target(
        sentence="memory of edge and agent for a visitor at 100 KB/s, MiB",
        limit=2,
        at_least=False,
        measure=_value("slow-visitor", "", names.EXTRA_MEMORY),
    ),
    Target(
        sentence="what the origin of 1 GB could send ahead of that visitor, MB",
        limit=8,
        at_least=False,
        measure=_value("slow-visitor", "", names.AHEAD),
    ),
    Target(
        sentence="99 % of events at the visitor after the origin's write, ms",
        limit=5,
        at_least=False,
        measure=_value("events", "", names.P99),
    ),
    Target(
        sentence="the others' median moved by slow visitors, %",
        limit=20,
        at_least=False,
        measure=_moved_median,
    ),
]
