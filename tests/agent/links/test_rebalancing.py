"""Tests of `warp_twisted.agent.links.rebalancing`; tunnels that move are tested on sockets in `tests.system.agent`."""

from random import Random

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.links.test_link import FakeOwner
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.rebalancing import INTERVAL_SECONDS, Rebalancing

A, B = EdgeAddress("192.0.2.1", 7844), EdgeAddress("192.0.2.2", 7844)


class FakeLink(Link):
    """A link to an edge that is up, and remembers that it was moved."""

    is_up = True

    def __init__(self, edge: EdgeAddress, clock: MemoryReactorClock) -> None:
        super().__init__(0, 1, FakeOwner(clock), clock, Random(1))
        self.edge = edge
        self.moves = 0

    def move(self) -> None:
        """Remember."""
        self.moves += 1


class RebalancingTests(SynchronousTestCase):
    """Moving tunnels."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.edges = Edges(fixed=[A, B])
        self.links = [FakeLink(A, self.reactor) for _ in range(2)]
        self.rebalancing = Rebalancing(self.reactor, self.links, self.edges)
        self.rebalancing.start()

    def moves(self) -> list[int]:
        """Return how often each link was moved."""
        return [link.moves for link in self.links]

    def answer(self) -> StringTransport:
        """Let the edge that is tried answer; returns the connection."""
        factory = self.reactor.tcpClients[-1][2]
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        return transport

    def test_one_tunnel_moves_to_an_edge_that_answers(self) -> None:
        """The edge without tunnels is tried, the trial is closed, and one tunnel moves."""
        self.reactor.advance(INTERVAL_SECONDS)
        self.assertEqual(self.reactor.tcpClients[0][:2], (B.host, B.port))
        self.assertEqual(self.moves(), [0, 0])
        transport = self.answer()
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.moves(), [0, 1])

    def test_one_look_at_a_time(self) -> None:
        """While an edge is tried, it is not tried again; after that it is."""
        self.rebalancing.look()
        self.rebalancing.look()
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.answer()
        self.rebalancing.look()
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def test_an_edge_that_does_not_answer(self) -> None:
        """No tunnel moves to an edge that refuses, and it is not tried again soon."""
        self.rebalancing.look()
        self.reactor.tcpClients[0][2].clientConnectionFailed(
            self.reactor.connectors[0], Failure(ConnectionRefusedError())
        )
        self.rebalancing.look()
        self.assertEqual((self.moves(), len(self.reactor.tcpClients)), ([0, 0], 1))

    def test_nothing_moves_while_a_tunnel_is_missing(self) -> None:
        """A link without a tunnel will choose the edge itself."""
        self.links[0].is_up = False
        self.rebalancing.look()
        self.assertEqual(self.reactor.tcpClients, [])

    def test_no_edge_is_known(self) -> None:
        """Without any edge nothing moves, nothing is logged, and it looks again later."""
        self.edges.fixed = ()
        self.rebalancing.look()
        self.edges.fixed = [A, B]
        self.rebalancing.look()
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_stop(self) -> None:
        """A trial that is under way is cancelled, and nothing is left on the clock."""
        self.rebalancing.look()
        self.rebalancing.stop()
        self.rebalancing.stop()
        self.assertEqual(self.reactor.connectors[0].stoppedConnecting, True)
        self.assertEqual([call for call in self.reactor.getDelayedCalls() if call.active()], [])
