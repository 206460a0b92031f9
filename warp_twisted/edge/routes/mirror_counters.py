"""
What the edge counts of the copies that shadows get, by hostname, apart from what is counted of visitors' requests.

Hostnames are those of the policy's entries that have a mirror, `policy.document.routing.MAX_MIRRORS` at most.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import Enum

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from warp_twisted.edge.routes.share_counters import SHARES_IN_A_PART, ShareCounters, cumulative, in_parts


class Unanswered(Enum):
    """Why a copy has no whole answer."""

    NO_TUNNEL = "no_tunnel"  # dropped: no healthy tunnel of the shadow takes it
    BUSY = "busy"  # dropped: as many as may be are under way, or have been answered with as much in this second
    LOST = "lost"  # the origin was not reached, cut its connection, or did not speak HTTP
    LATE = "late"  # the answer was not whole in time
    CUT = "cut"  # the answer was larger than is read


class MirrorCounters(ShareCounters):
    """
    The counters of one mirror: of copies that were answered, as of a share's requests; and of the others.

    :ivar unanswered: by why.
    :ivar under_way: copies that are not answered yet; `waiting_bytes`: of these requests.
    :ivar read_bytes: of answers, in this second.
    :ivar told_at: when the log said last that copies are dropped.
    """

    __slots__ = ("read_bytes", "told_at", "unanswered", "under_way", "waiting_bytes")

    def __init__(self) -> None:
        super().__init__()
        self.unanswered = dict.fromkeys(Unanswered, 0)
        self.under_way = 0
        self.waiting_bytes = 0
        self.read_bytes = 0
        self.told_at = float("-inf")

    @property
    def copies(self) -> int:
        """Of how many requests a copy was to be made."""
        return self.requests + sum(self.unanswered.values()) + self.under_way


_Shown = tuple[str, MirrorCounters]


class MirrorMetrics:
    """The counters of all mirrors."""

    def __init__(self) -> None:
        self._of: dict[str, MirrorCounters] = {}

    def of(self, hostname: str) -> MirrorCounters:
        """Return the counters of an entry's mirror, made at its first mention."""
        counters = self._of.get(hostname)
        if counters is None:
            counters = self._of[hostname] = MirrorCounters()
        return counters

    def keep(self, hostnames: Collection[str]) -> None:
        """Drop the counters of mirrors that a new policy does not have."""
        for gone in [hostname for hostname in self._of if hostname not in hostnames]:
            del self._of[gone]

    def begin_second(self) -> None:
        """Let each mirror read as many bytes of answers again."""
        for counters in self._of.values():
            counters.read_bytes = 0

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape."""
        shown = list(self._of.items())
        return [_requests(shown), _unanswered(shown), _durations(shown)]

    def collect_in_parts(self) -> Iterable[Metric]:
        """Build the same families in parts that follow one another."""
        shown = list(self._of.items())
        for family in (_requests, _unanswered, _durations):
            yield from in_parts(family, shown, SHARES_IN_A_PART)


def _requests(shown: Sequence[_Shown]) -> Metric:
    family = CounterMetricFamily(
        "warp_edge_mirror_requests", "Copies of requests that a shadow has answered.", labels=("hostname", "code")
    )
    for hostname, counters in shown:
        for digit, count in enumerate(counters.by_class):
            if count:
                family.add_metric((hostname, f"{digit}xx"), count)
    return family


def _unanswered(shown: Sequence[_Shown]) -> Metric:
    family = CounterMetricFamily(
        "warp_edge_mirror_unanswered",
        "Copies of requests that were dropped, or had no whole answer of a shadow.",
        labels=("hostname", "reason"),
    )
    for hostname, counters in shown:
        for reason, count in counters.unanswered.items():
            if count:
                family.add_metric((hostname, reason.value), count)
    return family


def _durations(shown: Sequence[_Shown]) -> Metric:
    family = HistogramMetricFamily(
        "warp_edge_mirror_request_duration_seconds",
        "From a copy's sending to its answer's end.",
        labels=("hostname",),
    )
    for hostname, counters in shown:
        if any(counters.buckets):
            family.add_metric((hostname,), cumulative(counters.buckets), counters.seconds)
    return family
