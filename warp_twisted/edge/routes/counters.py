"""
What the edge counts on the data path, as plain integers, and how Prometheus sees it at a scrape.

A route holds its hostname's counters, so counting a request looks nothing up. Labels are bounded: hostnames that
are routed here and no others (of these at most `MAX_HOSTNAMES`, the rest counted together as `other`), status
classes, and the closed list of refusals.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from warp_twisted.edge.routes.mirror_counters import MirrorMetrics
from warp_twisted.edge.routes.share_counters import BUCKETS, OTHER, ShareMetrics, cumulative, in_parts
from warp_twisted.http1.refusals import Refusal
from warp_twisted.routing.retry_budget import RetryBudget

MAX_HOSTNAMES = 2_000
HOSTNAMES_IN_A_PART = 64  # of one family, built at once
HOSTNAME_BOUNDS = (
    "0.01",
    "0.05",
    "0.25",
    "1.0",
    "5.0",
    "60.0",
    "+Inf",
)  # some of `BUCKETS`: each is 2,000 lines at most


class HostCounters:
    """
    The counters of one hostname.

    :ivar by_class: requests by the first digit of their status, 1 to 9; index 0 is not used.
    :ivar buckets: requests by how long they took: at most each of `BUCKETS`, and longer; `seconds`: all together.
    :ivar bytes_in: from visitors, heads included; `bytes_out`: to visitors.
    :ivar sent: requests that were sent to an origin, each counted once; `retry_budget`: how many may be sent again.
    """

    __slots__ = ("buckets", "by_class", "bytes_in", "bytes_out", "retry_budget", "seconds", "sent")

    def __init__(self) -> None:
        self.by_class = [0] * 10
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent = 0
        self.retry_budget = RetryBudget()


class DataPathMetrics:
    """
    All counters of the data path.

    :ivar shares: of split hostnames; `mirrors`: of copies of their requests.
    :ivar queued: requests that waited for a place at an origin, `queued_seconds` for how long together, `queued_now`
        how many wait.
    :ivar unread_bytes: that wait now: of answers for visitors to read them, of requests to be served or taken.
    """

    def __init__(self) -> None:
        self.unrouted = HostCounters()
        self.hosts: dict[str, HostCounters] = {OTHER: self.unrouted}
        self.shares = ShareMetrics()
        self.mirrors = MirrorMetrics()
        self.refusals: dict[Refusal, int] = {}
        self.connections = 0
        self.failed_handshakes = 0
        self.retries = 0
        self.retries_over_budget = 0
        self.ejections = 0
        self.queued = 0
        self.queued_now = 0
        self.queued_seconds = 0.0
        self.unread_bytes = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def of_hostname(self, hostname: str) -> HostCounters:
        """Return the counters of a routed hostname, made at its first mention."""
        counters = self.hosts.get(hostname)
        if counters is None:
            if len(self.hosts) > MAX_HOSTNAMES:
                return self.unrouted
            counters = self.hosts[hostname] = HostCounters()
        return counters

    def forget_hostname(self, hostname: str) -> None:
        """Drop the counters of a hostname that is no longer routed."""
        if hostname != OTHER:
            self.hosts.pop(hostname, None)

    def count_request(self, counters: HostCounters, status: int, bytes_in: int, bytes_out: int, seconds: float) -> None:
        """Count a request that is over."""
        counters.by_class[status // 100] += 1
        counters.bytes_in += bytes_in
        counters.bytes_out += bytes_out
        bucket = bisect_left(BUCKETS, seconds)
        self._buckets[bucket] += 1
        self._seconds += seconds
        counters.buckets[bucket] += 1
        counters.seconds += seconds

    def count_refusal(self, refusal: Refusal) -> None:
        """Count an answer of the edge's own, or a connection it cut."""
        self.refusals[refusal] = self.refusals.get(refusal, 0) + 1

    @property
    def requests(self) -> int:
        """Requests of all hostnames together."""
        return sum(self._buckets)

    def histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Return cumulative buckets by upper bound, and the sum of seconds."""
        return cumulative(self._buckets), self._seconds


class DataPathCollector(Collector):
    """
    Shows the counters to Prometheus.

    :param visitors_open: returns how many visitor connections there are.
    :param streams: returns how many streams to origins are in use and how many are idle.
    :param suspicions: returns how many tunnels were suspected of being dead, and how many are now.
    :param ejected: returns how many origins are ejected now.
    """

    def __init__(
        self,
        metrics: DataPathMetrics,
        visitors_open: Callable[[], int],
        streams: Callable[[], tuple[int, int]],
        suspicions: Callable[[], tuple[int, int]],
        ejected: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._visitors_open = visitors_open
        self._streams = streams
        self._suspicions = suspicions
        self._ejected = ejected

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape."""
        hosts = list(self._metrics.hosts.items())
        yield _requests(hosts)
        yield _volume(hosts)
        yield _durations(hosts)
        yield from self._metrics.shares.collect()
        yield from self._metrics.mirrors.collect()
        yield from self._of_all()

    def collect_in_parts(self) -> Iterable[Metric]:
        """Build the same families, those with samples for each hostname or share in parts that follow one another."""
        hosts = list(self._metrics.hosts.items())
        for family in (_requests, _volume, _durations):
            yield from in_parts(family, hosts, HOSTNAMES_IN_A_PART)
        yield from self._metrics.shares.collect_in_parts()
        yield from self._metrics.mirrors.collect_in_parts()
        yield from self._of_all()

    def _of_all(self) -> Iterable[Metric]:
        metrics = self._metrics
        buckets, seconds = metrics.histogram()
        duration = HistogramMetricFamily(
            "warp_edge_request_duration_seconds", "From a request's head to its answer's end."
        )
        duration.add_metric((), buckets, seconds)
        yield duration
        refusals = CounterMetricFamily("warp_edge_refusals", "Answers of the edge's own.", labels=("reason",))
        for refusal, count in metrics.refusals.items():
            refusals.add_metric((refusal.slug,), count)
        yield refusals
        yield CounterMetricFamily("warp_edge_retries", "Requests sent again on another stream.", value=metrics.retries)
        yield CounterMetricFamily(
            "warp_edge_retries_over_budget",
            "Requests that were not sent again, as the hostname's budget for that was spent.",
            value=metrics.retries_over_budget,
        )
        yield CounterMetricFamily(
            "warp_edge_ejections", "Origins that failed while others served, each time.", value=metrics.ejections
        )
        yield GaugeMetricFamily(
            "warp_edge_ejected_origins",
            "Origins of agents that are ejected, or wait for the request that proves them.",
            value=self._ejected(),
        )
        yield CounterMetricFamily(
            "warp_edge_queued", "Requests that waited for a place at their origin.", value=metrics.queued
        )
        yield CounterMetricFamily(
            "warp_edge_queued_seconds", "For how long they waited, together.", value=metrics.queued_seconds
        )
        yield GaugeMetricFamily(
            "warp_edge_queued_requests", "Requests that wait for a place at their origin now.", value=metrics.queued_now
        )
        yield CounterMetricFamily(
            "warp_edge_visitor_connections", "Visitor connections accepted.", value=metrics.connections
        )
        yield CounterMetricFamily(
            "warp_edge_failed_handshakes", "Visitors that failed TLS.", value=metrics.failed_handshakes
        )
        yield GaugeMetricFamily("warp_edge_visitors", "Visitor connections open.", value=self._visitors_open())
        yield GaugeMetricFamily(
            "warp_edge_unread_bytes",
            "Bytes that wait for visitors to read them, or for origins to take them.",
            value=metrics.unread_bytes,
        )
        used, idle = self._streams()
        streams = GaugeMetricFamily("warp_edge_streams", "Streams to origins.", labels=("state",))
        streams.add_metric(("used",), used)
        streams.add_metric(("idle",), idle)
        yield streams
        suspicions, suspected = self._suspicions()
        yield CounterMetricFamily(
            "warp_edge_suspicions", "Tunnels that did not answer in time, each time.", value=suspicions
        )
        yield GaugeMetricFamily(
            "warp_edge_suspected_tunnels", "Tunnels that do not answer; requests go to others.", value=suspected
        )


