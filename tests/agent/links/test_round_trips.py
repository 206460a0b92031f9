"""Tests of `warp_twisted.agent.links.round_trips`; real edges: `tests.system.agent.test_nearest_edges`."""

import ssl

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.round_trips import ANSWER_SECONDS, RoundTrips

HELLO = b"\x16\x03\x01"  # a record of a handshake


class RoundTripsTests(SynchronousTestCase):
    """One edge in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        trips = RoundTrips(self.reactor, lambda: context)
        self.measuring = Deferred.fromCoroutine(trips.measure(EdgeAddress("192.0.2.1", 7844)))
        self.transport = StringTransport()

    def connect(self) -> IProtocol:
        """Let the connection come about."""
        host, port, factory = self.reactor.tcpClients[0][:3]
        self.assertEqual((host, port), ("192.0.2.1", 7844))
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(self.transport)
        return protocol

    def test_measured(self) -> None:
        """From our greeting to the first bytes; the connection is gone then, and no timer is left."""
        self.reactor.advance(3.0)  # for the connection
        protocol = self.connect()
        self.assertEqual(self.transport.value()[:3], HELLO)
        self.reactor.advance(0.25)
        protocol.dataReceived(HELLO)
        self.assertEqual(self.successResultOf(self.measuring), 0.25)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_does_not_answer(self) -> None:
        """A process that stands still accepts connections and says nothing: that is no answer."""
        self.connect()
        self.reactor.advance(ANSWER_SECONDS)
        self.failureResultOf(self.measuring, TimeoutError)
        self.assertTrue(self.transport.disconnected)

    def test_hangs_up(self) -> None:
        """An edge that closes has not answered."""
        self.connect().connectionLost(Failure(ConnectionDone()))
        self.assertIn("hung up", str(self.failureResultOf(self.measuring, ConnectError).value))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """A port that nobody listens at fails, too."""
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(self.reactor.connectors[0], Failure(ConnectionRefusedError()))
        self.failureResultOf(self.measuring, ConnectionRefusedError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Whoever does not want to know any more leaves no connection."""
        self.connect()
        self.measuring.cancel()
        self.failureResultOf(self.measuring, CancelledError)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
