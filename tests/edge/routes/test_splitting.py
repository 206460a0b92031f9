"""Tests of the tunnels of a route by the shares of a split."""

from collections import Counter

import msgspec
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.routes.counters import HostCounters
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.members import NoneHealthy, NoTunnel
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.share_counters import ShareMetrics
from warp_twisted.edge.routes.split_hostnames import SplitHostnames
from warp_twisted.edge.routes.splitting import RouteSplit
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.policy.document.routing import Routing
from warp_twisted.routing.cookies import agent_number
from warp_twisted.routing.table import RoutingTable

SPLIT = [{"selector": "release=stable", "weight": 90}, {"selector": "release=canary", "weight": 10}]


def routing(*entries: dict[str, object]) -> RoutingTable:
    """Return a table; an entry's hostname is a.example unless it says another."""
    return RoutingTable(
        [msgspec.convert({"hostname": "a.example", "split": SPLIT, **each}, Routing) for each in entries]
    )


class SplitTestCase(SynchronousTestCase):
    """A route with tunnels of two releases."""

    def setUp(self) -> None:
        self.route = Route("a.example", "", HostCounters(), None)
        self.loads: dict[str, TunnelLoad] = {}

    def join(self, name: str, release: str, agent: str = "", via: str = "") -> TunnelLoad:
        """Let a tunnel serve the route."""
        tunnel = FakeTunnel(name, agent or f"agent-{name}", {"release": release}, via=via)
        load = self.loads[name] = TunnelLoad(tunnel)
        self.route.join(Member(load, 1, ResponseRules(), 2))
        return load

    def assert_near(self, count: int, expected: int) -> None:
        """Assert that a share got what it should: draws begin anywhere, and are even from there."""
        self.assertLess(abs(count - expected), 5)

    def use(self, *entries: dict[str, object]) -> RouteSplit:
        """Split the route's requests."""
        self.route.use_splits(routing(*(entries or ({},))).covering("a.example"), SplitHostnames(ShareMetrics()))
        return self.split

    @property
    def split(self) -> RouteSplit:
        """What splits the route's requests."""
        assert self.route.splits is not None
        split = self.route.splits.for_hostname("a.example")
        assert split is not None
        return split

    def sent(self, count: int, avoid: tuple[str, ...] = ()) -> Counter[str]:
        """Return how many of some requests, one after the other, each tunnel gets."""
        found: Counter[str] = Counter()
        for _ in range(count):
            origin, share, _ = self.split.borrow(FakeBorrower(), self.split.draws.next(), avoid=avoid)
            self.assertEqual(share.selector, f"release={origin.member.load.tunnel.labels['release']}")
            found[origin.member.load.tunnel.id] += 1
            origin.discard()
        return found


