"""Tests of `warp_twisted.agent.links.edge_dialer`; the handshake is tested on sockets in `tests.system.agent`."""

from ssl import PROTOCOL_TLS_CLIENT, SSLContext

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.edge_dialer import EdgeDialer
from warp_twisted.agent.links.edges import Edges
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import Turn

A, B = EdgeAddress("192.0.2.1", 7844), EdgeAddress("192.0.2.2", 7844)


class EdgeDialerTests(SynchronousTestCase):
    """Choosing and connecting."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.edges = Edges(fixed=[A, B])
        self.contexts = 0
        self.dialer = EdgeDialer(
            self.reactor,
            self.edges,
            self.context,
            Turn(self.reactor),
            times=None,
            limits=None,
            closed=lambda: None,
        )

    def context(self) -> SSLContext:
        """Count, and return a context."""
        self.contexts += 1
        return SSLContext(PROTOCOL_TLS_CLIENT)

    def test_chooses_what_is_used_least(self) -> None:
        """The edges that other tunnels have come last."""
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.dialer.choose([A]))), B)

    def test_no_edge(self) -> None:
        """Without any edge the reason is an error of its own."""
        self.edges.fixed = ()
        self.failureResultOf(Deferred.fromCoroutine(self.dialer.choose([])), NoEdge)

    def test_refused(self) -> None:
        """An edge that refuses is told to the caller and comes last from now on; the context is asked for each time."""
        for number in (1, 2):
            dialing = Deferred.fromCoroutine(self.dialer.dial(A, RecordingDelegate()))
            self.assertEqual(self.reactor.tcpClients[-1][:2], (A.host, A.port))
            factory, connector = self.reactor.tcpClients[-1][2], self.reactor.connectors[-1]
            factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
            self.failureResultOf(dialing, ConnectError)
            self.assertEqual(self.contexts, number)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.dialer.choose([B, B]))), B)
        self.assertFalse(self.dialer.has_connections)
