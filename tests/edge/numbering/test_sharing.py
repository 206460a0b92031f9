"""Tests of the numbered zone over links: who is followed, what is refused, and that nothing waits without bound."""

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import Events
from tests.dns.numbered.pair import content_of
from tests.dns.zone.test_numbering import Server
from tests.edge.relays.rig import EndOpener
from tests.wire.pair import Pair
from warp_base.slices import Slices
from warp_dns.numbered.telling import VERSION
from warp_twisted.edge.numbering import sharing as module
from warp_twisted.edge.numbering.sharing import RETRY_SECONDS, ZONE_ROUTE, ZoneSharing
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.preamble import OpeningCode, PreambleReader, decode_preamble, encode_opening
from warp_twisted.wire.streams import DISCARD, Stream


class Edge:
    """An edge with its links in memory; a `Links`."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.server = Server()
        self.routes: dict[int, Callable[[str, Stream], None]] = {}
        self.links: dict[str, EndOpener] = {}
        self.sharing = ZoneSharing(self, self.server.numbering, "example.org", Slices(clock), clock)

    def names(self) -> list[str]:
        """Return the edges that are alive."""
        return sorted(self.links)

    def tunnel_to(self, edge: str) -> TunnelProtocol | None:
        """Return the link with an edge."""
        return self.links.get(edge)  # type: ignore[return-value]  # as much of one as is needed


class SharingTests(SynchronousTestCase):
    """Three edges, each linked with the others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.edges = [Edge(f"edge{number}", self.clock) for number in range(3)]
        self.pairs: list[Pair] = []
        for asking in self.edges:
            for other in self.edges:
                if other is not asking:
                    self.link(asking, other)
        self.first, self.second, self.third = self.edges
        self.first.server.numbering.begin(100, 10_000)

    def link(self, asking: Edge, other: Edge) -> None:
        """Link two edges, for streams that the first one opens."""
        pair = Pair()
        self.pairs.append(pair)
        asking.links[other.name] = EndOpener(pair.edge)

        def arrived(stream: Stream, route_id: int) -> None:
            serve = other.routes.get(route_id)
            if serve is None:
                stream.receiver = DISCARD
                stream.write(encode_opening(OpeningCode.NO_SUCH_ROUTE, "an older release"))
                stream.end()
            else:
                serve(asking.name, stream)

        def opened(stream: Stream) -> None:
            PreambleReader(stream, arrived, lambda _, error: self.fail(str(error)), decode_preamble)

        pair.agent.connection._stream_opened = opened

    def pass_on(self, turns: int = 200) -> None:
        """Let bytes and slices go on."""
        for _ in range(turns):
            for pair in self.pairs:
                pair.pump()
            self.clock.advance(0.001)

    def follow(self, *edges: Edge, holder: str = "edge0") -> None:
        """Let edges look whom to follow."""
        for edge in edges or self.edges:
            edge.sharing.follow(holder)
        self.pass_on()

    def assert_same(self, *edges: Edge) -> None:
        """See that edges transfer what the first one has numbered."""
        for edge in edges:
            self.assertEqual(edge.server.live.zone.serial, self.first.server.live.zone.serial)
            self.assertEqual(content_of(edge.server.numbering.zone), content_of(self.first.server.numbering.zone))

    def test_followed(self) -> None:
        """All follow the edge that numbers, change by change; that one follows nobody."""
        self.follow()
        self.assertEqual([edge.sharing.following for edge in self.edges], ["", "edge0", "edge0"])
        for number in range(5):
            self.first.server.publish("a.example.org", f"192.0.2.{number}")
            self.pass_on(20)
        self.assert_same(self.second, self.third)
        self.assertEqual(len(self.second.server.numbering.journal.since(100, 105) or ()), 5)

    def test_another_numbers(self) -> None:
        """When another edge numbers, the others follow that one, and so does the one before."""
        self.follow()
        self.first.server.numbering.end()
        self.second.server.numbering.begin(20_000, 30_000)
        self.follow(holder="edge1")
        self.assertEqual([edge.sharing.following for edge in self.edges], ["edge1", "", "edge1"])
        self.assert_same(self.second, self.third)
        self.assertEqual(self.first.server.live.zone.serial, 20_000)

    def test_no_link_with_it(self) -> None:
        """Without a link with the edge that numbers, another one that follows it is followed."""
        del self.third.links["edge0"]
        self.follow()
        self.assertEqual(self.third.sharing.following, "edge1")
        self.first.server.publish("a.example.org", "192.0.2.1")
        self.pass_on()
        self.assert_same(self.second, self.third)

    def test_one_that_tells_nothing(self) -> None:
        """Without a link with the edge that numbers, an edge that cannot tell is passed over for the next one."""
        del self.second.routes[ZONE_ROUTE]
        self.follow(self.third)
        fourth = Edge("edge3", self.clock)
        for other in (self.second, self.third):
            self.link(fourth, other)
        for _ in range(2):
            self.follow(fourth)
        self.assertEqual(fourth.sharing.following, "edge2")
        self.assert_same(fourth)

    def test_link_lost(self) -> None:
        """When a link is another one, the stream is opened anew there; while there is none, what is here stays."""
        self.follow()
        del self.second.links["edge0"], self.second.links["edge2"]
        self.follow(self.second)
        self.assertEqual(self.second.sharing.following, "")
        self.first.server.publish("a.example.org", "192.0.2.1")
        self.pass_on()
        self.assertEqual(self.second.server.live.zone.serial, 100)
        self.link(self.second, self.first)
        self.follow(self.second)
        self.assert_same(self.second)

    def test_older_release(self) -> None:
        """An edge whose release has no such stream, or another version of it, is asked again later."""
        logged = Events()
        self.patch(module._Following, "_log", Logger(observer=logged))
        del self.first.routes[ZONE_ROUTE], self.second.links["edge2"]
        self.follow(self.second)
        self.follow(self.second)
        self.assertEqual(self.second.sharing.following, "")

        def another(edge: str, stream: Stream) -> None:
            stream.receiver = DISCARD
            stream.write(encode_opening(OpeningCode.OPENED) + b"\2")

        self.first.routes[ZONE_ROUTE] = another
        self.clock.advance(RETRY_SECONDS)
        self.follow(self.second)
        self.assertIn("another way", logged[-1]["reason"])
        self.first.routes[ZONE_ROUTE] = self.first.sharing._asked
        for _ in range(2):
            self.clock.advance(RETRY_SECONDS)
            self.follow(self.second)
        self.assert_same(self.second)

    def test_nonsense(self) -> None:
        """An edge that tells what no zone can hold is left, and what was here stays."""
        logged = Events()
        self.patch(module._Following, "_log", Logger(observer=logged))

        def nonsense(edge: str, stream: Stream) -> None:
            stream.receiver = DISCARD
            stream.write(encode_opening(OpeningCode.OPENED) + VERSION + b"\0\0\0\4nope")

        self.first.routes[ZONE_ROUTE] = nonsense
        self.follow(self.second)
        self.assertIn("cannot be read", logged[-1]["reason"])
        self.assertIsNone(self.second.server.numbering.zone)

    def test_one_stream_of_an_edge(self) -> None:
        """An edge that asks again is told on the newest stream only, so it costs one teller however often it asks."""
        self.follow(self.second)
        for _ in range(5):
            self.second.sharing.stop()
            self.pass_on(5)
            self.follow(self.second)
        self.assertEqual(len(self.first.sharing._telling), 1)
        self.assertEqual(len(self.first.server.numbering._told), 2)  # the test's own, and that one
        self.second.sharing.stop()
        self.pass_on()
        self.assertEqual(len(self.first.server.numbering._told), 1)

    def test_slow_reader(self) -> None:
        """For an edge that reads nothing a window of the zone waits, whatever changes."""
        for number in range(3_000):
            self.first.server.publish(f"a{number}.example.org", "192.0.2.1")
        self.second.sharing.follow("edge0")
        pair = self.pairs[2]
        for _ in range(50):
            pair.pump()  # no time passes, so no slice is taken: nothing is read
        for number in range(3_000):
            self.first.server.publish(f"a{number}.example.org", "192.0.2.2")
        (telling,) = self.first.sharing._telling.values()
        self.assertLess(telling._stream.queued_bytes, 512 * 1024)
        self.pass_on(2_000)
        self.assert_same(self.second)