class SharesTests(SplitTestCase):
    """Which share, and then which tunnel."""

    def test_parts_do_not_depend_on_tunnels(self) -> None:
        """Ten tunnels of the canary get as much as one would, and of a share each tunnel gets as much as the others."""
        self.join("s", "stable")
        for number in range(10):
            self.join(f"c{number}", "canary")
        self.use()
        sent = self.sent(2_000)
        self.assert_near(sent.pop("s"), 1_800)
        for count in sent.values():
            self.assert_near(count, 20)

    def test_tunnels_of_other_edges(self) -> None:
        """A share has its part also where only another edge has its tunnels; in a share this edge's are used first."""
        self.join("s", "stable")
        self.join("far-s", "stable", via="edge-2")
        self.join("far-c", "canary", via="edge-2")
        self.use()
        sent = self.sent(2_000)
        self.assert_near(sent["far-c"], 200)
        self.assertEqual(set(sent), {"s", "far-c"})
        self.route.leave(self.loads["s"], 1.0)
        sent = self.sent(2_000)
        self.assert_near(sent["far-s"], 1_800)
        self.assertEqual(set(sent), {"far-s", "far-c"})

    def test_visitors_keep_to_agents_of_other_edges(self) -> None:
        """A visitor that keeps to an agent by its address is sent there, whichever edge has its tunnel."""
        chosen = []
        for via in (("", "edge-2"), ("edge-1", "")):
            self.setUp()
            for name, edge in zip(("a", "b"), via, strict=True):
                self.join(name, "stable", via=edge)
            self.use({"split": [{"selector": "release=stable", "weight": 1}], "sticky": {"address": True}})
            points = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(32)]
            chosen.append([self.split.borrow(FakeBorrower(), point)[0].member.load.tunnel.id for point in points])
        self.assertEqual(chosen[0], chosen[1])
        self.assertEqual(set(chosen[0]), {"a", "b"})

    def test_tunnels_that_come_later(self) -> None:
        """A split counts tunnels that join, leave, and that no share wants; those get nothing."""
        self.use()
        self.assertRaises(NoTunnel, self.sent, 1)
        with capturedLogs() as warned:
            for name, release in (("s", "stable"), ("c", "canary"), ("o", "old")):
                self.join(name, release)
        self.assertEqual((self.split.unmatched, set(self.sent(50))), (1, {"s", "c"}))
        self.assertEqual([formatEvent(event).rpartition("labels: ")[2] for event in warned], ["release=old"])
        self.route.leave(self.loads["o"], 1.0)
        self.route.leave(self.loads["s"], 1.0)
        self.assertEqual((self.split.unmatched, set(self.sent(50))), (0, {"c"}))

    def test_unhealthy_share(self) -> None:
        """A share whose agents' probes fail goes to the others; with `when_empty: 503` nowhere, while they serve."""
        stable, canary = self.join("s", "stable"), self.join("c", "canary")
        self.use()
        self.route.report(canary, "no", 1.0)
        self.assertEqual(self.sent(50), {"s": 50})
        self.use({"when_empty": 503})
        refused = 0
        for _ in range(100):
            try:
                self.assertEqual(self.sent(1), {"s": 1})
            except NoTunnel:
                refused += 1
        self.assert_near(refused, 10)
        self.route.report(stable, "neither", 1.0)
        self.assert_near(self.sent(100)["c"], 10)  # nobody is healthy anywhere

    def test_all_unhealthy(self) -> None:
        """Where no tunnel is healthy each share tries its own; or the request is refused, with the reasons."""
        stable, canary = self.join("s", "stable"), self.join("c", "canary")
        self.use()
        for load, reason in ((stable, "it answers 500"), (canary, "connection refused")):
            self.route.report(load, reason, 1.0)
        self.assertEqual(set(self.sent(50)), {"s", "c"})
        self.use({"when_all_unhealthy": 503})
        error = self.assertRaises(NoneHealthy, self.sent, 1)
        self.assertEqual(
            (error.refusal.slug, error.detail),
            ("not-healthy", "agent-s: it answers 500; agent-c: connection refused"),
        )
        self.route.report(canary, None, 2.0)
        self.assertEqual(self.sent(20), {"c": 20})

    def test_refused_without_tunnels(self) -> None:
        """Without any tunnel it is not their health that is to blame."""
        self.use({"when_all_unhealthy": 503})
        error = self.assertRaises(NoTunnel, self.sent, 1)
        self.assertEqual(error.refusal.slug, "no-tunnel")

    def test_without_shares(self) -> None:
        """An entry that says nothing about shares has one, of all tunnels, whatever their labels."""
        entry = msgspec.convert({"hostname": "a.example", "when_all_unhealthy": 503}, Routing)
        self.route.use_splits(RoutingTable([entry]).covering("a.example"), SplitHostnames(ShareMetrics()))
        load = self.join("x", "whatever")
        self.assertEqual(self.split.borrow(FakeBorrower(), 1)[0].member.load, load)
        self.route.report(load, "no", 1.0)
        self.assertRaises(NoneHealthy, self.split.borrow, FakeBorrower(), 1)

    def test_tiers_count_healthy_tunnels(self) -> None:
        """Too many tunnels whose probes fail bring the next tier in, and it goes when they are well."""
        loads = [self.join(f"s{number}", "stable") for number in range(2)]
        self.join("c", "canary")
        self.use({"split": [SPLIT[0], {**SPLIT[1], "tier": 1}], "tier_minimum": "60%"})
        self.assertEqual(set(self.sent(20)), {"s0", "s1"})
        self.route.report(loads[0], "no", 1.0)
        self.assertEqual(set(self.sent(20)), {"c"})
        self.route.report(loads[0], None, 2.0)
        self.assertEqual(set(self.sent(20)), {"s0", "s1"})

    def test_empty_share(self) -> None:
        """A share without a healthy tunnel goes to the others; or nowhere, if the split says so."""
        self.join("s", "stable")
        canary = self.join("c", "canary")
        self.use()
        self.route.suspect(canary)
        self.assertEqual(self.sent(100), {"s": 100})
        self.route.trust(canary)
        self.assert_near(self.sent(100)["c"], 10)
        self.use({"when_empty": 503})
        self.route.suspect(canary)
        self.assert_near(self.sent(100)["c"], 10)  # better than nothing: it may be alive
        self.route.leave(canary, 1.0)
        draws = [self.split.draws.next() for _ in range(100)]
        with self.assertRaises(NoTunnel):
            for draw in draws:
                self.split.borrow(FakeBorrower(), draw)

    def test_nobody_is_healthy(self) -> None:
        """Where every tunnel is suspected, each share goes to its own."""
        self.join("s", "stable")
        self.join("c", "canary")
        self.use()
        for load in self.loads.values():
            self.route.suspect(load)
        self.assert_near(self.sent(100)["c"], 10)
        origin, _, _ = self.split.borrow(FakeBorrower(), 0)
        with self.assertRaises(NoTunnel):
            self.split.borrow(FakeBorrower(), 0, only_trusted=True)
        origin.discard()

    def test_weight_zero(self) -> None:
        """A share of weight 0 gets nothing, not even what no other share can take."""
        self.join("c", "canary")
        self.use({"split": [SPLIT[0], {**SPLIT[1], "weight": 0}]})
        self.assertRaises(NoTunnel, self.sent, 1)

    def test_sent_again(self) -> None:
        """A request that is sent again keeps to its share as long as that has a tunnel, then goes to another."""
        for name in ("c1", "c2"):
            self.join(name, "canary")
        self.join("s", "stable")
        self.use()
        canary = next(draw for draw in iter(self.split.draws.next, None) if self.split.share_of(draw) == 1)
        for avoid, expected in ((("agent-c1",), "c2"), (("agent-c2",), "c1"), (("agent-c1", "agent-c2"), "s")):
            origin, _, _ = self.split.borrow(FakeBorrower(), canary, avoid=avoid)
            self.assertEqual(origin.member.load.tunnel.id, expected)
        with self.assertRaises(NoTunnel):
            self.split.borrow(FakeBorrower(), canary, avoid=("agent-c1", "agent-c2", "agent-s"))
        self.use({"when_empty": 503})
        with self.assertRaises(NoTunnel):
            self.split.borrow(FakeBorrower(), canary, avoid=("agent-c1", "agent-c2"))

    def test_tiers(self) -> None:
        """Another tier is used while the first is not healthy enough, and not a moment longer."""
        far = {"selector": "release=far", "weight": 1, "tier": 1}
        for name in ("s1", "s2"):
            self.join(name, "stable")
        self.join("f", "far")
        self.use({"split": [SPLIT[0], far], "tier_minimum": "60%"})
        self.assertEqual(set(self.sent(20)), {"s1", "s2"})
        self.route.suspect(self.loads["s1"])
        self.assertEqual((set(self.sent(20)), self.split.tier), ({"f"}, 1))
        self.route.leave(self.loads["f"], 1.0)
        self.assertEqual(set(self.sent(20)), {"s2"})
        self.route.trust(self.loads["s1"])
        self.join("f", "far")
        self.assertEqual((set(self.sent(20)), self.split.tier), ({"s1", "s2"}, 0))

    def test_shift(self) -> None:
        """A shift counts once the shares are laid out again."""
        self.join("s", "stable")
        self.join("c", "canary")
        split = self.use()
        split.split.shifted = (1, 2_500)
        split.arrange()
        self.assert_near(self.sent(100)["c"], 25)


