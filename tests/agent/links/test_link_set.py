"""Tests of `warp_twisted.agent.links.link_set`."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import AgentRefused
from warp_twisted.agent.links.backoff import HASTEN_SECONDS
from warp_twisted.agent.links.edge_dialer import EdgeDialer
from warp_twisted.agent.links.edges import FAILED_SECONDS, Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.link_set import LinkCounts, LinkSet
from warp_twisted.names import one_line
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, TunnelPair, tunnel_pair
from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol
from warp_twisted.wire.control import Accepted, ControlMessage, Hello, Notice, OriginHealth, Refused
from warp_twisted.wire.releases import KNOWN
from warp_twisted.wire.streams import Stream

A, B = EdgeAddress("192.0.2.1", 7844), EdgeAddress("192.0.2.2", 7844)
HEALTH = OriginHealth(route_id=1, healthy=True)


class FakeDialer(EdgeDialer):
    """Chooses the edge that has the fewest, and connects when the test says so."""

    has_connections = False

    def __init__(self) -> None:
        self.dials: list[tuple[EdgeAddress, TunnelDelegate, Deferred[TunnelProtocol]]] = []

    async def choose(self, in_use: Sequence[EdgeAddress]) -> EdgeAddress:
        """Choose."""
        return min((A, B), key=in_use.count)

    async def prepare(self, edge: EdgeAddress, preparation: Callable[[EdgeAddress], Awaitable[None]]) -> None:
        """Have it done."""
        await preparation(edge)

    async def dial(self, edge: EdgeAddress, delegate: TunnelDelegate) -> TunnelProtocol:
        """Remember the dial."""
        dialing: Deferred[TunnelProtocol] = Deferred()
        self.dials.append((edge, delegate, dialing))
        return await dialing


class FakeAgent:
    """An agent that remembers what its links tell."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.has_expired = False
        self.ended = 0

    async def before_dial(self, edge: EdgeAddress) -> None:
        """Refuse when expired."""
        if self.has_expired:
            raise AgentRefused("expired")

    def edge_not_valid(self, edge: EdgeAddress) -> None:
        """Remember."""
        self.told.append(("not valid", edge.port))

    def hello(self, link: Link) -> Hello:
        """Introduce the agent."""
        return Hello(version=1, software="test", agent_id="a-1", session="s", slot=link.slot)

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """Remember."""
        self.told.append(("stream", route_id))

    def control_received(self, link: Link, message: ControlMessage) -> None:
        """Remember."""
        self.told.append((type(message).__name__, link.index))

    def link_up(self, link: Link, accepted: Accepted) -> None:
        """Remember."""
        self.told.append(("up", link.index))

    def link_down(self, link: Link, reason: str, retry_seconds: float | None) -> None:
        """Remember."""
        self.told.append((reason, link.index))

    def link_refused(self, link: Link, refused: Refused) -> None:
        """Remember."""
        self.told.append((refused.code, link.index))

    def link_ended(self) -> None:
        """Count."""
        self.ended += 1


