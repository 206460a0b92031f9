"""Tests of what is counted of each share of a split."""

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.edge.routes.share_counters import MAX_SHARES, OTHER, SHARES_IN_A_PART, ShareMetrics, counts_of
from warp_twisted.routing.latencies import bucket_of


class ShareMetricsTests(SynchronousTestCase):
    """`ShareMetrics`."""

    def setUp(self) -> None:
        self.metrics = ShareMetrics()

    def samples(self) -> dict[tuple[str, ...], float]:
        """Return what a scrape shows: the name, then the values of the labels → the value."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in self.metrics.collect()
            for sample in family.samples
        }

    def test_counted(self) -> None:
        """Requests are counted by class and by how long they took, share by share."""
        canary = self.metrics.of("a.example", "release=canary")
        canary.count(200, 0.004)
        canary.count(502, 7.0)
        canary.count(101, 3_600.0)
        self.metrics.of("a.example", "release=stable").count(200, 0.0001)
        found = self.samples()
        self.assertEqual(found["warp_edge_share_requests_total", "a.example", "release=canary", "2xx"], 1)
        self.assertEqual(found["warp_edge_share_requests_total", "a.example", "release=canary", "5xx"], 1)
        bucket = "warp_edge_share_request_duration_seconds_bucket"
        self.assertEqual(found[bucket, "a.example", "release=canary", "0.005"], 1)
        self.assertEqual(found[bucket, "a.example", "release=canary", "+Inf"], 2)
        self.assertEqual(found[bucket, "a.example", "release=stable", "0.001"], 1)
        self.assertEqual(canary.requests, 3)

    def test_finely(self) -> None:
        """What a guard asks of is counted in finer buckets from then on, several shares together; nothing else is."""
        first, second = self.metrics.of("a.example", "x"), self.metrics.of("a.example", "y")
        other = self.metrics.of("b.example", "x")
        first.count(200, 0.03)
        self.metrics.count_finely({"a.example"})
        for counters in (first, second, other):
            counters.count(200, 0.03)
            counters.count(101, 9.0)
            counters.count(503, 0.04)
        counts = counts_of([first, second])
        self.assertEqual((counts.requests, counts.errors, sum(counts.latencies)), (7, 2, 4))
        self.assertEqual([counts.latencies[bucket_of(seconds)] for seconds in (0.03, 0.04, 9.0)], [2, 2, 0])
        self.assertIsNone(other.fine)
        self.metrics.count_finely(set())
        self.assertIsNone(first.fine)

    def test_kept(self) -> None:
        """What the next policy has as well counts on; the rest goes."""
        for selector in ("x", "y"):
            self.metrics.of("a.example", selector).count(200, 1.0)
        self.metrics.keep(lambda hostname, selector: selector == "x")
        self.assertEqual({name[2] for name in self.samples()}, {"x"})
        self.assertEqual(self.metrics.of("a.example", "x").requests, 1)
        self.assertEqual(self.metrics.of("a.example", "y").requests, 0)

    def test_bounded(self) -> None:
        """Beyond the bound shares are counted together, so a large policy fills no monitoring."""
        for number in range(MAX_SHARES + 50):
            self.metrics.of(f"h{number}.example", "x").count(200, 1.0)
        found = self.samples()
        self.assertEqual(found["warp_edge_share_requests_total", OTHER, OTHER, "2xx"], 50)
        self.assertEqual(len({name[1] for name in found}), MAX_SHARES + 1)

    def test_in_parts(self) -> None:
        """A scrape takes as many shares as there may be a few at a time, so that visitors do not wait for it."""
        for number in range(MAX_SHARES + 1):
            self.metrics.of(f"h{number}.example", "x").count(200, 1.0)
        parts = iter(self.metrics.collect_in_parts())
        cost = max(count_operations(lambda: next(parts, None)) for _ in range(2 * MAX_SHARES // SHARES_IN_A_PART + 2))
        self.assertLess(cost, 20_000)  # all at once would be 560,000
        self.assertIsNone(next(parts, None))
        whole = [sample for family in self.metrics.collect() for sample in family.samples]
        self.assertEqual([sample for part in self.metrics.collect_in_parts() for sample in part.samples], whole)