class KeepingTests(SplitTestCase):
    """Visitors that keep to an agent."""

    def kept(self, draw: int, agent: int = 0) -> str:
        """Return the tunnel of a visitor's request."""
        origin, _, _ = self.split.borrow(FakeBorrower(), draw, agent)
        origin.discard()
        return origin.member.load.tunnel.id

    def test_by_number(self) -> None:
        """A visitor keeps to the agent that its cookie names while that is of its share and healthy."""
        for name in ("s1", "s2", "s3"):
            self.join(name, "stable")
        self.join("c", "canary")
        self.use({"sticky": {"cookie": "r"}})
        number = agent_number("agent-s2")
        self.assertEqual({self.kept(0, number) for _ in range(12)}, {"s2"})
        self.assertEqual(self.split.shares[0].number_of("agent-s2"), number)
        self.assertEqual({self.kept(0, agent_number("agent-c")) for _ in range(12)}, {"s1", "s2", "s3"})
        self.route.suspect(self.loads["s2"])
        self.assertEqual({self.kept(0, number) for _ in range(12)}, {"s1", "s3"})
        self.route.trust(self.loads["s2"])
        self.assertEqual(self.kept(0, number), "s2")
        self.route.leave(self.loads["s2"], 1.0)
        self.assertEqual({self.kept(0, number) for _ in range(12)}, {"s1", "s3"})
        self.assertEqual((self.split.shares[0].number_of("agent-s2"), len(self.split.shares[0].by_number)), (0, 2))

    def test_tunnels_of_one_agent(self) -> None:
        """A visitor keeps to an agent, not to one of its tunnels."""
        self.join("a1", "stable", "agent-a")
        self.join("a2", "stable", "agent-a")
        self.join("b1", "stable", "agent-b")
        self.use({"sticky": {"cookie": "r"}})
        number = agent_number("agent-a")
        self.assertEqual({self.kept(0, number) for _ in range(8)}, {"a1", "a2"})
        self.route.leave(self.loads["a1"], 1.0)
        self.assertEqual({self.kept(0, number) for _ in range(8)}, {"a2"})

    def test_by_address(self) -> None:
        """An address has its agent: one that leaves, or is suspected for a while, moves only its own visitors."""
        for name in "wxyz":
            self.join(name, "stable")
        self.use({"sticky": {"address": True}})
        visitors = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(400)]
        before = [self.kept(visitor) for visitor in visitors]
        self.assertEqual(set(before), set("wxyz"))
        self.assertEqual([self.kept(visitor) for visitor in visitors], before)
        self.route.suspect(self.loads["x"])
        away = [self.kept(visitor) for visitor in visitors]
        self.assertEqual({old for old, new in zip(before, away, strict=True) if old != new}, {"x"})
        self.route.trust(self.loads["x"])
        self.assertEqual([self.kept(visitor) for visitor in visitors], before)
        self.route.leave(self.loads["x"], 1.0)
        self.assertEqual([self.kept(visitor) for visitor in visitors], away)
        for name in "wyz":
            self.route.suspect(self.loads[name])
        self.assertEqual({self.kept(visitor) for visitor in visitors}, set("wyz"))


