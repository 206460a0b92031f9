"""Tests of tunnels of which any may serve a request; tests.edge.routes.test_table borrows streams of them."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeOpener, FakeTunnel
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.members import AtLimit, Members, NoTunnel
from warp_twisted.edge.routes.places import LimitedMember, Places
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.routing.outliers import OriginState
from warp_twisted.wire.errors import CannotOpenStream


class Looks:
    """How often tunnels are looked at."""

    count = 0


class CountedMember(Member):
    """A tunnel that counts whenever it is looked at."""

    is_full = False

    def __init__(self, looks: Looks, load: TunnelLoad, route_id: int) -> None:
        self._looks = looks
        self._load = load
        super().__init__(load, route_id, ResponseRules(), 2)

    @property
    def load(self) -> TunnelLoad:
        """Count."""
        self._looks.count += 1
        return self._load

    @load.setter
    def load(self, load: TunnelLoad) -> None:
        """Nothing: it is there already."""

    def lend(self, receiver: Borrower, used_after: float) -> OriginStream:
        """Lend, unless it is full."""
        if self.is_full:
            raise CannotOpenStream("full")
        return super().lend(receiver, used_after)


class MembersTests(SynchronousTestCase):
    """`Members`."""

    def setUp(self) -> None:
        self.all = Members("a.example")
        self.some = Members("a.example canary")
        self.members = {
            name: Member(TunnelLoad(FakeTunnel(name, f"agent-{name}")), 1, ResponseRules(), 2) for name in "abcd"
        }
        for member in self.members.values():
            self.all.put(member)

    def chosen(self, members: Members, *avoid: str) -> set[str]:
        """Return the tunnels that a few requests go to, and let them end."""
        found = set()
        for _ in range(8):
            origin = members.borrow(FakeBorrower(), avoid)
            found.add(origin.member.load.tunnel.id)
            origin.discard()
        return found

    def test_in_two_places(self) -> None:
        """A tunnel may be in several places, and whichever it leaves, all others stay where they are."""
        for name in "bd":
            self.some.put(self.members[name])
        for name in "ab":
            self.all.take(self.members[name])
        self.assertEqual((self.chosen(self.all), self.chosen(self.some)), ({"c", "d"}, {"b", "d"}))
        self.some.take(self.members["d"])
        self.assertEqual((self.all.count, self.some.count, self.some.healthy), (2, 1, 1))
        self.assertEqual(self.chosen(self.some), {"b"})

    def test_least_busy(self) -> None:
        """The one with the fewest streams in use is chosen, whatever its tunnel is used for elsewhere."""
        for name in "abc":
            others = Members("elsewhere")
            others.put(self.members[name])
            others.borrow(FakeBorrower())
        self.assertEqual(self.all.borrow(FakeBorrower()).member.load.tunnel.id, "d")

    def test_ejected(self) -> None:
        """All origins are ejected, or one is used as any other; one whose probe is due has proven nothing."""
        self.assertFalse(self.all.is_ejected)
        states = (OriginState.EJECTED, OriginState.DUE, OriginState.PROBED, OriginState.USED)
        for (name, member), state in zip(self.members.items(), states, strict=True):
            self.assertFalse(self.all.is_ejected, name)
            member.origin.state = state
        self.assertFalse(self.all.is_ejected)
        self.all.take(self.members["d"])
        self.assertTrue(self.all.is_ejected)

    def test_besides(self) -> None:
        """Whether another agent has a tunnel that is healthy."""
        self.some.put(self.members["a"])
        self.assertEqual((self.some.has_besides("agent-a"), self.some.has_besides("agent-b")), (False, True))
        self.assertTrue(self.all.has_besides("agent-a"))
        self.members["b"].is_suspected = True
        self.some.put(self.members["b"])
        self.assertFalse(self.some.has_besides("agent-a"))

    def remote(self, name: str, agent: str, max_requests: int = 0) -> Member:
        """Return a member that stands for another edge's tunnel."""
        load = TunnelLoad(FakeTunnel(name, agent, via="edge-2"))
        if not max_requests:
            return Member(load, 1, ResponseRules(), 2)
        return LimitedMember(load, 1, ResponseRules(), 0, None, Places(max_requests, lambda places: None))

    def test_other_edges(self) -> None:
        """Tunnels of other edges are chosen when none of this edge's may serve, and count as healthy all the same."""
        for name in ("r", "s"):
            self.some.put(self.remote(name, f"agent-{name}"))
        self.assertEqual(self.chosen(self.some), {"r", "s"})
        self.some.put(self.members["a"])
        self.assertEqual((self.some.healthy, self.some.count, self.chosen(self.some)), (3, 3, {"a"}))
        self.assertEqual(self.chosen(self.some, "agent-a"), {"r", "s"})
        self.assertTrue(self.some.has_besides("agent-a"))
        self.assertFalse(self.some.is_unwell)
        self.some.take(self.members["a"])
        self.assertEqual((self.some.healthy, self.chosen(self.some)), (2, {"r", "s"}))

    def test_other_edges_and_health(self) -> None:
        """A healthy tunnel of another edge is better than one of this edge that is not; a silent one is the last."""
        remote = self.remote("r", "agent-r")
        self.some.put(remote)
        for name in "ab":
            self.members[name].is_suspected = True
            self.some.put(self.members[name])
        self.assertEqual(self.chosen(self.some), {"r"})
        self.some.take(remote)
        remote.is_suspected = True
        self.some.put(remote)
        self.assertEqual(self.chosen(self.some), {"a", "b"})
        for name, chosen in (("a", "b"), ("b", "r")):
            self.some.take(self.members[name])
            self.members[name].is_silent = True
            self.some.put(self.members[name])
            self.assertEqual(self.chosen(self.some), {chosen})
        self.assertRaises(NoTunnel, self.some.borrow, FakeBorrower(), only_trusted=True)
        self.assertFalse(self.some.has_besides("agent-a"))

    def test_other_edges_when_full(self) -> None:
        """Where this edge's tunnels take no more, those of others do; where they have no place either, that is said."""
        protocol = self.members["a"].load.tunnel.protocol
        assert isinstance(protocol, FakeOpener)
        protocol.is_full = True
        self.some.put(self.members["a"])
        self.assertRaises(NoTunnel, self.some.borrow, FakeBorrower())
        self.some.put(self.remote("r", "agent-r", max_requests=1))
        self.assertEqual(self.some.borrow(FakeBorrower()).member.load.tunnel.id, "r")
        self.assertRaises(AtLimit, self.some.borrow, FakeBorrower("198.51.100.7"))

    def test_price(self) -> None:
        """However many tunnels there are, and whatever they are, few are looked at for one request."""
        for kind in ("healthy", "suspected", "silent", "full"):
            many = Members("many.example")
            looks = Looks()
            for number in range(2_000):
                member = CountedMember(looks, TunnelLoad(FakeTunnel(f"t-{number}", f"a-{number // 4}")), 1)
                member.is_suspected = kind in ("suspected", "silent")
                member.is_silent = kind == "silent"
                member.is_full = kind == "full"
                many.put(member)
            looks.count = 0
            avoid = {f"a-{number}" for number in range(5)}
            if kind == "full":
                self.assertRaises(NoTunnel, many.borrow, FakeBorrower(), avoid)
            else:
                many.borrow(FakeBorrower(), avoid)
                many.borrow(FakeBorrower())
            self.assertLess(looks.count, 1_500 if kind == "full" else 150, kind)
            self.assertGreater(looks.count, 0)

    def test_complaints(self) -> None:
        """Tunnels that complain are counted as they are put, and some of them are asked why."""
        self.assertFalse(self.all.is_unwell)
        for number, member in enumerate(self.members.values(), 1):
            self.all.take(member)
            member.complaint, member.is_suspected = "it answers 500", True
            self.all.put(member)
            self.assertEqual(self.all.is_unwell, number == len(self.members))
        self.assertEqual({reason for _, reason in self.all.complaints}, {"it answers 500"})
        for member in self.members.values():
            self.all.take(member)
        self.assertEqual((self.all.count, list(self.all.complaints)), (0, []))

    def test_nobody(self) -> None:
        """Where nobody is left, that is said."""
        self.assertRaises(NoTunnel, self.some.borrow, FakeBorrower())
        agents = [f"agent-{name}" for name in "abcd"]
        self.assertRaises(NoTunnel, self.all.borrow, FakeBorrower(), agents)
