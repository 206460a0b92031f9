"""Tests of `warp_dns.program.web`."""

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.program.web import watch_site


class WatchSiteTests(SynchronousTestCase):
    """What monitoring is answered."""

    def setUp(self) -> None:
        self.is_ready = False
        self.site = watch_site([], lambda: self.is_ready)

    def ask(self, path: str) -> tuple[str, str]:
        """Return status and body of an answer."""
        channel = self.site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(f"GET {path} HTTP/1.0\r\n\r\n".encode())
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
        """`/metrics` is there; what it answers comes from a thread, and is read by tests.system.dns.test_service."""
        self.assertEqual(sorted(self.site.resource.children), [b"live", b"metrics", b"ready"])

    def test_nothing_else(self) -> None:
        """Other paths are 404."""
        self.assertEqual(self.ask("/")[0], "404")
