"""Tests of one route and its tunnels; tests.edge.routes.test_table borrows streams of it."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.routes.counters import HostCounters
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.members import NoTunnel
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.rules import PathRule
from warp_twisted.http1.limits import ResponseRules


class RouteTests(SynchronousTestCase):
    """Tunnels that join and leave."""

    def setUp(self) -> None:
        self.route = Route("a.example", "^/x", HostCounters(), PathRule("^/x"))

    def join(self, name: str, agent: str) -> TunnelLoad:
        """Let a tunnel serve the route."""
        load = TunnelLoad(FakeTunnel(name, agent))
        self.route.join(Member(load, 1, ResponseRules(), 2))
        return load

    def tunnels(self) -> list[str]:
        """Return the tunnels that serve the route."""
        return sorted(member.load.tunnel.id for member in self.route.members)

    def test_leaving(self) -> None:
        """Whichever tunnel leaves, the others stay; the last one leaves its mark."""
        loads = {name: self.join(name, f"agent-{name}") for name in "abcd"}
        for name, left in (("b", ["a", "c", "d"]), ("d", ["a", "c"]), ("a", ["c"])):
            self.route.leave(loads[name], 1.0)
            self.assertEqual(self.tunnels(), left)
            self.assertIsNone(self.route.member_of(loads[name]))
            self.assertIsNone(self.route.gone_at)
        self.route.leave(loads["c"], 2.0)
        self.route.leave(loads["c"], 3.0)
        self.assertEqual((self.tunnels(), self.route.gone_at, self.route.left_by), ([], 2.0, "agent-c"))

    def test_suspected(self) -> None:
        """Whichever tunnels are suspected and trusted again, each is there once and leaves as any other."""
        loads = {name: self.join(name, f"agent-{name}") for name in "abcd"}
        for name in "bda":
            self.route.suspect(loads[name])
        self.route.suspect(loads["b"])
        self.route.trust(loads["d"])
        self.route.trust(loads["d"])
        self.assertEqual(self.tunnels(), ["a", "b", "c", "d"])
        self.assertEqual({self.borrowed(only_trusted=True) for _ in range(6)}, {"c", "d"})
        for name in "cd":
            self.route.leave(loads[name], 1.0)
        self.assertEqual({self.borrowed() for _ in range(6)}, {"a", "b"})
        with self.assertRaises(NoTunnel):
            self.borrowed(only_trusted=True)
        for name in "ab":
            self.assertIsNone(self.route.gone_at)
            self.route.leave(loads[name], 2.0)
        self.assertEqual((self.tunnels(), self.route.gone_at), ([], 2.0))

    def test_reported(self) -> None:
        """A tunnel whose agent's probes fail gets nothing while another is healthy; alone it is tried."""
        loads = {name: self.join(name, f"agent-{name}") for name in "abc"}
        self.route.report(loads["b"], "it answers 500", 1.0)
        self.assertEqual({self.borrowed() for _ in range(9)}, {"a", "c"})
        self.assertEqual(list(self.route.complaints), [("agent-b", "it answers 500")])
        self.route.report(loads["b"], None, 2.0)
        self.assertEqual({self.borrowed() for _ in range(9)}, {"a", "b", "c"})
        for name in "abc":
            self.route.report(loads[name], "", 3.0)
        self.assertEqual((self.route.healthy, self.route.is_unwell), (0, True))
        self.assertEqual({self.borrowed() for _ in range(9)}, {"a", "b", "c"})
        with self.assertRaises(NoTunnel):
            self.borrowed(only_trusted=True)
        self.route.leave(loads["b"], 4.0)
        self.route.report(loads["b"], None, 4.0)
        self.assertEqual(self.tunnels(), ["a", "c"])

    def test_a_lost_tunnel_outranks_probes(self) -> None:
        """A silent tunnel is not chosen, whatever probes said; where none is healthy it comes after those that fail."""
        loads = {name: self.join(name, f"agent-{name}") for name in "ab"}
        self.route.suspect(loads["a"])
        self.route.report(loads["a"], None, 1.0)
        self.assertEqual({self.borrowed() for _ in range(4)}, {"b"})
        self.route.report(loads["b"], "no", 1.0)
        self.assertEqual({self.borrowed() for _ in range(4)}, {"b"})
        self.route.trust(loads["a"])
        self.assertEqual({self.borrowed() for _ in range(4)}, {"a"})

    def borrowed(self, *, only_trusted: bool = False) -> str:
        """Say which tunnel a request goes to."""
        origin = self.route.borrow(FakeBorrower(), only_trusted=only_trusted)
        return origin.member.load.tunnel.id

    def test_agents(self) -> None:
        """An agent serves a route as long as one of its tunnels does."""
        first, second = self.join("1", "agent"), self.join("2", "agent")
        self.route.leave(first, 1.0)
        self.assertTrue(self.route.is_served_by("agent"))
        self.route.leave(second, 1.0)
        self.assertFalse(self.route.is_served_by("agent"))

    def test_rule(self) -> None:
        """A route matches what its rule matches, and everything if it has none."""
        self.assertEqual([self.route.matches(path) for path in (b"/xy", b"/y")], [True, False])
        everything = Route("a.example", "", HostCounters(), None)
        self.assertEqual((everything.matches(b"/y"), everything.instructions), (True, 0))
        self.assertEqual((everything.name, self.route.name), ("a.example", "a.example ^/x"))