class PolicyChangesTests(SplitTestCase):
    """A policy that changes while requests come."""

    def test_same_again(self) -> None:
        """A split that is the same in the next policy goes on where it was, so parts stay exact across reloads."""
        self.join("s", "stable")
        self.join("c", "canary")
        self.use()
        found: Counter[str] = Counter()
        for _ in range(50):
            found += self.sent(7)
            self.use()
        self.assert_near(found["c"], 35)
        first = self.split
        self.use({"sticky": {"cookie": "r"}})
        self.assertIsNot(self.split, first)

    def test_no_longer(self) -> None:
        """Without an entry any tunnel may serve again."""
        self.join("o", "old")
        self.use()
        self.route.use_splits(RoutingTable().covering("a.example"), SplitHostnames(ShareMetrics()))
        self.assertIsNone(self.route.splits)
        self.assertEqual(self.route.borrow(FakeBorrower()).member.load.tunnel.id, "o")

    def test_many_names_below_a_pattern(self) -> None:
        """Tunnels are grouped by the split of a name below a pattern only when that is asked for."""
        entries: list[dict[str, object]] = [{"hostname": f"h{number}.b.example"} for number in range(500)]
        self.route.use_splits(routing(*entries).covering("*.b.example"), SplitHostnames(ShareMetrics()))
        splits = self.route.splits
        assert splits is not None
        self.assertEqual((len(splits.all), splits.only), (0, None))
        self.join("s", "stable")
        found = splits.for_hostname("h7.b.example")
        assert found is not None
        self.assertEqual((len(splits.all), found.shares[0].count), (1, 1))

    def test_names_below_a_pattern(self) -> None:
        """Where a pattern is served as one route, names below it have their own splits, or none."""
        self.join("s", "stable")
        canary = {"split": [{"selector": "release=canary", "weight": 1}]}
        self.route.use_splits(
            routing({"hostname": "x.b.example"}, {"hostname": "*.c.b.example", **canary}).covering("*.b.example"),
            SplitHostnames(ShareMetrics()),
        )
        splits = self.route.splits
        assert splits is not None
        found = [splits.for_hostname(name) for name in ("x.b.example", "y.c.b.example", "y.b.example")]
        self.assertEqual([each and each.split.hostname for each in found], ["x.b.example", "*.c.b.example", None])
        self.assertIs(splits.for_hostname("x.b.example"), found[0])
        self.join("c", "canary")
        self.assertEqual([each and [share.count for share in each.shares] for each in found[:2]], [[1, 1], [1]])
