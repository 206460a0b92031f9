"""Tests of `warp_twisted.agent.links.rebalancing`; tunnels that move are tested on sockets in `tests.system.agent`."""

from random import Random
from types import SimpleNamespace
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.links.test_link import FakeOwner
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.rebalancing import (
    INTERVAL_SECONDS,
    MEASURE_SECONDS,
    MEASURED_AT_ONCE,
    MOVED_SECONDS,
    Rebalancing,
)
from warp_twisted.tunnel import TunnelProtocol

A, B = EdgeAddress("192.0.2.1", 7844), EdgeAddress("192.0.2.2", 7844)
MANY = [EdgeAddress("192.0.2.9", port) for port in range(1, 9)]


class FakeLink(Link):
    """A link to an edge that is up, and remembers that it was moved."""

    is_up = True
    tunnel: TunnelProtocol | None = None

    def __init__(self, edge: EdgeAddress, clock: Clock) -> None:
        super().__init__(0, 1, FakeOwner(clock), clock, Random(1))
        self.edge = edge
        self.moves = 0

    def move(self) -> None:
        """Remember."""
        self.moves += 1


class FakeRoundTrips:
    """Edges that answer when the test says so."""

    def __init__(self) -> None:
        self.asked: list[EdgeAddress] = []
        self.answer: Deferred[float] = Deferred()
        self.cancelled = 0

    async def measure(self, edge: EdgeAddress) -> float:
        """Ask."""
        self.asked.append(edge)
        self.answer = Deferred(self._cancel)
        return await self.answer

    def _cancel(self, _: Deferred[float]) -> None:
        self.cancelled += 1


