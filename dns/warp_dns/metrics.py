"""
What the server counts, and how Prometheus reads it.

A count is a list of one integer, looked up once and kept by whoever adds to it: the hot path pays for an addition and
nothing else. Types and codes that no zone uses share one label, so that a flood cannot make labels.
"""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from warp_dns import records

Cell = list[int]

_COMMON_TYPES = frozenset(
    [
        records.A, records.NS, records.CNAME, records.SOA, records.PTR, records.HINFO, records.MX, records.TXT,
        records.AAAA, records.SRV, records.DNAME, records.DS, 48, 52, records.SVCB, records.HTTPS,
        records.IXFR, records.AXFR, records.ANY, 257,
    ]
)  # fmt: skip
RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
    9: "NOTAUTH", 16: "BADVERS", 23: "BADCOOKIE",
}  # fmt: skip


class Counters:
    """Every count of one server."""

    def __init__(self) -> None:
        self._queries: dict[tuple[str, str, str], Cell] = {}
        self.hits: Cell = [0]  # replies sent from the cache of whole replies
        self.dropped: Cell = [0]  # by response rate limiting
        self.slipped: Cell = [0]  # answered with TC by response rate limiting
        self.ignored: Cell = [0]  # what no reply may be sent to
        self.truncated: Cell = [0]
        self.send_failures: Cell = [0]
        self.refused_records: Cell = [0]  # owners of live records that clash with the zone
        self.serials: dict[str, int] = {}
        self.lag_seconds_sum = 0.0
        self.lag_seconds_max = 0.0
        self.changes = 0

    def queries(self, transport: str, qtype: int, rcode: int) -> Cell:
        """Return the count of queries of one transport ("udp", "tcp"), type and response code."""
        type_label = records.type_text(qtype) if qtype in _COMMON_TYPES else "other"
        return self._queries.setdefault((transport, type_label, RCODES.get(rcode, "other")), [0])

    def changed(self, zone: str, serial: int, lag_seconds: float) -> None:
        """Note that a zone is served at another serial, and how long ago the source said so."""
        self.serials[zone] = serial
        self.changes += 1
        self.lag_seconds_sum += lag_seconds
        self.lag_seconds_max = max(self.lag_seconds_max, lag_seconds)

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Return the queries counted, by transport, type and code."""
        return {key: cell[0] for key, cell in self._queries.items()}


class DnsCollector(Collector):
    """Hands a server's counts to a Prometheus registry."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        counters = self._counters
        queries = CounterMetricFamily("warp_dns_queries", "Queries answered.", labels=["transport", "type", "rcode"])
        for labels, count in counters.totals().items():
            queries.add_metric(list(labels), count)
        yield queries
        for name, text, cell in (
            ("cache_hits", "Replies sent from the cache of whole replies.", counters.hits),
            ("rate_limit_dropped", "Replies not sent, by response rate limiting.", counters.dropped),
            ("rate_limit_slipped", "Replies cut to TC, by response rate limiting.", counters.slipped),
            ("ignored", "Messages that no reply may be sent to.", counters.ignored),
            ("truncated", "Replies over UDP with the TC bit because they were too large.", counters.truncated),
            ("send_failures", "Replies that the system did not take.", counters.send_failures),
            ("refused_records", "Live owners refused because they clash with the zone.", counters.refused_records),
        ):
            yield CounterMetricFamily(f"warp_dns_{name}", text, value=cell[0])
        serials = GaugeMetricFamily("warp_dns_zone_serial", "Serial served.", labels=["zone"])
        for zone, serial in counters.serials.items():
            serials.add_metric([zone], serial)
        yield serials
        yield CounterMetricFamily("warp_dns_changes", "Serials published.", value=counters.changes)
        yield CounterMetricFamily(
            "warp_dns_change_lag_seconds",
            "From a source's change to its answer, summed.",
            value=counters.lag_seconds_sum,
        )
        yield GaugeMetricFamily(
            "warp_dns_change_lag_max_seconds", "The longest of those since the start.", value=counters.lag_seconds_max
        )
