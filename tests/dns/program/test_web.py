"""Tests of `warp_dns.program.web`."""

from typing import Any

from prometheus_client import generate_latest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from warp_base.slices import Slices
from warp_dns.program.web import watch_site
from warp_dns.serve.metrics import Counters, DnsCollector


class _Clock(Clock):
    """Counts the turns that are asked for."""

    turns = 0

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> Any:
        """Count a call."""
        self.turns += 1
        return super().callLater(delay, callable, *args, **kwargs)


class WatchSiteTests(SynchronousTestCase):
    """What monitoring is answered."""

    def setUp(self) -> None:
        self.is_ready = False
        self.clock = _Clock()
        counters = self.counters = Counters()
        for number in range(200):
            counters.serials[f"z{number}.example"] = number
        self.site = watch_site([DnsCollector(counters)], lambda: self.is_ready, Slices(self.clock, 0.0))

    def ask(self, path: str) -> tuple[str, str]:
        """Return status and body of an answer."""
        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self.clock.advance(0)
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        return head.split()[1], body

    def test_ready(self) -> None:
        """`/ready` is 503 until every zone is answered from."""
        self.assertEqual(self.ask("/ready"), ("503", "not ready\n"))
        self.is_ready = True
        self.assertEqual(self.ask("/ready"), ("200", "ready\n"))

    def test_live(self) -> None:
        """`/live` is 200 for as long as the reactor turns."""
        self.assertEqual(self.ask("/live"), ("200", "live\n"))

    def test_metrics(self) -> None:
        """`/metrics` has every zone, in the text that Prometheus reads, and is made a few at a time."""
        status, body = self.ask("/metrics")
        self.assertEqual(status, "200")
        self.assertEqual(body.count("warp_dns_zone_serial{"), 200)
        self.assertEqual(body.count("# TYPE warp_dns_zone_serial gauge"), 1)
        self.assertGreater(self.clock.turns, 10)
        text = generate_latest(DnsCollector(self.counters)).decode()
        self.assertEqual(body, text)

    def test_nothing_else(self) -> None:
        """Other paths are 404."""
        self.assertEqual(self.ask("/")[0], "404")