class LinkSetTests(SynchronousTestCase):
    """Two links and their edges in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = FakeAgent()
        self.dialer = FakeDialer()
        self.edges = Edges(fixed=[A, B])
        self.links = LinkSet(2, self.agent, self.dialer, self.edges, self.clock, Random(1))
        self.heard: list[RecordingDelegate] = []

    def open(self, which: int) -> TunnelPair:
        """Let a dial succeed, and the edge accept."""
        _, delegate, dialing = self.dialer.dials[which]
        edge = RecordingDelegate()
        self.heard.append(edge)
        pair = tunnel_pair(edge, delegate, clock=self.clock)
        dialing.callback(pair.agent)
        self.answer(pair, Accepted(edge="edge1", tunnel_id="t1"))
        return pair

    def answer(self, pair: TunnelPair, message: ControlMessage) -> None:
        """Let the edge of a tunnel say something."""
        pair.edge.send_control(message)
        pair.pump()

    def test_notice(self) -> None:
        """The hello says that notices are read; one that comes is logged on one line, and is nobody else's."""
        self.links.start()
        pair = self.open(0)
        (hello,) = [message for message in self.heard[0].messages if isinstance(message, Hello)]
        self.assertEqual(hello.knows, list(KNOWN))
        told = list(self.agent.told)
        with capturedLogs() as events:
            self.answer(pair, Notice(code="copied", text="a copy\nwas refused"))
        self.assertEqual(self.agent.told, told)
        self.assertEqual([event["text"] for event in events if "text" in event], [one_line("a copy\nwas refused", 300)])

    def test_each_link_has_an_edge_of_its_own(self) -> None:
        """An edge that another link uses counts, so tunnels are spread."""
        self.links.start()
        self.assertEqual([edge for edge, _, _ in self.dialer.dials], [A, B])
        self.assertEqual([link.edge for link in self.links], [A, B])

    def test_edge_that_starts_anew(self) -> None:
        """A link whose edge has a successor dials that edge again, once, whatever the others use."""
        (link, other), dialer = list(self.links)[:2], self.dialer
        self.links.dial(other, RecordingDelegate())
        link.edge, link.stays = B, True
        self.links.dial(link, RecordingDelegate())
        self.assertEqual((dialer.dials[-1][0], link.stays), (B, False))
        self.links.dial(link, RecordingDelegate())
        self.assertEqual(dialer.dials[-1][0], A)

    def test_up(self) -> None:
        """A tunnel that comes up is counted, its edge is good again, and links that wait try at once."""
        self.links.start()
        self.dialer.dials[1][2].errback(ConnectionRefusedError())
        self.edges.failed(A, 0.0)
        self.open(0)
        self.assertEqual((self.links.up_count, self.links.counts), (1, LinkCounts(registered=1, lost=1)))
        self.assertEqual(self.edges.choose([[A, B]], [B], FAILED_SECONDS / 2), A)
        self.assertEqual([link.edge_name for link in self.links], ["edge1", ""])
        self.clock.advance(HASTEN_SECONDS)
        self.assertEqual(len(self.dialer.dials), 3)

    def test_told(self) -> None:
        """The agent hears of tunnels, messages and streams; a reason has no full stop."""
        self.links.start()
        pair = self.open(0)
        self.answer(pair, Refused(code="x", reason="y", retry=False))
        self.dialer.dials[1][2].errback(ConnectionRefusedError())
        pair.edge.open_route(7, RecordingReceiver())
        pair.pump()
        self.assertEqual(
            self.agent.told, [("up", 0), ("Refused", 0), ("Connection was refused by other side", 1), ("stream", 7)]
        )

    def test_send(self) -> None:
        """A message goes to every tunnel that is up, or to one of them."""
        self.links.start()
        self.assertFalse(self.links.send_one(HEALTH))
        pairs = [self.open(0), self.open(1)]
        self.links.send(HEALTH)
        self.assertTrue(self.links.send_one(HEALTH))
        for pair in pairs:
            pair.pump()
        self.assertEqual([edge.messages.count(HEALTH) for edge in self.heard], [2, 1])

    def test_refused(self) -> None:
        """The agent hears from which tunnel's edge a refusal came."""
        self.links.start()
        _, second = self.links
        self.links.link_refused(second, Refused(code="revoked", reason="no", retry=False))
        self.assertEqual(self.agent.told[-1], ("revoked", 1))

    def test_no_dial_without_a_certificate(self) -> None:
        """When the agent says that dialing makes no sense, nothing is dialed."""
        self.agent.has_expired = True
        self.links.start()
        self.assertEqual((self.dialer.dials, [told[0] for told in self.agent.told]), ([], ["expired"] * 2))

    def test_finished(self) -> None:
        """The set has finished when each link has, and no connection is open any more."""
        self.links.start()
        pair = self.open(0)
        self.links.drain("stop", 1.0)
        self.assertFalse(self.links.has_finished)
        self.links.stop()
        self.dialer.has_connections = True
        self.assertFalse(self.links.has_finished)
        self.dialer.has_connections = False
        pair.pump()
        self.assertTrue(self.links.has_finished)
        self.assertGreaterEqual(self.agent.ended, 2)
