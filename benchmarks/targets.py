"""
What Warp is held to: ratios within one run, and a few absolute limits, each judged from the results.

Judged and printed, never asserted by a test: a figure says as much about the machine as about the program.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import results as names
from benchmarks.results import NotMeasured, Results

NGINX, HAPROXY, SSH, WARP = "nginx direct", "HAProxy", "ssh -R", "Warp"
CHISEL, RATHOLE = "chisel", "rathole"

NO_POLICY, OTHERS_POLICY = "no policy", "policy, but no rule for the hostname"
WHOLE_POLICY, WITH_ASSERTION = "policy", "policy, with an assertion for the origin"
DIRECT, RELAYED = "at the edge with the tunnel", "relayed by another edge"
ALLOWED_PER_SECOND, RATED_SECONDS = 50, 10.0
STEADY, SATURATED = "200 requests/s", "32 connections"
PLAIN_CONNECTION, FULL_HANDSHAKE, RESUMED_HANDSHAKE = "plain", "TLS, full handshake", "TLS, resumed handshake"


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
    """
    A target with what was measured.

    :param samples: the value of each run; empty when no run measured it.
    """

    target: Target
    samples: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """Their median, which is what is judged."""
        return statistics.median(self.samples) if self.samples else None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit
        return "met" if met else "**not met**"


def connections(count: int) -> str:
    """Name the variant of a load with so many connections."""
    return "1 connection" if count == 1 else f"{count} connections"


def varied(count: int) -> str:
    """Name the variant of such a load whose heads differ from request to request."""
    return f"{connections(count)}, heads that vary"


def quiet(crowd: str) -> str:
    """Name the variant of a crowd that is alone."""
    return f"{crowd}, alone"


def flooded(crowd: str) -> str:
    """Name the variant of such a crowd beside 2,000 connections a second of a banned address."""
    return f"{crowd}, beside a flood"


def judge(*runs: Results) -> list[Judgement]:
    """Compare one or more runs with every target; a ratio is always one of a single run."""
    judgements = []
    for target in TARGETS:
        samples = []
        for results in runs:
            with contextlib.suppress(NotMeasured):
                samples.append(target.measure(results))
        judgements.append(Judgement(target=target, samples=tuple(samples)))
    return judgements


def _ratio(case: str, variant: str, metric: str, other: str, *, program: str = "") -> Callable[[Results], float]:
    """Divide Warp's figure, or that of one of its programs, by another peer's."""

    def measure(results: Results) -> float:
        theirs = results.value(case, variant, other, metric)
        if not theirs:
            raise NotMeasured(f"{other} did nothing")
        return results.value(case, variant, WARP, metric, program) / theirs

    return measure


def _value(case: str, variant: str, metric: str, program: str = "") -> Callable[[Results], float]:
    return lambda results: results.value(case, variant, WARP, metric, program)


def _varied_to_identical(results: Results) -> float:
    """Divide the edge's CPU for a request whose head is new by that for one whose head it remembers."""
    return results.value("keepalive", varied(128), WARP, names.CPU_PER_REQUEST, "edge") / results.value(
        "keepalive", connections(128), WARP, names.CPU_PER_REQUEST, "edge"
    )


def saved_by_resuming(results: Results, peer: str, program: str = "") -> float:
    """Tell how many µs a resumed handshake takes less than a full one: the median of the rounds' differences."""
    full, resumed = (
        results.figure("connections", variant, peer, names.CPU_PER_CONNECTION, program).samples
        for variant in (FULL_HANDSHAKE, RESUMED_HANDSHAKE)
    )
    return statistics.median(one - other for one, other in zip(full, resumed, strict=False))


def _relayed_to_direct(variant: str) -> Callable[[Results], float]:
    """Divide the CPU of a relayed request, of both edges and the agent, by that of a direct one: median of rounds."""

    def measure(results: Results) -> float:
        relayed, direct = (
            results.figure("relays", variant, peer, names.CPU_PER_REQUEST).samples for peer in (RELAYED, DIRECT)
        )
        return statistics.median(one / other for one, other in zip(relayed, direct, strict=False))

    return measure


def _relayed_later(results: Results) -> float:
    """Tell by how much a relayed answer comes later at one connection: the median of the rounds' differences."""
    relayed, direct = (results.figure("relays", connections(1), peer, names.P50).samples for peer in (RELAYED, DIRECT))
    return statistics.median(one - other for one, other in zip(relayed, direct, strict=False))


def above_no_policy(variant: str) -> Callable[[Results], float]:
    """Tell how many µs of the edge's CPU a request takes more than without a policy: median of rounds' differences."""

    def measure(results: Results) -> float:
        with_policy, without = (
            results.figure("policy", each, WARP, names.CPU_PER_REQUEST, "edge").samples for each in (variant, NO_POLICY)
        )
        return statistics.median(one - other for one, other in zip(with_policy, without, strict=False))

    return measure


def _saving_beside_haproxy(results: Results) -> float:
    """Tell how many microseconds more than HAProxy the edge saves."""
    return saved_by_resuming(results, WARP, "edge") - saved_by_resuming(results, HAPROXY)


def _added_latency(results: Results) -> float:
    one = connections(1)
    return results.value("keepalive", one, WARP, names.P50) - results.value("keepalive", one, NGINX, names.P50)


def _moved_median(results: Results) -> float:
    """Compute by how many per cent the slow visitors move the others' median."""
    alone = results.value("slow-crowd", "alone", WARP, names.P50)
    return 100 * (results.value("slow-crowd", "beside slow visitors", WARP, names.P50) / alone - 1)


