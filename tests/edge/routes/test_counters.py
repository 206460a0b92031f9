"""Tests of the data path's counters and their exposition."""

from prometheus_client import CollectorRegistry, generate_latest
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.refusals import NO_TUNNEL
from warp_twisted.edge.routes.counters import MAX_HOSTNAMES, DataPathCollector, DataPathMetrics
from warp_twisted.edge.routes.share_counters import BUCKETS, OTHER


class MetricsTests(SynchronousTestCase):
    """Counting and showing."""

    def setUp(self) -> None:
        self.metrics = DataPathMetrics()

    def scrape(self) -> str:
        """Return what Prometheus would get."""
        registry = CollectorRegistry()
        registry.register(DataPathCollector(self.metrics, lambda: 3, lambda: (2, 5), lambda: (4, 1), lambda: 2))
        return generate_latest(registry).decode()

    def test_exposition(self) -> None:
        """Each counter has its name and labels."""
        app = self.metrics.of_hostname("app.example")
        self.metrics.count_request(app, 200, 100, 1000, 0.0004)
        self.metrics.count_request(app, 503, 100, 300, 0.03)
        self.metrics.count_request(self.metrics.unrouted, 404, 50, 200, 70.0)
        self.metrics.count_refusal(NO_TUNNEL)
        self.metrics.connections = 7
        self.metrics.retries = 1
        self.metrics.retries_over_budget = 2
        self.metrics.ejections = 3
        text = self.scrape()
        for line in (
            'warp_edge_requests_total{code="2xx",hostname="app.example"} 1.0',
            'warp_edge_requests_total{code="5xx",hostname="app.example"} 1.0',
            'warp_edge_requests_total{code="4xx",hostname="other"} 1.0',
            'warp_edge_bytes_total{direction="in",hostname="app.example"} 200.0',
            'warp_edge_bytes_total{direction="out",hostname="app.example"} 1300.0',
            'warp_edge_request_duration_seconds_bucket{le="0.001"} 1.0',
            'warp_edge_request_duration_seconds_bucket{le="0.05"} 2.0',
            'warp_edge_request_duration_seconds_bucket{le="+Inf"} 3.0',
            "warp_edge_request_duration_seconds_count 3.0",
            'warp_edge_hostname_duration_seconds_bucket{hostname="app.example",le="0.01"} 1.0',
            'warp_edge_hostname_duration_seconds_bucket{hostname="app.example",le="0.05"} 2.0',
            'warp_edge_hostname_duration_seconds_bucket{hostname="app.example",le="+Inf"} 2.0',
            'warp_edge_hostname_duration_seconds_count{hostname="app.example"} 2.0',
            'warp_edge_hostname_duration_seconds_sum{hostname="app.example"} 0.0304',
            'warp_edge_hostname_duration_seconds_bucket{hostname="other",le="60.0"} 0.0',
            'warp_edge_hostname_duration_seconds_bucket{hostname="other",le="+Inf"} 1.0',
            'warp_edge_refusals_total{reason="no-tunnel"} 1.0',
            "warp_edge_retries_total 1.0",
            "warp_edge_retries_over_budget_total 2.0",
            "warp_edge_ejections_total 3.0",
            "warp_edge_ejected_origins 2.0",
            "warp_edge_suspicions_total 4.0",
            "warp_edge_suspected_tunnels 1.0",
            "warp_edge_failed_handshakes_total 0.0",
            "warp_edge_visitor_connections_total 7.0",
            "warp_edge_visitors 3.0",
            'warp_edge_streams{state="used"} 2.0',
            'warp_edge_streams{state="idle"} 5.0',
        ):
            self.assertIn(line + "\n", text)
        self.assertEqual(self.metrics.requests, 3)

    def test_bucket_edges(self) -> None:
        """A duration that equals a bound belongs to its bucket."""
        for bound in BUCKETS:
            self.metrics.count_request(self.metrics.unrouted, 200, 0, 0, bound)
        cumulative, seconds = self.metrics.histogram()
        self.assertEqual([count for _, count in cumulative], [*range(1, len(BUCKETS) + 1), len(BUCKETS)])
        self.assertAlmostEqual(seconds, sum(BUCKETS))

    def test_hostnames_are_bounded(self) -> None:
        """Hostnames beyond the limit are counted together; a forgotten one makes room."""
        for number in range(MAX_HOSTNAMES):
            self.metrics.of_hostname(f"h{number}.example")
        self.assertIs(self.metrics.of_hostname("one.more.example"), self.metrics.unrouted)
        self.metrics.forget_hostname("h0.example")
        self.metrics.forget_hostname(OTHER)
        self.assertIsNot(self.metrics.of_hostname("one.more.example"), self.metrics.unrouted)
        self.assertIn(OTHER, self.metrics.hosts)
