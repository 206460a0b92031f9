"""Tests of the route table."""

import contextlib
from random import Random
from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel, opened
from warp_twisted.edge.routes import table
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.members import NoTunnel
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.rules import HOST_INSTRUCTIONS, OFFER_INSTRUCTIONS, BadPathRule, longest_path
from warp_twisted.edge.routes.search import Search
from warp_twisted.edge.routes.table import MAX_REMEMBERED, REMEMBERED_SECONDS, RULE_SECONDS, SWEPT, RouteTable
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.states import StreamState


def offer(hostname: str, path: str = "", number: int = 0) -> RouteOffer:
    """Return an offer."""
    return RouteOffer(id=number, hostname=hostname, path=path)


class TableTestCase(SynchronousTestCase):
    """An empty table."""

    def setUp(self) -> None:
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics, VisitorLimits(idle_streams=4))

    def found(self, host: str, path: bytes = b"/") -> Route:
        """Return the route of a request that must have one."""
        route = self.find(host, path)
        assert route is not None
        return route

    def find(self, host: str, path: bytes = b"/") -> Route | None:
        """Look for the route of a request, to the end."""
        found = self.table.find(host, path)
        if not isinstance(found, Search):
            return found
        while not found.take_step():
            pass
        return found.route

    def name(self, host: str, path: bytes = b"/") -> str | None:
        """Return the name of the route of a request."""
        route = self.find(host, path)
        return None if route is None else route.name