def _beyond_the_rate(of: str) -> Callable[[Results], float]:
    """Compute how many more were let in than the rate alone allows: as many as the burst has, or nearly."""
    return lambda results: results.value("rates", of, WARP, names.LET_IN) - ALLOWED_PER_SECOND * RATED_SECONDS


def _unlike_the_origin(of: str) -> Callable[[Results], float]:
    """Compute by how many those that were let in differ from those that the origin saw."""
    return lambda results: abs(
        results.value("rates", of, WARP, names.LET_IN) - results.value("rates", of, WARP, names.SEEN)
    )


def _moved_by_flood(results: Results) -> float:
    """Compute by how many per cent a flood moves the others' median: the median over rounds."""
    beside, alone = (
        results.figure("flood", variant, WARP, names.P50).samples for variant in (flooded(STEADY), quiet(STEADY))
    )
    return statistics.median(100 * (one / other - 1) for one, other in zip(beside, alone, strict=False))


def _growing_registration(results: Results) -> float:
    """Divide what a registration takes when there are many tunnels by what it takes when there are few."""
    last, first = (
        results.value("large", names.REGISTRATION, WARP, metric) for metric in (names.CPU_OF_LAST, names.CPU_OF_FIRST)
    )
    return last / first


TARGETS = [
    Target(
        sentence="heads that vary, 128 connections: CPU of edge and agent, x HAProxy's",
        limit=2.6,
        at_least=False,
        measure=_ratio("keepalive", varied(128), names.CPU_PER_REQUEST, HAPROXY),
    ),
    Target(
        sentence="identical heads, 128 connections: CPU of edge and agent, x HAProxy's",
        limit=2.6,
        at_least=False,
        measure=_ratio("keepalive", connections(128), names.CPU_PER_REQUEST, HAPROXY),
    ),
    Target(
        sentence="edge's CPU with heads that vary, x that with identical ones",
        limit=1.35,
        at_least=False,
        measure=_varied_to_identical,
    ),
    *(
        Target(
            sentence=f"requests/s at {count} connections, x HAProxy's",
            limit=0.3,
            at_least=True,
            measure=_ratio("keepalive", connections(count), names.REQUESTS, HAPROXY),
        )
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
            measure=_value("keepalive", connections(128), names.CPU_PER_REQUEST, program),
        )
        for program, limit in (("edge", 25.0), ("agent", 20.0))
    ),
    Target(
        sentence="a new plain connection: edge's CPU, x HAProxy's",
        limit=2.0,
        at_least=False,
        measure=_ratio("connections", PLAIN_CONNECTION, names.CPU_PER_CONNECTION, HAPROXY, program="edge"),
    ),
    Target(
        sentence="µs that a resumed TLS handshake saves the edge, above what it saves HAProxy",
        limit=0,
        at_least=True,
        measure=_saving_beside_haproxy,
    ),
    Target(
        sentence="a policy of 200 rules, 200,000 prefixes, tokens and a limit: edge's CPU above none, µs a request",
        limit=6,
        at_least=False,
        measure=above_no_policy(WHOLE_POLICY),
    ),
    Target(
        sentence="the same where no rule is about the hostname, µs a request",
        limit=0.3,
        at_least=False,
        measure=above_no_policy(OTHERS_POLICY),
    ),
    *(
        Target(
            sentence=f"100 MB {direction}, x HAProxy's rate",
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
        measure=_value("idle-tunnels", "", names.MEMORY_PER_TUNNEL),
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
    *(
        Target(
            sentence=f"500 {of}/s for 10 s where 50/s are allowed: let in beyond 500, of a burst of 50",
            limit=50,
            at_least=False,
            measure=_beyond_the_rate(of),
        )
        for of in ("connections", "requests")
    ),
    *(
        Target(
            sentence=f"of those {of}: by how many the origin saw others than were let in",
            limit=0,
            at_least=False,
            measure=_unlike_the_origin(of),
        )
        for of in ("connections", "requests")
    ),
    Target(
        sentence=f"{STEADY}: the median moved by 2,000 connections/s of a banned address, %",
        limit=20,
        at_least=False,
        measure=_moved_by_flood,
    ),
    *(
        Target(
            sentence=f"relayed by another edge, {variant}: CPU of all programs, x direct",
            limit=1.8,
            at_least=False,
            measure=_relayed_to_direct(variant),
        )
        for variant in (varied(128), connections(128), connections(1))
    ),
    Target(
        sentence="relayed by another edge, 1 connection: p50 above direct, ms",
        limit=0.3,
        at_least=False,
        measure=_relayed_later,
    ),
    *(
        Target(sentence=sentence, limit=limit, at_least=False, measure=_value("large", phase, metric))
        for sentence, limit, phase, metric in (
            ("all tunnels lost at one instant: longest wait of a visitor, ms", 500, names.LOSS, names.WAIT_LONGEST),
            (
                "16,000 tunnels register: p99 from hello to acceptance, ms",
                50,
                names.REGISTRATION,
                names.REGISTERED_P99,
            ),
            ("visitors' p99 meanwhile, ms", 50, names.REGISTRATION, names.WAIT_P99),
            ("edge at rest with 16,000 tunnels, % of a core", 5, names.REST, names.IDLE_EDGE),
            (
                "/v1/status of 16,000 tunnels: the longest turn of the reactor, in the median of five answers, ms",
                5,
                "/v1/status",
                names.HELD,
            ),
        )
    ),
    Target(
        sentence="edge's CPU for a registration: the last 1/16 of the tunnels, x the first 1/16",
        limit=1.1,
        at_least=False,
        measure=_growing_registration,
    ),
]