def _requests(hosts: Sequence[tuple[str, HostCounters]]) -> Metric:
    family = CounterMetricFamily("warp_edge_requests", "Requests that were answered.", labels=("hostname", "code"))
    for hostname, counters in hosts:
        for digit, count in enumerate(counters.by_class):
            if count:
                family.add_metric((hostname, f"{digit}xx"), count)
    return family


def _durations(hosts: Sequence[tuple[str, HostCounters]]) -> Metric:
    family = HistogramMetricFamily(
        "warp_edge_hostname_duration_seconds",
        "From a request's head to its answer's end, by hostname and in few buckets.",
        labels=("hostname",),
    )
    for hostname, counters in hosts:
        if counters.seconds:
            fine = dict(cumulative(counters.buckets))
            family.add_metric((hostname,), [(bound, fine[bound]) for bound in HOSTNAME_BOUNDS], counters.seconds)
    return family


def _volume(hosts: Sequence[tuple[str, HostCounters]]) -> Metric:
    family = CounterMetricFamily("warp_edge_bytes", "Bytes of HTTP.", labels=("hostname", "direction"))
    for hostname, counters in hosts:
        if counters.bytes_in:
            family.add_metric((hostname, "in"), counters.bytes_in)
            family.add_metric((hostname, "out"), counters.bytes_out)
    return family
