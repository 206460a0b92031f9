"""Tests of what is counted of copies that shadows get."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.routes.mirror_counters import MirrorMetrics, Unanswered


class MirrorMetricsTests(SynchronousTestCase):
    """`MirrorMetrics`."""

    def setUp(self) -> None:
        self.metrics = MirrorMetrics()

    def samples(self) -> dict[tuple[str, ...], float]:
        """Return what a scrape shows: the name, then the values of the labels → the value."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in self.metrics.collect()
            for sample in family.samples
        }

    def test_counted(self) -> None:
        """Answers are counted by class and time, the others by why there is none, while a policy has the mirror."""
        counters = self.metrics.of("a.example")
        counters.count(200, 0.004)
        counters.count(503, 0.004)
        counters.unanswered[Unanswered.LATE] += 2
        counters.under_way = 1
        self.assertEqual(counters.copies, 5)
        found = self.samples()
        self.assertEqual(found["warp_edge_mirror_requests_total", "a.example", "2xx"], 1)
        self.assertEqual(found["warp_edge_mirror_requests_total", "a.example", "5xx"], 1)
        self.assertEqual(found["warp_edge_mirror_unanswered_total", "a.example", "late"], 2)
        self.assertEqual(found["warp_edge_mirror_request_duration_seconds_bucket", "a.example", "0.005"], 2)
        parts = [sample for family in self.metrics.collect_in_parts() for sample in family.samples]
        self.assertEqual(len(parts), len(found))
        self.assertIs(self.metrics.of("a.example"), counters)
        self.metrics.keep({"a.example"})
        self.assertIs(self.metrics.of("a.example"), counters)
        self.metrics.keep(set())
        self.assertEqual(self.samples(), {})

    def test_second(self) -> None:
        """Each second begins anew with what may be read of answers."""
        counters = self.metrics.of("a.example")
        counters.read_bytes = 5
        self.metrics.begin_second()
        self.assertEqual(counters.read_bytes, 0)
