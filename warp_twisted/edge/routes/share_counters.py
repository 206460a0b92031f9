"""
What the edge counts of each share of a split: requests by their outcome, and how long they took.

A share's counters outlive changes of its weight, and routes that come and go: they are known by the entry's hostname
and the share's selector, as long as the policy has them. Labels are bounded: beyond `MAX_SHARES` the rest is counted
together as `other`.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from warp_twisted.routing.latencies import BUCKETS as FINE_BUCKETS
from warp_twisted.routing.latencies import bucket_of
from warp_twisted.routing.window import Counts

MAX_SHARES = 500
SHARES_IN_A_PART = 16  # of one family, built at once: each has 17 samples of how long its requests took
OTHER = "other"
SWITCHING_PROTOCOLS = 101
# From the path's own cost on one machine (0.3 ms) to the default time-out of an origin.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_BOUNDS = (*map(str, BUCKETS), "+Inf")
Place = tuple[str, str]  # hostname or pattern of the entry, and selector
T = TypeVar("T")


class ShareCounters:
    """
    The counters of one share. They only grow, so that whoever compares two moments subtracts.

    :ivar by_class: requests by the first digit of their status, 1 to 9; index 0 is not used.
    :ivar buckets: requests but upgrades by how long they took: at most each of `BUCKETS`, and longer.
    :ivar seconds: of all these together.
    :ivar fine: the same by finer buckets, for a guard; None: nobody asks.
    """

    __slots__ = ("buckets", "by_class", "fine", "seconds")

    def __init__(self) -> None:
        self.by_class = [0] * 10
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.fine: list[int] | None = None

    def count(self, status: int, seconds: float) -> None:
        """Count a request that is over; of an upgrade nobody asks how long it took."""
        self.by_class[status // 100] += 1
        if status == SWITCHING_PROTOCOLS:
            return
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if self.fine is not None:
            self.fine[bucket_of(seconds)] += 1

    def count_finely(self, is_asked: bool) -> None:
        """Begin to count in finer buckets, or leave it."""
        if not is_asked:
            self.fine = None
        elif self.fine is None:
            self.fine = [0] * FINE_BUCKETS

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.by_class)


Shown = tuple[Place, ShareCounters]


def counts_of(shares: Sequence[ShareCounters]) -> Counts:
    """Return what shares that are counted finely did together, until now."""
    return Counts(
        sum(share.requests for share in shares),
        sum(share.by_class[5] for share in shares),
        [sum(counts) for counts in zip(*(share.fine for share in shares if share.fine is not None), strict=True)],
    )


class ShareMetrics:
    """The counters of all shares."""

    def __init__(self) -> None:
        self._of: dict[Place, ShareCounters] = {}
        self._other = ShareCounters()

    def of(self, hostname: str, selector: str) -> ShareCounters:
        """Return the counters of a share, made at its first mention."""
        place = hostname, selector
        counters = self._of.get(place)
        if counters is None:
            if len(self._of) >= MAX_SHARES:
                return self._other
            counters = self._of[place] = ShareCounters()
        return counters

    def is_apart(self, counters: ShareCounters) -> bool:
        """Return whether counters are of one share, not of all beyond `MAX_SHARES`."""
        return counters is not self._other

    def count_finely(self, hostnames: Collection[str]) -> None:
        """Count the shares of some hostnames in finer buckets, and no others."""
        for (hostname, _), counters in self._of.items():
            counters.count_finely(hostname in hostnames)

    def keep(self, is_known: Callable[[str, str], bool]) -> None:
        """Drop the counters of shares that a new policy does not have, as it says of hostname and selector."""
        for gone in [place for place in self._of if not is_known(*place)]:
            del self._of[gone]

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape."""
        shares = self._shown()
        return [_requests(shares), _durations(shares)]

    def collect_in_parts(self) -> Iterable[Metric]:
        """Build the same families in parts that follow one another."""
        shares = self._shown()
        for family in (_requests, _durations):
            yield from in_parts(family, shares, SHARES_IN_A_PART)

    def _shown(self) -> Sequence[Shown]:
        others = [((OTHER, OTHER), self._other)] if self._other.requests else []
        return [*self._of.items(), *others]


def _requests(shares: Sequence[Shown]) -> Metric:
    family = CounterMetricFamily(
        "warp_edge_share_requests",
        "Requests to each share of a split hostname that were answered.",
        labels=("hostname", "share", "code"),
    )
    for place, counters in shares:
        for digit, count in enumerate(counters.by_class):
            if count:
                family.add_metric((*place, f"{digit}xx"), count)
    return family


def _durations(shares: Sequence[Shown]) -> Metric:
    family = HistogramMetricFamily(
        "warp_edge_share_request_duration_seconds",
        "From a request's head to its answer's end, of each share of a split hostname.",
        labels=("hostname", "share"),
    )
    for place, counters in shares:
        if any(counters.buckets):
            family.add_metric(place, cumulative(counters.buckets), counters.seconds)
    return family


def cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    """Return what was counted at most each of `BUCKETS`, and in all, by that bound as Prometheus writes it."""
    return [*zip(_BOUNDS, accumulate(buckets), strict=True)]


def in_parts(family: Callable[[Sequence[T]], Metric], shown: Sequence[T], size: int) -> Iterable[Metric]:
    """Build a family as several that follow one another, so that none takes long; one, where nothing is shown."""
    for at in range(0, max(1, len(shown)), size):
        yield family(shown[at : at + size])