class FindTests(TableTestCase):
    """Which route a request belongs to."""

    def test_exact(self) -> None:
        """A hostname finds its route, another finds none."""
        self.table.add(FakeTunnel("t"), [offer("a.example")])
        self.assertEqual(self.name("a.example"), "a.example")
        for host in ("b.example", "example", "x.a.example", "a.example.com", ""):
            self.assertIsNone(self.name(host), host)

    def test_wildcards(self) -> None:
        """`*` stands for one or more labels; the longest suffix wins, and an exact name over all."""
        self.table.add(FakeTunnel("t"), [offer("*.example"), offer("*.b.example"), offer("a.b.example")])
        for host, name in (
            ("a.b.example", "a.b.example"),
            ("c.b.example", "*.b.example"),
            ("d.c.b.example", "*.b.example"),
            ("b.example", "*.example"),
            ("x.y.example", "*.example"),
            ("example", None),
            (".example", None),
        ):
            self.assertEqual(self.name(host), name, host)

    def test_reserved_names(self) -> None:
        """A pattern does not stand for names of the zone itself, for which its agent could get certificates."""
        self.table.add(FakeTunnel("t"), [offer("*.example")])
        self.table.is_reserved = {"ns1.example"}.__contains__
        self.assertIsNone(self.name("ns1.example", b"/.well-known/acme-challenge/x"))
        self.assertEqual(self.name("ns2.example"), "*.example")

    def test_patterns_of_others(self) -> None:
        """A pattern of another group stands for no hostname, also where its own path rules do not match or are gone."""
        self.table.is_of_others = lambda host, pattern: host == "a.example" and pattern == "*.example"
        self.table.is_known = {"a.example"}.__contains__
        own = FakeTunnel("t1")
        self.table.add(own, [offer("a.example", "^/x")])
        self.table.add(FakeTunnel("t2"), [offer("*.example")])
        self.assertEqual([self.name("a.example", path) for path in (b"/x", b"/y")], ["a.example ^/x", None])
        self.table.remove(own)
        self.table.sweep(RULE_SECONDS + 1, 55)
        self.assertIsNone(self.name("a.example", b"/x"))
        self.assertEqual([self.table.is_away(host) for host in ("a.example", "b.example")], [True, False])
        self.assertEqual(self.name("b.example"), "*.example")

    def test_is_served(self) -> None:
        """A hostname or pattern is served as offered, by any path rule, until its last tunnel leaves or drains."""
        first, second = FakeTunnel("t1"), FakeTunnel("t2")
        self.table.add(first, [offer("a.example", "^/x"), offer("*.example")])
        self.table.add(second, [offer("a.example")])
        served = {host for host in ("a.example", "*.example", "b.example") if self.table.is_served(host)}
        self.assertEqual(served, {"a.example", "*.example"})
        self.table.remove(first)
        self.assertEqual([self.table.is_served(host) for host in ("a.example", "*.example")], [True, False])
        self.table.drain(second)
        self.assertFalse(self.table.is_served("a.example"))

    def test_remembered_from_before_a_restart(self) -> None:
        """Hostnames and patterns of before have a route without a tunnel, for an hour; what is served stays so."""
        self.table.add(FakeTunnel("t1"), [offer("a.example")])
        steps = list(self.table.remembering(["a.example", "b.example", "*.c.example"], 5_000.0))
        self.assertEqual(len(steps), 1)
        self.assertTrue(self.table.is_served("a.example"))
        for host in ("b.example", "x.c.example"):
            self.assertRaises(NoTunnel, self.found(host).borrow, FakeBorrower())
        self.table.sweep(5_000.0 + REMEMBERED_SECONDS - 1, 55)
        self.assertEqual(self.name("b.example"), "b.example")
        self.table.sweep(5_000.0 + REMEMBERED_SECONDS + 1, 55)
        self.assertEqual([self.name(host) for host in ("a.example", "b.example")], ["a.example", None])

    def test_no_more_are_remembered(self) -> None:
        """Of the hostnames of before so many are remembered, a few in a step."""
        self.patch(table, "MAX_REMEMBERED", 100)
        steps = list(self.table.remembering((f"h{number}.example" for number in range(500)), 5.0))
        self.assertEqual((len(self.table.routes), len(steps)), (100, -(-100 // table.REMEMBERED_IN_A_STEP)))

    def test_away(self) -> None:
        """A hostname that the registry knows is away while nothing serves it, and none lately did."""
        self.table.is_known = {"a.example", "b.example", "x.c.example"}.__contains__
        self.table.add(FakeTunnel("t"), [offer("b.example", "^/x"), offer("*.c.example")])
        hosts = ("a.example", "b.example", "x.c.example", "d.example")
        self.assertEqual([host for host in hosts if self.table.is_away(host)], ["a.example"])

    def test_path_rules_in_order(self) -> None:
        """The first rule that matches wins, in the order offered; the rule without a path comes last."""
        self.table.add(
            FakeTunnel("t"), [offer("a.example", "^/static/"), offer("a.example", r"\.png$"), offer("a.example")]
        )
        for path, name in (
            (b"/static/a.png", "a.example ^/static/"),
            (b"/a.png?v=1", r"a.example \.png$"),
            (b"/x?a.png", "a.example"),
            (b"/st%61tic/", "a.example ^/static/"),
            (b"*", "a.example"),
        ):
            self.assertEqual(self.name("a.example", path), name, path)

    def test_no_rule_matches(self) -> None:
        """Where no rule of the name matches, a pattern that covers it may; otherwise there is no route."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.b.example", "^/only$"), offer("*.example", "^/wide")])
        self.assertEqual(self.name("a.b.example", b"/wide"), "*.example ^/wide")
        self.assertIsNone(self.name("a.b.example", b"/other"))

    def test_rules_of_several_agents(self) -> None:
        """A path rule of a later agent comes before the rule without a path of an earlier one."""
        self.table.add(FakeTunnel("t1"), [offer("a.example")])
        self.table.add(FakeTunnel("t2", "agent-2"), [offer("a.example", "^/v2"), offer("a.example")])
        self.assertEqual(self.name("a.example", b"/v2/x"), "a.example ^/v2")
        self.assertEqual(len(self.found("a.example").members), 2)

    def test_rules_never_reached(self) -> None:
        """A rule after the one that takes every path is not served."""
        self.table.add(
            FakeTunnel("t"), [offer("a.example"), offer("a.example", "^/late", 1), offer("a.example", "", 2)]
        )
        self.assertEqual(self.name("a.example", b"/late"), "a.example")
        self.assertEqual(len(self.table.routes), 1)

    def test_bad_rule(self) -> None:
        """An expression that RE2 does not take is refused, and nothing has changed."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example")])
        for path in ("(", "(?=x)", "a{2000}", "(((a{100}){100}){100})"):
            with self.assertRaises(BadPathRule):
                self.table.add(tunnel, [offer("b.example"), offer("c.example", path)])
        self.assertEqual(self.name("a.example"), "a.example")
        self.assertIsNone(self.name("b.example"))

    def test_bytes_that_are_no_text(self) -> None:
        """`.` takes bytes that are not UTF-8, as in cloudflared, so nobody gets around a rule with one."""
        self.table.add(FakeTunnel("t"), [offer("a.example", "^/admin/.*$"), offer("a.example")])
        for path in (b"/admin/%ff", b"/%61dmin/x%c3", b"/admin/%e2%82%ac"):
            self.assertEqual(self.name("a.example", path), "a.example ^/admin/.*$", path)

    def test_costly_rules(self) -> None:
        """Expressions that are slow to match are refused, one by itself and many together."""
        tunnel = FakeTunnel("t")
        many = [f"^/{number}/[a-z]{{400}}" for number in range(OFFER_INSTRUCTIONS // 400)]
        for paths in (["(?:.{30}){30}"], [r"\pL{3}"], many):
            with self.assertRaises(BadPathRule):
                self.table.add(tunnel, [offer("a.example", path, at) for at, path in enumerate(paths)])
        self.table.add(tunnel, [offer("a.example", path, at) for at, path in enumerate(many[:-1])])


class CostTests(TableTestCase):
    """What path rules cost whoever asks, and whose they are."""

    def bomb(self, at: int, instructions: int) -> str:
        """Return an expression that takes RE2 as long as any."""
        return f"[ab]*{'ab'[at % 2]}a[ab]{{{instructions - 12 - at // 2}}}$"

    def test_worst_case(self) -> None:
        """The most expensive rules that an edge takes, asked for the most expensive path, hold it for milliseconds."""
        for number in range(64):
            tunnel = FakeTunnel(str(number), f"agent-{number}")
            with contextlib.suppress(BadPathRule):
                self.table.add(tunnel, [offer("a.example", self.bomb(number, 790), 1)])
        instructions = sum(route.instructions for route in self.table.routes)
        self.assertGreater(instructions, HOST_INSTRUCTIONS - 800)
        self.assertLessEqual(instructions, HOST_INSTRUCTIONS)
        longest = longest_path(instructions)
        random = Random(1)
        waits = []
        for _ in range(5):
            path = b"/" + bytes(random.choice(b"ab") for _ in range(longest - 1))
            began = process_time()
            self.find("a.example", path)
            waits.append(process_time() - began)
        self.assertLess(min(waits), 0.01)
        for path in (b"/" + b"a" * longest, b"/" + b"%61" * longest, b"/" + b"a" * 8_000):
            self.assertRaises(MessageRefused, self.find, "a.example", path)

    def test_other_hostnames(self) -> None:
        """Rules of one hostname shorten nobody else's paths, and a hostname without rules takes any."""
        self.table.add(FakeTunnel("1"), [offer("a.example", self.bomb(0, 1_000)), offer("b.example", number=1)])
        self.table.add(FakeTunnel("2"), [offer("c.example", "^/x"), offer("c.example", number=1)])
        self.assertEqual(self.name("b.example", b"/" + b"a" * 8_000), "b.example")
        self.assertEqual(self.name("c.example", b"/" + b"a" * 2_000), "c.example")
        self.assertRaises(MessageRefused, self.found, "a.example", b"/" + b"a" * 2_000)

    def test_rules_that_are_gone_make_room(self) -> None:
        """Rules without a tunnel stand in nobody's way; when they go the paths may be longer again."""
        tunnels = [FakeTunnel(str(number), f"agent-{number}") for number in range(5)]
        for number in (0, 1):
            self.table.add(tunnels[number], [offer("a.example", self.bomb(number, 990))])
        self.table.add(tunnels[2], [offer("a.example", self.bomb(2, 990)), offer("a.example", number=1)])
        with self.assertRaises(BadPathRule):
            self.table.add(tunnels[3], [offer("a.example", self.bomb(3, 990))])
        self.table.remove(tunnels[0])
        self.table.add(tunnels[3], [offer("a.example", self.bomb(3, 990))])
        self.assertEqual(len(self.table.routes), 4)
        for tunnel in (tunnels[1], tunnels[3]):
            self.table.remove(tunnel)
        self.assertRaises(MessageRefused, self.found, "a.example", b"/" + b"x" * 300)
        self.table.sweep(RULE_SECONDS + 1, 60.0)
        self.assertEqual(self.name("a.example", b"/" + b"x" * 300), "a.example")

    def test_many_tunnels_of_one_hostname(self) -> None:
        """A tunnel that leaves thousands of others takes no longer than any."""
        tunnels = [FakeTunnel(str(number)) for number in range(3_000)]
        for tunnel in tunnels:
            self.table.add(tunnel, [offer("a.example")])
        began = process_time()
        for tunnel in tunnels:
            self.table.remove(tunnel)
        self.assertLess(process_time() - began, 0.5)
        self.assertRaises(NoTunnel, self.found("a.example").borrow, FakeBorrower())


class BorrowTests(TableTestCase):
    """Which tunnel serves a request."""

    def add(self, *names: str) -> list[FakeTunnel]:
        """Register tunnels for one hostname, each of an agent of its own."""
        tunnels = [FakeTunnel(name, f"agent-{name}") for name in names]
        for tunnel in tunnels:
            self.table.add(tunnel, [offer("a.example")])
        return tunnels

    def borrow(self, *avoid: object, used_after: float = float("-inf")) -> OriginStream:
        """Borrow a stream."""
        return self.found("a.example").borrow(FakeBorrower(), avoid, used_after=used_after)

    def test_in_turn(self) -> None:
        """Equally busy tunnels are used in turn."""
        self.add("1", "2", "3")
        used = []
        for _ in range(6):
            origin = self.borrow()
            used.append(origin.member.load.tunnel.id)
            opened(origin).release(0.0)
        self.assertEqual(sorted(used[:3]), ["1", "2", "3"])
        self.assertEqual(used[:3], used[3:])

    def test_least_busy(self) -> None:
        """The tunnel with the fewest streams in use is chosen."""
        self.add("1", "2", "3", "4")
        origins = [self.borrow() for _ in range(8)]
        busy = [origin.member.load.tunnel.id for origin in origins]
        self.assertEqual(sorted(busy), ["1", "1", "2", "2", "3", "3", "4", "4"])
        gone = next(origin for origin in origins if origin.member.load.tunnel.id == "3")
        gone.discard()
        self.assertEqual(self.borrow().member.load.tunnel.id, "3")

    def test_busy_with_another_route(self) -> None:
        """Streams of other routes make a tunnel busy as well."""
        first, second = self.add("1", "2")
        self.table.add(first, [offer("a.example"), offer("b.example", number=1)])
        for _ in range(3):
            self.found("b.example").borrow(FakeBorrower())
        self.assertEqual({self.borrow().member.load.tunnel.id for _ in range(3)}, {second.id})

    def test_avoided(self) -> None:
        """Tunnels and agents that are avoided are not asked; if none is left there is no tunnel."""
        first, second = self.add("1", "2")
        for _ in range(3):
            self.assertIs(self.borrow(first).member.load.tunnel, second)
            self.assertIs(self.borrow("agent-2").member.load.tunnel, first)
        self.assertRaises(NoTunnel, self.borrow, first, "agent-2")

    def test_full(self) -> None:
        """A tunnel that takes no stream is passed over; if all are full there is no tunnel."""
        first, second = self.add("1", "2")
        first.protocol.is_full = True
        for _ in range(3):
            self.assertIs(self.borrow().member.load.tunnel, second)
        second.protocol.is_full = True
        self.assertRaises(NoTunnel, self.borrow)

    def test_idle_first(self) -> None:
        """An idle stream is lent before a new one is opened, unless it has been idle for too long."""
        self.add("1")
        origin = opened(self.borrow())
        origin.release(5.0)
        self.assertIs(self.borrow(), origin)
        origin.release(5.0)
        self.assertIsNot(self.borrow(used_after=6.0), origin)


class ChangeTests(TableTestCase):
    """Tunnels that come, change and go."""

    def test_replaced_offers(self) -> None:
        """A tunnel's new offers take the place of the old; what stays keeps its idle streams."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example", number=1), offer("b.example", number=2)])
        kept = opened(self.found("a.example").borrow(FakeBorrower()))
        kept.release(0.0)
        dropped = opened(self.found("b.example").borrow(FakeBorrower()))
        dropped.release(0.0)
        self.table.add(tunnel, [offer("a.example", number=1), offer("c.example", number=3)])
        self.assertIs(self.found("a.example").borrow(FakeBorrower()), kept)
        self.assertIs(dropped.stream.state, StreamState.CLOSED)
        self.assertRaises(NoTunnel, self.found("b.example").borrow, FakeBorrower())
        self.assertEqual(self.found("c.example").members[0].route_id, 3)

    def test_rule_taken_back(self) -> None:
        """The paths of a rule that an agent no longer offers are served by its other rules at once."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example", "^/static/"), offer("a.example", number=1)])
        self.table.add(tunnel, [offer("a.example", number=1)])
        self.assertEqual(self.name("a.example", b"/static/x"), "a.example")

    def test_rule_taken_back_by_a_new_run(self) -> None:
        """The same holds when the agent starts anew, whether its old tunnels end before or after."""
        for ends_first in (True, False):
            old, new = FakeTunnel("old"), FakeTunnel("new")
            self.table.add(old, [offer("a.example", "^/static/"), offer("a.example", number=1)])
            if ends_first:
                self.table.remove(old)
                self.assertRaises(NoTunnel, self.found("a.example", b"/static/x").borrow, FakeBorrower())
            self.table.add(new, [offer("a.example")])
            self.table.remove(old)
            self.assertEqual(self.name("a.example", b"/static/x"), "a.example")
            self.table.remove(new)

    def test_rule_of_an_agent_that_is_gone(self) -> None:
        """The paths of a rule whose agent is gone are not given to another agent's rule."""
        first, second = FakeTunnel("1"), FakeTunnel("2", "agent-2")
        self.table.add(first, [offer("a.example", "^/admin/")])
        self.table.add(second, [offer("a.example")])
        self.table.remove(first)
        self.assertRaises(NoTunnel, self.found("a.example", b"/admin/").borrow, FakeBorrower())

    def test_successor_of_an_agent_that_is_gone(self) -> None:
        """An agent that begins to serve a hostname has all its paths, also those of a rule whose agent is gone."""
        old, new = FakeTunnel("old"), FakeTunnel("new", "agent-2")
        self.table.add(
            old, [offer("a.example", "^/api/"), offer("a.example", "^/kept/", 1), offer("a.example", number=2)]
        )
        self.table.remove(old)
        self.table.add(new, [offer("a.example", "^/kept/"), offer("a.example", number=1)])
        self.assertEqual(self.name("a.example", b"/api/x"), "a.example")
        self.assertEqual(self.name("a.example", b"/kept/x"), "a.example ^/kept/")
        self.table.add(old, [offer("a.example", "^/api/"), offer("a.example", number=2)])
        self.assertEqual(self.name("a.example", b"/api/x"), "a.example ^/api/")

    def test_no_successor(self) -> None:
        """One that served the hostname beside it, also if it comes back, is none; nor is one of another hostname."""
        first, second = FakeTunnel("1"), FakeTunnel("2", "agent-2")
        self.table.add(first, [offer("a.example", "^/admin/")])
        self.table.add(second, [offer("a.example"), offer("a.example", "^/x/")])
        self.table.remove(first)
        third = FakeTunnel("3", "agent-2")
        self.table.add(third, [offer("a.example")])
        self.table.add(FakeTunnel("4", "agent-3"), [offer("b.example")])
        self.assertRaises(NoTunnel, self.found("a.example", b"/admin/").borrow, FakeBorrower())
        for tunnel in (second, third):
            self.table.remove(tunnel)
        self.table.add(FakeTunnel("5", "agent-2"), [offer("a.example")])
        self.assertRaises(NoTunnel, self.found("a.example", b"/admin/").borrow, FakeBorrower())

    def test_new_order(self) -> None:
        """Rules are tried in the order in which they were offered last."""
        tunnel = FakeTunnel("t")
        general, special = offer("a.example", "^/api/", 1), offer("a.example", "^/api/admin/", 2)
        self.table.add(FakeTunnel("other", "agent-2"), [offer("a.example", "^/other/"), offer("a.example")])
        for offers in ([general, special], [special, general], [special, general, offer("a.example", number=3)]):
            self.table.add(tunnel, offers)
            self.assertEqual(self.name("a.example", b"/api/admin/"), f"a.example {offers[0].path}")
        self.assertEqual(self.name("a.example"), "a.example")

    def test_new_number(self) -> None:
        """A route that the agent numbers anew is asked for by its new number."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example", number=1)])
        self.table.add(tunnel, [offer("a.example", number=2)])
        self.assertEqual([member.route_id for member in self.found("a.example").members], [2])

    def test_removed(self) -> None:
        """A tunnel that is gone is used no more; its hostname is remembered without a tunnel."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example")])
        self.table.remove(tunnel)
        self.table.remove(tunnel)
        self.assertRaises(NoTunnel, self.found("a.example").borrow, FakeBorrower())
        self.assertEqual(self.table.stream_counts, (0, 0))

    def test_drained(self) -> None:
        """A draining tunnel's idle streams are closed, those in use end with their exchange."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example")])
        route = self.found("a.example")
        busy, idle = opened(route.borrow(FakeBorrower())), opened(route.borrow(FakeBorrower()))
        idle.release(0.0)
        self.assertEqual(self.table.stream_counts, (1, 1))
        self.table.drain(tunnel)
        self.table.drain(FakeTunnel("unknown"))
        self.assertIs(idle.stream.state, StreamState.CLOSED)
        self.assertIs(busy.stream.state, StreamState.OPEN)
        self.assertRaises(NoTunnel, route.borrow, FakeBorrower())
        busy.release(1.0)
        self.assertIs(busy.stream.state, StreamState.CLOSED)

    def test_forgotten(self) -> None:
        """A hostname without a tunnel is forgotten after a while, with its counters; one that came back is not."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example"), offer("*.b.example"), offer("c.example")])
        self.table.sweep(100.0, 60.0)
        self.table.remove(tunnel)
        self.table.sweep(100.0 + REMEMBERED_SECONDS - 1, 60.0)
        self.assertEqual(len(self.table.routes), 3)
        self.table.add(tunnel, [offer("c.example")])
        self.table.sweep(100.0 + REMEMBERED_SECONDS + 1, 60.0)
        self.assertEqual([route.name for route in self.table.routes], ["c.example"])
        self.assertNotIn("a.example", self.metrics.hosts)

    def test_memory_is_bounded(self) -> None:
        """Of hostnames without a tunnel only so many are remembered, those that went last."""
        for number in range(3):
            tunnel = FakeTunnel(str(number))
            offers = [offer(f"h{at}.n{number}.example", number=at) for at in range(MAX_REMEMBERED // 2)]
            self.table.add(tunnel, offers)
            self.table.sweep(float(number), 60.0)
            self.table.remove(tunnel)
        self.table.sweep(3.0, 60.0)
        self.assertEqual(len(self.table.routes), MAX_REMEMBERED)
        self.assertIsNone(self.name("h0.n0.example"))
        self.assertEqual(self.name("h0.n2.example"), "h0.n2.example")

    def test_rules_are_forgotten(self) -> None:
        """A path rule without a tunnel is remembered for a minute; then its paths belong to the other rules."""
        first, second = FakeTunnel("1"), FakeTunnel("2", "agent-2")
        self.table.add(first, [offer("a.example", "^/admin/")])
        self.table.add(second, [offer("a.example")])
        self.table.sweep(100.0, 60.0)
        self.table.remove(first)
        self.table.sweep(100.0 + RULE_SECONDS, 60.0)
        self.assertEqual(self.name("a.example", b"/admin/"), "a.example ^/admin/")
        self.table.sweep(101.0 + RULE_SECONDS, 60.0)
        self.assertEqual(self.name("a.example", b"/admin/"), "a.example")

    def test_one_sweep_is_bounded(self) -> None:
        """Of many routes that are due some are forgotten in one sweep, and the others in the next ones."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer(f"h{at}.example", number=at) for at in range(SWEPT + 10)])
        self.table.remove(tunnel)
        self.table.sweep(REMEMBERED_SECONDS + 1, 60.0)
        self.assertEqual(len(self.table.routes), 10)
        self.table.sweep(REMEMBERED_SECONDS + 2, 60.0)
        self.assertEqual(self.table.routes, [])

    def test_drained_and_forgotten(self) -> None:
        """A tunnel may end long after its routes were forgotten."""
        tunnel = FakeTunnel("t")
        self.table.add(tunnel, [offer("a.example", "^/x"), offer("a.example")])
        self.table.drain(tunnel)
        self.table.sweep(REMEMBERED_SECONDS + 1, 60.0)
        self.assertEqual(self.table.routes, [])
        self.table.remove(tunnel)
        self.assertIsNone(self.name("a.example"))

    def test_many_idle_streams(self) -> None:
        """Idle streams of more tunnels than one sweep looks at end in the next ones."""
        for number in range(SWEPT + 5):
            tunnel = FakeTunnel(str(number))
            self.table.add(tunnel, [offer(f"h{number}.example")])
            opened(self.found(f"h{number}.example").borrow(FakeBorrower())).release(0.0)
        self.table.sweep(61.0, 60.0)
        self.assertEqual(self.table.stream_counts, (0, 5))
        self.table.sweep(62.0, 60.0)
        self.assertEqual(self.table.stream_counts, (0, 0))

    def test_idle_streams_end(self) -> None:
        """The sweep closes streams that have been idle for too long, and `close_idle` all of them."""
        self.table.add(FakeTunnel("t"), [offer("a.example")])
        route = self.found("a.example")
        first, second = opened(route.borrow(FakeBorrower())), opened(route.borrow(FakeBorrower()))
        first.release(0.0)
        second.release(50.0)
        self.table.sweep(61.0, 60.0)
        self.assertEqual(self.table.stream_counts, (0, 1))
        self.table.close_idle()
        self.assertEqual(self.table.stream_counts, (0, 0))
