"""Tests of who is let in."""

import ssl

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.visitors.memory_edge import MemoryEdge
from warp_twisted.edge.refusals import TOO_MANY_FROM_ADDRESS, TOO_MANY_HANDSHAKES
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.factories import TURNED_AWAY, SecureVisitorFactory, VisitorFactory
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.tunnel.tls import TlsProtocol

VISITOR = IPv4Address("TCP", "192.0.2.7", 40_000)


class FactoryTests(SynchronousTestCase):
    """One connection an address."""

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(connections_per_address=1))
        self.visitors = self.edge.visitors

    def test_plain(self) -> None:
        """Within the limit a visitor is let in and counted."""
        self.assertIsInstance(VisitorFactory(self.visitors).buildProtocol(VISITOR), PlainVisitor)
        self.assertEqual((self.edge.metrics.connections, self.visitors.counts.total), (1, 1))

    def test_turned_away(self) -> None:
        """Over the limit a plain visitor is told why, and is cut if it does not close."""
        factory = VisitorFactory(self.visitors)
        factory.buildProtocol(VISITOR)
        protocol, transport = factory.buildProtocol(VISITOR), FakeTransport()
        assert protocol is not None
        protocol.makeConnection(transport)
        self.assertTrue(transport.waiting.startswith(b"HTTP/1.1 429 "), transport.waiting)
        self.assertFalse(transport.is_aborted)
        self.edge.clock.advance(self.visitors.timeouts.linger)
        self.assertTrue(transport.is_aborted)
        self.assertEqual(self.edge.metrics.refusals, {TOO_MANY_FROM_ADDRESS: 1})
        self.assertEqual((self.edge.metrics.connections, self.visitors.counts.total), (1, 1))

    def test_crowd_is_turned_away(self) -> None:
        """A bounded number of those over the limit is told why; others are closed at once, until some have gone."""
        factory = VisitorFactory(self.visitors)
        factory.buildProtocol(VISITOR)
        told = [factory.buildProtocol(VISITOR) for _ in range(TURNED_AWAY)]
        self.assertNotIn(None, told)
        self.assertIsNone(factory.buildProtocol(VISITOR))
        protocol = told[0]
        assert isinstance(protocol, Protocol)
        protocol.makeConnection(FakeTransport())
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(factory.buildProtocol(VISITOR))
        self.assertEqual(self.edge.metrics.refusals, {TOO_MANY_FROM_ADDRESS: TURNED_AWAY + 2})

    def test_secure(self) -> None:
        """Over the limit a visitor on TLS is closed without a word; a failed handshake makes room again."""
        factory = SecureVisitorFactory(self.visitors, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        first = factory.buildProtocol(VISITOR)
        assert isinstance(first, TlsProtocol)
        self.assertIsNone(factory.buildProtocol(VISITOR))
        self.assertEqual(self.edge.metrics.refusals, {TOO_MANY_FROM_ADDRESS: 1})
        self.visitors.handshake_failed("192.0.2.7")
        self.assertEqual((self.edge.metrics.failed_handshakes, self.visitors.counts.total), (1, 0))
        self.assertIsInstance(factory.buildProtocol(VISITOR), TlsProtocol)

    def test_handshakes_have_a_rate(self) -> None:
        """TLS connections above an address's rate are closed before the handshake; others' are not, nor later ones."""
        now = 0.0
        edge = MemoryEdge(VisitorLimits(handshakes_per_second=2.0, handshake_burst=3))
        self.patch(edge.visitors, "seconds", lambda: now)
        factory = SecureVisitorFactory(edge.visitors, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        let_in = [factory.buildProtocol(VISITOR) is not None for _ in range(5)]
        self.assertEqual(let_in, [True] * 3 + [False] * 2)
        self.assertEqual(edge.metrics.refusals, {TOO_MANY_HANDSHAKES: 2})
        self.assertIsNotNone(factory.buildProtocol(IPv4Address("TCP", "192.0.2.8", 40_000)))
        now = 0.5
        self.assertEqual([factory.buildProtocol(VISITOR) is not None for _ in range(2)], [True, False])
        edge.visitors.apply(VisitorLimits(handshakes_per_second=0.0), edge.visitors.timeouts)
        self.assertIsNotNone(factory.buildProtocol(VISITOR))
