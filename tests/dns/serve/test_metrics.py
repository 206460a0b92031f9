"""Tests of `warp_dns.serve.metrics`."""

from prometheus_client import CollectorRegistry, generate_latest
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.message import records
from warp_dns.serve.metrics import Counted, Counters, DnsCollector


class CountersTests(SynchronousTestCase):
    """Counting."""

    def setUp(self) -> None:
        """Begin at zero."""
        self.counters = Counters()

    def test_a_count_is_one_cell(self) -> None:
        """The same labels are the same count."""
        self.counters.queries("udp", records.A, 0)[0] += 1
        self.counters.queries("udp", records.A, 0)[0] += 1
        self.assertEqual(self.counters.totals(), {("udp", "A", "NOERROR"): 2})

    def test_labels_cannot_be_made_by_asking(self) -> None:
        """Every type that no zone has is one label, and every unknown code."""
        for rtype in range(1000, 3000):
            self.counters.queries("udp", rtype, rtype % 16)[0] += 1
        self.assertLess(len(self.counters.totals()), 16)
        self.assertEqual({key[1] for key in self.counters.totals()}, {"other"})

    def test_workers_are_added(self) -> None:
        """A worker's latest counts are part of the totals, and stay when it ends."""
        self.counters.hits[0] = 1
        for hits in (5, 7):
            self.counters.take("w", Counted([("udp", "A", "NOERROR", hits)], {"hits": hits, "unknown": 3}))
        for _ in range(2):
            self.assertEqual(self.counters.totals(), {("udp", "A", "NOERROR"): 7})
            self.assertEqual(self.counters.other("hits"), 8)
            self.counters.settle("w")
        self.counters.settle("never there")

    def test_a_workers_counts_travel(self) -> None:
        """What a worker tells is what it counted."""
        self.counters.queries("udp", records.A, 3)[0] += 4
        counted = self.counters.counted()
        self.assertEqual(counted.queries, [("udp", "A", "NXDOMAIN", 4)])
        self.assertEqual(counted.others["hits"], 0)

    def test_prometheus_reads_all(self) -> None:
        """Queries, serials and lag are among the metrics, by their names."""
        self.counters.queries("tcp", records.TXT, 5)[0] += 1
        self.counters.changed("warp.example", 7, 0.25)
        self.counters.changed("warp.example", 8, 0.05)
        registry = CollectorRegistry()
        registry.register(DnsCollector(self.counters))
        text = generate_latest(registry).decode()
        for line in (
            'warp_dns_queries_total{rcode="REFUSED",transport="tcp",type="TXT"} 1.0',
            'warp_dns_zone_serial{zone="warp.example"} 8.0',
            "warp_dns_changes_total 2.0",
            "warp_dns_change_lag_seconds_total 0.3",
            "warp_dns_change_lag_max_seconds 0.25",
            "warp_dns_dropped_total 0.0",
        ):
            self.assertIn(line, text)
