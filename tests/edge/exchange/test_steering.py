"""Tests of requests to a hostname whose requests are split, in memory."""

import re
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.fakes import FakeTunnel
from tests.edge.visitors.memory_edge import OK, MemoryEdge
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.routing.cookies import CookieKeys
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import ConnectionLost, StreamReset
from warp_twisted.wire.streams import Stream

POLICY = """
routing:
- hostname: app.example
  split: [{selector: release=stable, weight: 90}, {selector: release=canary, weight: %d}]
  sticky: {cookie: warp_route, ttl: 1h}
"""
TESTERS = POLICY.replace("1h}", "1h}\n  testers: {header: X-Release, sources: [192.0.2.0/24]}%s").replace(
    "weight: %d", "weight: %%d"
)
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
KEYS = CookieKeys([(1, b"k" * 32)])
NOW = 1_800_000_000.0


class SteeringTests(SynchronousTestCase):
    """Visitors with and without a cookie."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.table.remove(self.edge.tunnel)
        self.wall = SettableWallClock(NOW)
        self.edge.visitors.wall = self.wall
        self.edge.table.splitting.cookie_keys = KEYS
        self.tunnels = {name: self.add(name, name.rstrip("0123456789")) for name in ("stable1", "stable2", "canary")}
        self.opened: set[Stream] = set()  # whose origin was reached
        self.use(10)

    def add(self, name: str, release: str) -> FakeTunnel:
        """Let a tunnel serve the hostname."""
        tunnel = FakeTunnel(name, f"agent-{name}", {"release": release})
        self.edge.table.add(tunnel, [RouteOffer(id=0, hostname="app.example")])
        return tunnel

    def use(self, weight: int, text: str = POLICY) -> None:
        """Put a policy in force; its testers come from where this edge's visitors do."""
        entries = parse_policy(text % weight if "%d" in text else text, "p").routing
        sources = {at: (1, PrefixSet.of(["192.0.2.0/24"])) for at, each in enumerate(entries) if each.testers}
        routing = RoutingTable(entries, sources)
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    def ask(self, cookies: str = "", *lines: str, answer: bytes = OK) -> tuple[str, str, bytes]:
        """
        Ask on a new connection.

        :returns: the tunnel that served it, the value of Set-Cookie or nothing, and the request as the origin got it.
        """
        visitor, transport = self.edge.visitor()
        fields = [*([f"Cookie: {cookies}"] if cookies else []), *lines]
        visitor.dataReceived("\r\n".join(["GET /a HTTP/1.1", "Host: app.example", *fields, "", ""]).encode())
        name, stream, request = self.asked()
        opener = self.tunnels[name].protocol
        opener.arrive(stream, answer)
        found = re.search(rb"Set-Cookie: ([^\r]*)", transport.taken)
        visitor.connectionLost(None)  # type: ignore[arg-type]  # the reason is not looked at
        self.assertNotEqual(transport.taken, b"")
        return name, found[1].decode() if found is not None else "", request

    def asked(self) -> tuple[str, Stream, bytes]:
        """Return the one tunnel that has got a request, with its stream, opened, and the request."""
        for name, tunnel in self.tunnels.items():
            for stream_id, request in tunnel.protocol.sent().items():
                if b"HTTP/1.1\r\n" in request:
                    (stream,) = [each for _, each in tunnel.protocol.opened if each.id == stream_id]
                    if stream not in self.opened:
                        self.opened.add(stream)
                        tunnel.protocol.answer(stream)
                    return name, stream, request
        raise AssertionError("no tunnel was asked")

    def test_first_request(self) -> None:
        """A visitor without a cookie gets one from every share, with these attributes; the origin hears of none."""
        served: Counter[str] = Counter()
        for _ in range(100):
            name, cookie, request = self.ask()
            served[name] += 1
            self.assertRegex(cookie, r"^warp_route=[A-Za-z0-9_-]{56}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax$")
            self.assertNotIn(b"Cookie", request)
        self.assertLess(abs(served["canary"] - 10), 3)
        shares = {
            name: self.edge.metrics.shares.of("app.example", f"release={name}").by_class
            for name in ("stable", "canary")
        }
        self.assertEqual((shares["canary"][2], shares["stable"][2]), (served["canary"], 100 - served["canary"]))

    def test_log(self) -> None:
        """A line of the access log names share and agent."""
        name, _, _ = self.ask()
        log = self.edge.visitors.access_log
        assert log is not None
        log.flush()
        (line,) = self.edge.lines
        self.assertIn(f'"agent":"agent-{name}"'.encode(), line)
        self.assertIn(f'"share":"release={name.rstrip("12")}"'.encode(), line)

    def test_kept(self) -> None:
        """A visitor keeps to its agent, and the origin does not see the cookie, but all others."""
        for _ in range(30):
            name, cookie, _ = self.ask()
            value = cookie.partition(";")[0]
            for _ in range(3):
                again, cookie, request = self.ask(f"a=b; {value}; c=d")
                self.assertEqual((again, cookie), (name, ""))
                self.assertIn(b"\r\nCookie: a=b; c=d\r\n", request)
            self.assertNotIn(b"Cookie", self.ask(value)[2])

    def test_forged(self) -> None:
        """A cookie that nobody signed is taken out, and the visitor is drawn as any new one."""
        served: Counter[str] = Counter()
        good = self.ask()[1].partition(";")[0]
        for number in range(100):
            forged = good[:-4] + f"{number:04d}"
            name, cookie, request = self.ask(forged)
            served[name] += 1
            self.assertNotEqual(cookie, "")
            self.assertNotIn(b"warp_route", request)
        self.assertLess(abs(served["canary"] - 10), 3)
        # Beside a forged one the good one counts, wherever it is.
        name, cookie, _ = self.ask(f"warp_route=x; {good}")
        self.assertEqual(cookie, "")

    def test_agent_that_leaves(self) -> None:
        """Whose agent leaves is served by another one of its share, and keeps to that; nobody else moves."""
        visitors = [(name, cookie.partition(";")[0]) for name, cookie, _ in (self.ask() for _ in range(40))]
        self.edge.table.remove(self.tunnels["stable1"])
        for name, value in visitors:
            again, cookie, _ = self.ask(value)
            if name != "stable1":
                self.assertEqual((again, cookie), (name, ""))
                continue
            self.assertEqual(again, "stable2")
            moved = cookie.partition(";")[0]
            self.assertEqual(self.ask(moved)[:2], ("stable2", ""))
        self.tunnels["stable3"] = self.add("stable3", "stable")
        for name, value in visitors:
            if name != "stable1":
                self.assertEqual(self.ask(value)[:2], (name, ""))

    def test_weights_change(self) -> None:
        """When the canary grows only as many move as must, and none back; weight 0 ends it at once for all."""
        visitors = [self.ask()[:2] for _ in range(200)]
        values = [cookie.partition(";")[0] for _, cookie in visitors]
        before = [name == "canary" for name, _ in visitors]
        self.use(30)  # of 120
        after = [self.ask(value)[0] == "canary" for value in values]
        self.assertLess(abs(sum(before) - 20), 4)
        self.assertLess(abs(sum(after) - 50), 4)
        self.assertTrue(all(new for old, new in zip(before, after, strict=True) if old))
        self.use(0)
        self.assertNotIn("canary", {self.ask(value)[0] for value in values})

    def test_ttl(self) -> None:
        """A cookie is written anew in the second half of its time, with the same draw; so is one of an earlier key."""
        name, cookie, _ = self.ask()
        value = cookie.partition(";")[0]
        self.wall.offset += 1_700
        self.assertEqual(self.ask(value)[1], "")
        self.wall.offset += 200
        again, cookie, _ = self.ask(value)
        self.assertEqual(again, name)
        self.assertEqual(self.ask(cookie.partition(";")[0])[1], "")
        self.edge.table.splitting.cookie_keys = CookieKeys([(2, b"n" * 32), (1, b"k" * 32)])
        self.wall.offset = NOW
        again, cookie, _ = self.ask(value)
        self.assertEqual((again, cookie[:11]), (name, "warp_route="))
        # A clock that was set back must not have every answer carry a cookie for years.
        self.wall.offset = NOW - 10 * 365 * 86_400.0
        cookie = self.ask(value)[1].partition(";")[0]
        self.assertEqual(self.ask(cookie)[1], "")

    def test_no_keys(self) -> None:
        """Without keys nobody is kept, and everybody is served."""
        value = self.ask()[1].partition(";")[0]
        self.edge.table.splitting.cookie_keys = None
        _, cookie, request = self.ask(value)
        self.assertEqual(cookie, "")
        self.assertNotIn(b"warp_route", request)

    def test_upgrade(self) -> None:
        """The answer to an upgrade carries the cookie as well."""
        lines = ("Connection: Upgrade", "Upgrade: websocket")
        self.assertRegex(self.ask("", *lines, answer=UPGRADED)[1], "^warp_route=")

    def test_sent_again(self) -> None:
        """A request that its agent lost is sent to another one, and the visitor keeps to that one."""
        name, cookie, _ = self.ask()
        value = cookie.partition(";")[0]
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(f"GET /a HTTP/1.1\r\nHost: app.example\r\nCookie: {value}\r\n\r\n".encode())
        first, stream, _ = self.asked()
        self.assertEqual(first, name)
        self.edge.table.remove(self.tunnels[name])
        stream.lose(StreamReset())
        self.edge.clock.pump([0.1] * 5)
        second, stream, request = self.asked()
        self.assertNotEqual(second, name)
        self.assertNotIn(b"Cookie", request)
        self.tunnels[second].protocol.arrive(stream, OK)
        self.assertIn(b"\r\nSet-Cookie: warp_route=", transport.taken)

    def request_of_canary(self) -> bytes:
        """Return a request of a visitor that keeps to the one agent of the canary's share."""
        name, cookie = "", ""
        while name != "canary":
            name, cookie, _ = self.ask()
        return f"GET /a HTTP/1.1\r\nHost: app.example\r\nCookie: {cookie.partition(';')[0]}\r\n\r\n".encode()

    def test_used_connection_of_a_lone_agent(self) -> None:
        """If an origin closes a used connection, the only agent of the share makes a new one."""
        request = self.request_of_canary()
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(request)
        first, stream, _ = self.asked()
        self.tunnels[first].protocol.arrive(stream, OK)
        visitor.dataReceived(request)
        second, stream, _ = self.asked()
        stream.lose(StreamReset())
        third, again, _ = self.asked()
        self.assertEqual((first, second, third), ("canary",) * 3)
        self.assertIsNot(again, stream)

    def test_lone_agent_is_lost(self) -> None:
        """An agent that lost one tunnel will lose its others, if it was killed: its requests leave the share."""
        request = self.request_of_canary()
        other = FakeTunnel("canary2", "agent-canary", {"release": "canary"})
        self.edge.table.add(other, [RouteOffer(id=0, hostname="app.example")])
        self.tunnels["canary2"] = other
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(request)
        name, stream, _ = self.asked()
        self.assertTrue(name.startswith("canary"))
        self.edge.table.remove(self.tunnels[name])
        stream.lose(ConnectionLost())
        self.assertTrue(self.asked()[0].startswith("stable"))

    def test_address(self) -> None:
        """By address there is no cookie, and a visitor keeps to its agent."""
        self.use(10, POLICY.replace("{cookie: warp_route, ttl: 1h}", "{address: true}"))
        found = {self.ask(f"warp_route={number}") for number in range(10)}
        self.assertEqual(len({name for name, _, _ in found}), 1)
        self.assertEqual({cookie for _, cookie, _ in found}, {""})

    def test_nobody(self) -> None:
        """A hostname of whose tunnels no share wants any is answered 503."""
        self.use(10, "routing: [{hostname: app.example, split: [{selector: release=none, weight: 1}]}]")
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(b"GET /a HTTP/1.1\r\nHost: app.example\r\n\r\n")
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 503 "))

    def test_testers(self) -> None:
        """A tester gets the share it asks for, of whatever weight; its cookie stays, and the origin sees neither."""
        self.use(0, TESTERS % "")
        chosen = "X-Release: release=canary"
        name, cookie, request = self.ask("", chosen)
        self.assertEqual((name, cookie), ("canary", ""))
        self.assertNotIn(b"X-Release", request)
        name, cookie, _ = self.ask("", "X-Release: release=none")
        self.assertTrue(name.startswith("stable") and cookie)
        value = cookie.partition(";")[0]
        name, again, request = self.ask(f"a=b; {value}", chosen)
        self.assertEqual((name, again), ("canary", ""))
        self.assertIn(b"\r\nCookie: a=b\r\n", request)
        self.assertEqual(self.ask(value)[1], "")  # back where it belongs
        self.edge.visitors.sweep()
        lines = [line for lines in self.edge.lines for line in lines.splitlines()]
        self.assertEqual(sum(b'"share":"release=canary","tester":"release=canary"' in line for line in lines), 2)
        self.assertEqual(sum(b'"tester"' in line for line in lines), 2)

    def test_testers_take_no_draws(self) -> None:
        """However many testers ask in between, the parts of all others are exact."""
        self.use(10, TESTERS % "")
        served: Counter[str] = Counter()
        for number in range(300):
            if number % 3:
                self.ask("", "X-Release: release=canary")
            else:
                served[self.ask()[0]] += 1
        self.assertLess(abs(served["canary"] - 10), 2)

    def test_tester_without_a_tunnel(self) -> None:
        """Where no tunnel of the share is left a tester is served by the others, and the log says both."""
        self.use(0, TESTERS % "")
        self.edge.table.remove(self.tunnels["canary"])
        name, cookie, _ = self.ask("", "X-Release: release=canary")
        self.assertTrue(name.startswith("stable"))
        self.assertEqual(cookie, "")
        self.edge.visitors.sweep()
        self.assertIn(b'"share":"release=stable","tester":"release=canary"', self.edge.lines[-1])
        self.use(0, TESTERS % "\n  when_empty: 503")
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(b"GET / HTTP/1.1\r\nHost: app.example\r\nX-Release: release=canary\r\n\r\n")
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 503 "))

    def test_share_that_was_taken_back(self) -> None:
        """What a guard took back is not chosen, unless the policy says that it may be."""
        for more, expected in (("", "stable"), ("taken", "canary")):
            text = TESTERS % ""
            self.use(10, text.replace("header:", "taken_back: true, header:") if more else text)
            splitting = self.edge.table.splitting
            splitting.taken_of = lambda split: (1, 0)
            splitting.arrange("app.example")
            self.assertEqual(self.ask("", "X-Release: release=canary")[0].rstrip("12"), expected)

    def test_tester_is_sent_again(self) -> None:
        """A tester's request that an agent lost goes to another one of its share."""
        self.use(0, TESTERS % "")
        self.tunnels["canary2"] = self.add("canary2", "canary")
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(b"GET /a HTTP/1.1\r\nHost: app.example\r\nX-Release: release=canary\r\n\r\n")
        first, stream, _ = self.asked()
        self.edge.table.remove(self.tunnels[first])
        stream.lose(ConnectionLost())
        second, _, _ = self.asked()
        self.assertEqual({first, second}, {"canary", "canary2"})
