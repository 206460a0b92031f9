"""Tests of the places of an origin that takes only so many requests at once."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel, opened
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.members import AtLimit, Members, NoTunnel
from warp_twisted.edge.routes.places import LimitedMember, NoPlace, Places
from warp_twisted.edge.routes.pool import Member, OriginStream
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode

ANY = float("-inf")


class PlacesTests(SynchronousTestCase):
    """Two tunnels of one agent, whose origin takes four requests at once."""

    def setUp(self) -> None:
        self.freed = 0
        self.places = Places(4, self.note)
        self.tunnels = [FakeTunnel(name) for name in ("t-1", "t-2")]
        self.members = [
            LimitedMember(TunnelLoad(tunnel), 1, ResponseRules(), 2, None, self.places) for tunnel in self.tunnels
        ]
        self.both = Members("a.example")
        for member in self.members:
            self.both.put(member)

    def note(self, places: Places) -> None:
        """Count the places that were freed."""
        self.assertIs(places, self.places)
        self.freed += 1

    def borrow(self, network: str) -> OriginStream:
        """Borrow a stream for a network."""
        return self.both.borrow(FakeBorrower(network))

    def test_limit(self) -> None:
        """The limit is that of the agent, over all its tunnels; another agent without one takes the rest."""
        for network in "abcd":
            self.borrow(network)
        self.assertEqual((self.places.taken, self.places.held), (4, dict.fromkeys("abcd", 1)))
        with self.assertRaises(AtLimit) as raised:
            self.borrow("e")
        self.assertIs(raised.exception.members, self.both)
        self.assertRaises(NoPlace, self.members[0].lend, FakeBorrower("e"), ANY)
        other = Member(TunnelLoad(FakeTunnel("t-3", "agent-2")), 1, ResponseRules(), 2)
        self.both.put(other)
        for network in "efgh":
            self.assertIs(self.borrow(network).member, other)

    def test_one_network(self) -> None:
        """One network never has all places where there are four or more: a quarter is left to the others."""
        for _ in range(3):
            self.borrow("a")
        self.assertRaises(AtLimit, self.borrow, "a")
        self.borrow("b")
        for limit, most in ((1, 1), (3, 3), (4, 3), (10, 8), (100, 75)):
            self.assertEqual(Places(limit, self.note).of_one, most)

    def test_promised(self) -> None:
        """A place that is kept for who waits is free for nobody else."""
        for network in "abc":
            self.borrow(network)
        self.places.promised = 1
        self.assertRaises(AtLimit, self.borrow, "d")

    def test_given_back(self) -> None:
        """However a stream is given back, its place is free again, once."""
        ways = 0
        for way in ("release", "discard", "end", "refused", "lost", "upgraded", "deaf"):
            self.setUp()
            origin = self.borrow("a")
            if way == "refused":
                self.tunnels[self.members.index(origin.member)].protocol.answer(  # type: ignore[arg-type]
                    origin.stream, OpeningCode.ORIGIN_REFUSED
                )
            else:
                opened(origin)
                if way == "upgraded":
                    origin.leave_place()
                    self.assertEqual(self.freed, 1)
                origin.stream.peer_heard = way != "deaf"
                if way in ("release", "deaf"):
                    origin.release(1.0)
                elif way == "end":
                    origin.end()
                else:
                    if way == "lost":
                        origin.stream.lose(StreamReset())
                    origin.discard()
            self.assertEqual((self.places.taken, self.places.held, self.freed), (0, {}, 1), way)
            ways += 1
        self.assertEqual(ways, 7)

    def test_stream_used_again(self) -> None:
        """An idle stream is lent like any other, and with a place."""
        origin = opened(self.borrow("a"))
        origin.stream.peer_heard = True
        origin.release(1.0)
        self.assertEqual(self.places.taken, 0)
        self.assertIs(origin.member.lend(FakeBorrower("b"), ANY), origin)
        self.assertEqual(self.places.held, {"b": 1})

    def test_tunnel_full(self) -> None:
        """A tunnel that takes no more streams costs no place."""
        for tunnel in self.tunnels:
            tunnel.protocol.is_full = True
        with self.assertRaises(NoTunnel) as raised:
            self.borrow("a")
        self.assertNotIsInstance(raised.exception, AtLimit)
        self.assertEqual(self.places.taken, 0)

    def test_gone(self) -> None:
        """A tunnel that serves no more is none of the agent's; what is under way keeps its place."""
        origin = self.borrow("a")
        for member in self.members:
            member.retire()
        self.assertEqual((self.places.members, self.places.taken), (set(), 1))
        origin.discard()
        self.assertEqual(self.places.taken, 0)
