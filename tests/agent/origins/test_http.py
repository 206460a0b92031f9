"""Tests of `warp_twisted.agent.origins.http`."""

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.http import HttpOrigin, parse
from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.errors import InvalidSettings

REQUEST = OriginRequest(connect_timeout=3.0)


class HttpOriginTests(SynchronousTestCase):
    """`http://` and `https://`."""

    def test_ports(self) -> None:
        """The scheme's own port is the default."""
        self.assertEqual(parse("http://a", REQUEST), HttpOrigin("http", "a", 80, REQUEST))
        self.assertEqual(parse("https://a", REQUEST), HttpOrigin("https", "a", 443, REQUEST))
        self.assertEqual(parse("https://[::1]:8443", REQUEST).text, "https://[::1]:8443")

    def test_the_edge_parses_requests(self) -> None:
        """Both are HTTP to the edge."""
        self.assertEqual({parse(f"{scheme}://a", REQUEST).protocol for scheme in ("http", "https")}, {"http"})

    def test_dials(self) -> None:
        """The host and port are dialed with the rule's time-out, with TLS for https."""
        for scheme, has_tls in (("http", False), ("https", True)):
            reactor = MemoryReactorClock()
            dial = parse(f"{scheme}://192.0.2.1:8080", REQUEST).access(reactor)
            dial.endpoint.connect(Factory.forProtocol(Protocol))
            self.assertEqual(reactor.tcpClients[0][:2], ("192.0.2.1", 8080))
            self.assertEqual((dial.tls, dial.timeout), (has_tls, 3.0))

    def test_time_for_tls(self) -> None:
        """TLS may have a time of its own in addition; plain HTTP needs none."""
        request = OriginRequest(connect_timeout=3.0, tls_timeout=4.0)
        for scheme, expected in (("http", 3.0), ("https", 7.0)):
            self.assertEqual(parse(f"{scheme}://192.0.2.1", request).access(MemoryReactorClock()).timeout, expected)

    def test_authorities_are_read_when_it_is_dialed(self) -> None:
        """A ca that cannot be read is refused for https; http does not look at it."""
        request = OriginRequest(ca="/nowhere")
        self.assertRaises(InvalidSettings, parse("https://a", request).access, MemoryReactorClock())
        self.assertFalse(parse("http://a", request).access(MemoryReactorClock()).tls)
