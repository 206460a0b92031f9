"""`edge.peers.link`: both ends tell what they have, a reader that stops costs nothing, a broken one ends the link."""

from collections.abc import Callable

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.peers.samples import EDGE, tunnel
from warp_base.slices import Slices
from warp_twisted.edge.peers.hearing import Heard, Hearing
from warp_twisted.edge.peers.link import STATE_ROUTE, Link
from warp_twisted.edge.peers.messages import Greeting, encode_message
from warp_twisted.edge.peers.telling import Tellable, Teller
from warp_twisted.registry.model import Value
from warp_twisted.testing import MemoryTransport, RecordingReceiver, TunnelPair
from warp_twisted.tunnel import TunnelProtocol, Turn
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import DISCARD, Stream

COUNT = 2000
GREETING = Greeting(version=1, run="run", software="test", region="eu")


class Owner:
    """Who has one end: tells what it has, and keeps what it hears."""

    def __init__(self, edge: str) -> None:
        self.values: dict[str, Value | None] = {EDGE.key: EDGE}
        self.heard: dict[str, Value | None] = {}
        self.is_complete = False
        self.lost: list[WireError] = []
        read: Callable[[str], Tellable] = self.values.get
        self.teller = Teller(read)
        self.drained = 0
        self.streams: list[str] = []
        self.routes: dict[int, Callable[[str, Stream], None]] = {1: self.served}

    def served(self, edge: str, stream: Stream) -> None:
        """Keep what came."""
        self.streams.append(edge)
        stream.receiver = DISCARD
        stream.write(encode_opening(OpeningCode.OPENED))

    def link_opened(self, link: Link) -> None:
        """Tell all that there is."""
        link.teller.mark(list(self.values))
        link.teller.mark_snapshot_end()
        link.pump()

    def link_heard(self, link: Link, heard: Heard) -> None:
        """Keep it."""
        self.heard.update(heard.values)
        self.is_complete = self.is_complete or heard.is_complete

    def link_draining(self, link: Link) -> None:
        """Count."""
        self.drained += 1

    def link_lost(self, link: Link, error: WireError) -> None:
        """Keep why."""
        self.lost.append(error)


class LinkTests(SynchronousTestCase):
    """One connection in memory."""

    def setUp(self) -> None:
        """Have two ends that are not joined yet."""
        self.clock = Clock()
        self.owners = [Owner("edge2"), Owner("edge2")]

    def join(self) -> TunnelPair:
        """Join the ends."""
        turn, slices = Turn(self.clock), Slices(self.clock)
        self.links = [
            Link("edge2", owner, owner.teller, Hearing("edge2"), slices, self.clock, GREETING) for owner in self.owners
        ]
        server, client = (
            TunnelProtocol(role, link, clock=self.clock, turn=turn, limits=Limits(), opens_both_ways=True)
            for role, link in zip((Role.SERVER, Role.CLIENT), self.links, strict=True)
        )
        here, there = IPv4Address("TCP", "192.0.2.1", 7844), IPv4Address("TCP", "192.0.2.2", 40000)
        ends = MemoryTransport(server, here, there, 65536, None), MemoryTransport(client, there, here, 65536, None)
        ends[0].other, ends[1].other = ends[1], ends[0]
        server.makeConnection(ends[0])
        client.makeConnection(ends[1])
        return TunnelPair(edge=server, agent=client, edge_transport=ends[0], agent_transport=ends[1], clock=self.clock)

    def test_both_tell(self) -> None:
        """Each end hears all that the other has, whole, and then what changes."""
        first, second = self.owners
        first.values |= {each.key: each for each in map(tunnel, range(COUNT))}
        pair = self.join()
        pair.pump(20_000)
        self.assertEqual((second.heard, second.is_complete), (first.values, True))
        self.assertEqual((first.heard, first.is_complete), (second.values, True))
        first.values[tunnel(1).key] = None
        first.teller.mark([tunnel(1).key])
        self.links[0].pump()
        pair.pump()
        self.assertIsNone(second.heard[tunnel(1).key])

    def test_a_reader_that_stops(self) -> None:
        """What waits for it is bounded, however much changes; it hears the last word when it reads again."""
        first, second = self.owners
        first.values |= {each.key: each for each in map(tunnel, range(COUNT))}
        pair = self.join()
        pair.agent_transport.pauseProducing()
        for count in range(20):
            for number in range(COUNT):
                first.values[tunnel(number).key] = tunnel(number, registered_at=float(count))
            first.teller.mark(list(first.values))
            self.links[0].pump()
            pair.pump(20_000)
        waiting = pair.edge.unsent_bytes + len(pair.edge_transport.in_flight)
        self.assertLess(waiting, 1 << 20)
        self.assertLessEqual(len(first.teller), len(first.values) + 1)
        pair.agent_transport.resumeProducing()
        pair.pump(20_000)
        self.assertEqual((second.heard, second.is_complete), (first.values, True))

    def test_other_routes(self) -> None:
        """A stream to a route that somebody serves is that one's; any other is refused, and the link goes on."""
        pair = self.join()
        receivers = RecordingReceiver(), RecordingReceiver()
        for route, receiver in enumerate(receivers, 1):
            receiver.stream = pair.agent.open_route(route, receiver)
        pair.pump()
        self.assertEqual([[each.is_opened for each in receiver.openings] for receiver in receivers], [[True], [False]])
        self.assertEqual((self.owners[0].streams, self.owners[0].lost), (["edge2"], []))

    def test_what_breaks_the_rules(self) -> None:
        """An edge that says what it may not loses the link, and the other end says why."""
        other = tunnel(1, edge="edge3")
        self.owners[0].values[other.key] = other
        pair = self.join()
        pair.pump()
        self.assertEqual((len(self.owners[0].lost), len(self.owners[1].lost)), (1, 1))
        self.assertIn("a tunnel of another edge", self.links[1].why)

    def test_a_second_state_stream(self) -> None:
        """A second stream of that kind ends the link; a stream to any other route is refused."""
        pair = self.join()
        pair.pump()
        receiver = RecordingReceiver()
        receiver.stream = pair.agent.open_route(5, receiver)
        pair.pump()
        self.assertEqual([each.is_opened for each in receiver.openings], [False])
        self.assertEqual(self.owners[0].lost, [])
        again = RecordingReceiver()
        again.stream = pair.agent.open_route(STATE_ROUTE, again, encode_message({"type": "complete"}))
        pair.pump()
        self.assertEqual(len(self.owners[0].lost), 1)

    def test_drain(self) -> None:
        """An end that drains is heard by the other's owner."""
        pair = self.join()
        pair.pump()
        pair.edge.drain("over", 30.0)
        pair.pump()
        self.assertEqual([owner.drained for owner in self.owners], [0, 1])
