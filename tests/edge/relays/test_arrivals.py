"""Tests of streams that another edge opens: to whom they go, and what is refused."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.relays.rig import HOSTNAME, ROUTE, EndOpener, Rig, Tunnel, Visitor
from tests.wire.pair import Pair
from warp_twisted.edge.relays.remote_tunnel import RelayOpener, RemoteTunnel
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.preamble import Opening, OpeningReader
from warp_twisted.wire.relayed import RelayPreamble, encode_relay_preamble

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class ArrivalsTests(SynchronousTestCase):
    """`Arrivals`, at the second edge."""

    def open(
        self, rig: Rig, hostname: str = HOSTNAME, agent: str = "agent-1", rule: str = "", hops: int = 1
    ) -> Visitor:
        """Open a stream at the second edge, and return who hears what became of it."""
        visitor = Visitor()
        heard: list[str] = []

        class Receiver(Visitor):
            def opening_received(self, opening: Opening) -> None:
                heard.append(opening.code.name)

        reader = OpeningReader(Receiver())
        preamble = encode_relay_preamble(RelayPreamble(hostname, agent, rule, hops))
        reader.stream = rig.link.edge.connection.open_stream(reader, preamble)
        rig.pump()
        visitor.events = heard
        return visitor

    def test_joined(self) -> None:
        """A stream that names what a tunnel of this edge serves goes there."""
        rig = Rig()
        self.assertEqual(self.open(rig).events, ["OPENED"])
        self.assertEqual([route for route, _ in rig.served], [ROUTE])

    def test_never_relayed_again(self) -> None:
        """Without hops left, for an agent that only another edge has, for a route or agent that nobody has: refused."""
        rig = Rig()
        third = Pair()
        opener = RelayOpener("edge-3", "agent-3", lambda edge: EndOpener(third.edge), rig.counters.of("edge-3"))
        remote = RemoteTunnel("edge-3", "agent-3", {}, opener)
        rig.second.add(remote, remote.offers([RouteOffer(id=0, hostname=name) for name in (HOSTNAME, "far.example")]))
        for case in (
            {"hops": 0}, {"agent": "agent-3"}, {"agent": "agent-3", "hostname": "far.example"}, {"agent": "agent-9"},
            {"hostname": "other.example"}, {"rule": "^/v1/"}, {"hostname": "*.example"},
        ):  # fmt: skip
            self.assertEqual(self.open(rig, **case).events, ["NOT_RELAYED_AGAIN"], case)
        self.assertEqual((rig.served, third.edge.connection.stream_count), ([], 0))
        self.assertEqual(rig.counters.of("edge-1").refused, 7)
        self.assertEqual(rig.link.agent.connection.stream_count, 0)

    def test_draining(self) -> None:
        """A tunnel that drains gets nothing new, and what it has goes on."""
        rig = Rig()
        visitor = Visitor()
        rig.ask(visitor, REQUEST)
        rig.second.drain(rig.local)
        self.assertEqual(self.open(rig).events, ["NOT_RELAYED_AGAIN"])
        rig.origin.stream.write(b"answer")
        rig.pump()
        self.assertEqual(visitor.data, b"answer")

    def test_least_busy(self) -> None:
        """Of an agent's tunnels the least busy takes it, and a silent one only if there is no other."""
        rig = Rig()
        second = Pair()
        other = Tunnel(EndOpener(second.edge), "t-2")
        rig.second.add(other, [RouteOffer(id=ROUTE, hostname=HOSTNAME)])
        for _ in range(4):
            self.open(rig)
            second.pump()
        self.assertEqual((len(rig.served), len(second.agent.opened)), (2, 2))
        route = rig.second.route_of(HOSTNAME, "")
        assert route is not None
        for member in route.members_of("agent-1"):
            if member.load.tunnel is other:
                route.suspect(member.load)
        self.open(rig)
        self.open(rig)
        self.assertEqual((len(rig.served), len(second.agent.opened)), (4, 2))

    def test_places(self) -> None:
        """An origin that takes four requests at once takes three of one other edge; each gives its place back."""
        rig = Rig(max_requests=4)
        heard = [self.open(rig).events for _ in range(4)]
        self.assertEqual(heard, [["OPENED"]] * 3 + [["OVERLOADED"]])
        rig.served[0][1].stream.reset()
        rig.pump()
        self.assertEqual(self.open(rig).events, ["OPENED"])
        self.assertEqual(rig.counters.of("edge-1").now, 3)

    def test_no_stream_is_kept_where_places_are_counted(self) -> None:
        """A request gives its place at the other edge back when it is over, as its stream is not kept."""
        rig = Rig(max_requests=4)
        for _ in range(6):
            origin = rig.ask(Visitor(), REQUEST)
            rig.served[-1][1].stream.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            rig.pump()
            origin.release(0.0)
            rig.pump()
        self.assertEqual((rig.counters.of("edge-1").now, len(rig.served)), (0, 6))

    def test_full(self) -> None:
        """A tunnel that takes no more streams is said to be full, and another one of the agent is tried before."""
        rig = Rig()
        rig.tunnel.agent.connection.go_away(0)
        rig.pump()
        self.assertEqual(self.open(rig).events, ["OVERLOADED"])
        second = Pair()
        rig.second.add(Tunnel(EndOpener(second.edge), "t-2"), [RouteOffer(id=ROUTE, hostname=HOSTNAME)])
        self.open(rig)
        second.pump()
        self.assertEqual(len(second.agent.opened), 1)