class RebalancingTests(SynchronousTestCase):
    """Moving tunnels."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.edges = Edges(fixed=[A, B])
        self.links = [FakeLink(A, self.clock) for _ in range(2)]
        self.trips = FakeRoundTrips()
        self.rebalancing = Rebalancing(self.clock, self.links, self.edges, self.trips, Random(1))
        self.rebalancing.start()

    def moves(self) -> list[int]:
        """Return how often each link was moved."""
        return [link.moves for link in self.links]

    def test_one_tunnel_moves_to_an_edge_that_answers(self) -> None:
        """The edge without tunnels is asked, and one tunnel moves."""
        self.clock.advance(INTERVAL_SECONDS * 1.5)
        self.assertEqual((self.trips.asked, self.moves()), ([B], [0, 0]))
        self.trips.answer.callback(0.01)
        self.assertEqual(self.moves(), [0, 1])
        self.assertEqual(self.edges.nearness.round_trip(B), 0.01)

    def test_agents_look_at_moments_of_their_own(self) -> None:
        """From half to one and a half of the interval, by chance."""
        moments = []
        for seed in range(200):
            clock = Clock()
            Rebalancing(clock, [], self.edges, self.trips, Random(seed)).start()
            moments.append(clock.getDelayedCalls()[0].getTime() / INTERVAL_SECONDS)
        self.assertTrue(0.5 <= min(moments) < 0.6 and 1.4 < max(moments) <= 1.5, moments)

    def test_one_look_at_a_time(self) -> None:
        """While an edge is asked, it is not asked again; after that it is."""
        self.rebalancing.look()
        self.rebalancing.look()
        self.assertEqual(len(self.trips.asked), 1)
        self.trips.answer.callback(0.01)
        self.rebalancing.look()
        self.assertEqual(len(self.trips.asked), 2)

    def test_an_edge_that_does_not_answer(self) -> None:
        """No tunnel moves to an edge that does not answer; with each look it is asked again, and has one if it does."""
        for count in (1, 2, 3):
            self.rebalancing.look()
            self.assertEqual((self.moves(), len(self.trips.asked)), ([0, 0], count))
            self.trips.answer.errback(ConnectionRefusedError())
        self.rebalancing.look()
        self.trips.answer.callback(0.01)  # it is back
        self.trips.answer.callback(0.01)  # and is asked as any edge that gets a tunnel
        self.assertEqual(self.moves(), [0, 1])

    def test_an_edge_that_refuses(self) -> None:
        """An edge that answered, but did not take a tunnel, is not asked before its time is over."""
        self.edges.failed(B, 0.0, refused=True)
        self.rebalancing.look()
        self.assertEqual(self.trips.asked, [])
        self.rebalancing.stop()
        self.clock.advance(121.0)
        self.rebalancing.look()
        self.assertEqual(self.trips.asked, [B])

    def test_more_than_one_is_due(self) -> None:
        """After a move the next look comes soon, as others may be due."""
        self.links += [FakeLink(A, self.clock) for _ in range(2)]
        self.rebalancing.look()
        self.trips.answer.callback(0.01)
        self.links[3].edge = B
        self.clock.advance(1.5 * MOVED_SECONDS)
        self.trips.answer.callback(0.01)
        self.assertEqual(self.moves(), [0, 0, 1, 1])

    def test_nothing_moves_while_a_tunnel_is_missing(self) -> None:
        """A link without a tunnel will choose the edge itself."""
        self.links[0].is_up = False
        self.rebalancing.look()
        self.assertEqual(self.trips.asked, [])

    def test_no_edge_is_known(self) -> None:
        """Without any edge nothing moves, nothing is logged, and it looks again later."""
        self.edges.fixed = ()
        self.rebalancing.look()
        self.edges.fixed = [A, B]
        self.rebalancing.look()
        self.assertEqual(len(self.trips.asked), 1)

    def test_the_tunnel_with_the_fewest_streams_moves(self) -> None:
        """What lasts, such as a WebSocket, is cut a minute after its tunnel is left."""
        for link, count in zip(self.links, (1, 3), strict=True):
            link.tunnel = cast(TunnelProtocol, SimpleNamespace(round_trip_seconds=None, stream_count=count))
        self.rebalancing.look()
        self.trips.answer.callback(0.01)
        self.assertEqual(self.moves(), [1, 0])

    def test_measuring(self) -> None:
        """Where there are more edges than are needed, a few are measured in each look, and again after a while."""
        self.edges.fixed = MANY
        self.links[0].edge, self.links[1].edge = MANY[:2]
        self.edges.nearness.measured(MANY[0], 0.001, 0.0)
        self.edges.nearness.measured(MANY[1], 0.001, 0.0)
        for expected in (MEASURED_AT_ONCE, 6):
            self.rebalancing.look()
            while not self.trips.answer.called:
                self.trips.answer.callback(0.5)
            self.assertEqual(len(set(self.trips.asked)), expected)
        self.assertEqual((self.moves(), set(self.trips.asked)), ([0, 0], set(MANY[2:])))
        self.rebalancing.look()
        self.assertEqual(len(self.trips.asked), 6)
        self.rebalancing.stop()
        self.clock.advance(MEASURE_SECONDS + 1)
        self.rebalancing.look()
        self.assertEqual(len(self.trips.asked), 7)

    def test_pings(self) -> None:
        """Of edges with a tunnel its pings are taken, each once."""
        tunnel = SimpleNamespace(round_trip_seconds=0.1)
        self.links[0].tunnel = cast(TunnelProtocol, tunnel)
        self.rebalancing.look()
        tunnel.round_trip_seconds = 0.3
        self.trips.answer.errback(ConnectionRefusedError())
        for _ in range(3):
            self.rebalancing.look()
        self.assertAlmostEqual(self.edges.nearness.round_trip(A) or 0, 0.15)

    def test_stop(self) -> None:
        """A question that is under way is cancelled, and nothing is left on the clock."""
        self.rebalancing.look()
        self.rebalancing.stop()
        self.rebalancing.stop()
        self.assertEqual(self.trips.cancelled, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
