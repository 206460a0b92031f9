"""
What the server counts, and how Prometheus reads it.

A count is a list of one integer, looked up once and kept by the code that increments it: the hot path pays for an
addition and nothing else. Uncommon types and codes share one label, so that a flood cannot create labels.
"""

from collections.abc import Iterable

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from warp_dns.message import records
from warp_dns.message.codes import RCODE_TEXTS

Cell = list[int]

ZONES_IN_A_PART = 64

_COMMON_TYPES = frozenset(
    [
        records.A, records.NS, records.CNAME, records.SOA, records.PTR, records.HINFO, records.MX, records.TXT,
        records.AAAA, records.SRV, records.DNAME, records.DS, 48, 52, records.SVCB, records.HTTPS,
        records.IXFR, records.AXFR, records.ANY, 257,
    ]
)  # fmt: skip

OTHERS = {
    "hits": "Replies sent from the cache of whole replies.",
    "dropped": "Replies not sent, by response rate limiting.",
    "slipped": "Replies cut to TC, by response rate limiting.",
    "ignored": "Messages that no reply may be sent to.",
    "truncated": "Replies over UDP with TC because they were too large.",
    "send_failures": "Replies that the system did not take.",
}


class Counted(msgspec.Struct, frozen=True, tag=True):
    """A worker's counts since its start: queries by transport, type and code, and the `OTHERS`."""

    queries: list[tuple[str, str, str, int]]
    others: dict[str, int]


class Counters:
    """Every count of one server."""

    def __init__(self) -> None:
        self._queries: dict[tuple[str, str, str], Cell] = {}
        self._cells: dict[tuple[str, int, int], Cell] = {}  # the same, by numbers
        self._settled_queries: dict[tuple[str, str, str], int] = {}
        self._workers: dict[object, Counted] = {}
        self.hits: Cell = [0]  # replies sent from the cache of whole replies
        self.dropped: Cell = [0]  # by response rate limiting
        self.slipped: Cell = [0]  # answered with TC by response rate limiting
        self.ignored: Cell = [0]  # what no reply may be sent to
        self.truncated: Cell = [0]
        self.send_failures: Cell = [0]
        self.refused_records: Cell = [0]  # owners of live records that clash with the zone
        self.serials: dict[str, int] = {}
        self.zones_left_out = 0  # whose master file is bad
        self.lag_seconds_sum = 0.0
        self.lag_seconds_max = 0.0
        self.changes = 0

    def queries(self, transport: str, qtype: int, rcode: int) -> Cell:
        """Return the count of queries of one transport ("udp", "tcp"), type and response code."""
        cell = self._cells.get((transport, qtype, rcode))
        if cell is None:
            is_common = qtype in _COMMON_TYPES
            labels = (transport, records.type_text(qtype) if is_common else "other", RCODE_TEXTS.get(rcode, "other"))
            cell = self._queries.setdefault(labels, [0])
            if is_common:
                self._cells[transport, qtype, rcode] = cell
        return cell

    def changed(self, zone: str, serial: int, lag_seconds: float) -> None:
        """Note that a zone is served at another serial, and how long ago the source said so."""
        self.serials[zone] = serial
        self.changes += 1
        self.lag_seconds_sum += lag_seconds
        self.lag_seconds_max = max(self.lag_seconds_max, lag_seconds)

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Return the queries counted, by transport, type and code, those of workers included."""
        totals = dict(self._settled_queries)
        for key, cell in self._queries.items():
            totals[key] = totals.get(key, 0) + cell[0]
        for counted in self._workers.values():
            for transport, rtype, rcode, count in counted.queries:
                totals[transport, rtype, rcode] = totals.get((transport, rtype, rcode), 0) + count
        return totals

    def other(self, name: str) -> int:
        """Return one of the `OTHERS`, workers included."""
        cell: Cell = getattr(self, name)
        return cell[0] + sum(counted.others.get(name, 0) for counted in self._workers.values())

    def counted(self) -> Counted:
        """Return a worker's counts, for its parent."""
        queries = [(*key, cell[0]) for key, cell in self._queries.items()]
        return Counted(queries, {name: getattr(self, name)[0] for name in OTHERS})

    def take(self, worker: object, counted: Counted) -> None:
        """Take a worker's counts in place of those it told before."""
        self._workers[worker] = counted

    def settle(self, worker: object) -> None:
        """Keep the counts of a worker that has ended; the next one begins at 0."""
        counted = self._workers.pop(worker, None)
        if counted is None:
            return
        for transport, rtype, rcode, count in counted.queries:
            key = transport, rtype, rcode
            self._settled_queries[key] = self._settled_queries.get(key, 0) + count
        for name, count in counted.others.items():
            if name in OTHERS:
                getattr(self, name)[0] += count


class DnsCollector(Collector):
    """Hands a server's counts to a Prometheus registry."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        return self._collect(max(1, len(self._counters.serials)))

    def collect_in_parts(self) -> Iterable[Metric]:
        """Return the same, what there is of each zone in parts that follow one another."""
        return self._collect(ZONES_IN_A_PART)

    def _collect(self, size: int) -> Iterable[Metric]:
        counters = self._counters
        queries = CounterMetricFamily("warp_dns_queries", "Queries answered.", labels=["transport", "type", "rcode"])
        for labels, count in counters.totals().items():
            queries.add_metric(list(labels), count)
        yield queries
        for name, text in OTHERS.items():
            yield CounterMetricFamily(f"warp_dns_{name}", text, value=counters.other(name))
        yield CounterMetricFamily(
            "warp_dns_refused_records",
            "Live owners refused because they clash with the zone.",
            value=counters.refused_records[0],
        )
        zones = list(counters.serials.items())
        for at in range(0, max(1, len(zones)), size):
            serials = GaugeMetricFamily("warp_dns_zone_serial", "Serial served.", labels=["zone"])
            for zone, serial in zones[at : at + size]:
                serials.add_metric([zone], serial)
            yield serials
        yield GaugeMetricFamily(
            "warp_dns_zones_left_out", "Zones whose master file cannot be used.", value=counters.zones_left_out
        )
        yield CounterMetricFamily("warp_dns_changes", "Serials published.", value=counters.changes)
        yield CounterMetricFamily(
            "warp_dns_change_lag_seconds",
            "From a source's change to its answer, summed.",
            value=counters.lag_seconds_sum,
        )
        yield GaugeMetricFamily(
            "warp_dns_change_lag_max_seconds", "The longest of those since the start.", value=counters.lag_seconds_max
        )
