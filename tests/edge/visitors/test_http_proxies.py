"""Tests of HTTP proxies in front of the edge, in memory: of each request only its own visitor is known."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.factories import VisitorFactory
from warp_twisted.edge.visitors.http_proxies import HttpProxies, ProxiedHeads
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.http1.forwarding import Fact, Forwarding
from warp_twisted.http1.refusals import BAD_FORWARDED, MessageRefused
from warp_twisted.policy.sources.prefixes import PrefixSet

PROXY = "192.0.2.7"
TRUSTED = PrefixSet.of(["192.0.2.0/28"])
ANN, BOB = "203.0.113.1", "203.0.113.2"


def get(*lines: str) -> bytes:
    """Return a GET with some more fields."""
    return GET[:-2] + b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n"


class HttpProxiesTests(SynchronousTestCase):
    """`HttpProxies`."""

    def test_nobody(self) -> None:
        """Unless somebody is named, nobody is believed, and a unix socket's peer never is."""
        proxies = HttpProxies()
        self.assertFalse(proxies)
        self.assertNotIn(PROXY, proxies)
        self.assertEqual(proxies.read([b"X-Forwarded-For: 203.0.113.1"], PROXY, "http"), (PROXY, "http"))
        self.assertNotIn("", HttpProxies(TRUSTED))

    def test_the_visitor(self) -> None:
        """The field counts under its own name only, in any case, over several lines as in one."""
        proxies = HttpProxies(TRUSTED)
        for lines, visitor in (
            ([], PROXY),
            ([b"X-Forwarded-For: 203.0.113.1"], ANN),
            ([b"x-forwarded-for:203.0.113.9,203.0.113.1"], ANN),
            ([b"X-Forwarded-For: 203.0.113.9", b"Accept: x", b"X-FORWARDED-FOR: 203.0.113.1, 192.0.2.8"], ANN),
            ([b"X_Forwarded_For: 203.0.113.9", b"X-Forwarded-Form: 203.0.113.9"], PROXY),
            ([b"Forwarded: for=203.0.113.9", b"X-Real-IP: 203.0.113.9"], PROXY),
        ):
            self.assertEqual(proxies.read(lines, PROXY, "http"), (visitor, "http"), lines)
        self.assertEqual(proxies.read([b"X-Forwarded-For: 203.0.113.1"], BOB, "http"), (BOB, "http"))
        with self.assertRaises(MessageRefused) as caught:
            proxies.read([b"X-Forwarded-For: 203.0.113.1, unknown"], PROXY, "http")
        self.assertIs(caught.exception.refusal, BAD_FORWARDED)

    def test_the_scheme(self) -> None:
        """How the visitor came is believed only if that is said; the last value is the proxy's own."""
        for value, scheme in (
            (b"https", "https"),
            (b" HTTPS ", "https"),
            (b"https, http", "http"),
            (b"http,https", "https"),
            (b"wss", "http"),
            (b"", "http"),
        ):
            line = b"X-Forwarded-Proto:" + value
            self.assertEqual(HttpProxies(TRUSTED, say_scheme=True).read([line], PROXY, "http"), (PROXY, scheme), value)
            self.assertEqual(HttpProxies(TRUSTED).read([line], PROXY, "http"), (PROXY, "http"))
            self.assertEqual(HttpProxies(TRUSTED, say_scheme=True).read([line], BOB, "http"), (BOB, "http"))

    @given(st.lists(st.binary(max_size=40), max_size=5))
    def test_any_bytes(self, values: list[bytes]) -> None:
        """Whatever it says, an address comes of it, or a refusal."""
        proxies = HttpProxies(TRUSTED, say_scheme=True)
        try:
            address, scheme = proxies.read([b"X-Forwarded-For:" + value for value in values], PROXY, "http")
        except MessageRefused:
            return
        self.assertIn(address in TRUSTED, (True, False))
        self.assertEqual(scheme, "http")


class ProxiedHeadsTests(SynchronousTestCase):
    """`ProxiedHeads`."""

    def test_the_port(self) -> None:
        """The port that the origin is told goes with the scheme by which the visitor came."""
        own = Forwarding(PROXY, "http", (("X-Forwarded-Port", Fact.PORT),), 8080)
        for ports, wanted in (({}, 443), ({"https": 8443}, 8443)):
            heads = ProxiedHeads(lambda: HttpProxies(TRUSTED, say_scheme=True), own, ports)
            self.assertEqual(heads.read([b"X-Forwarded-Proto: https"]).port, wanted)
            self.assertEqual(heads.read([]).port, 8080)

    def test_no_longer_believed(self) -> None:
        """A proxy that is taken out of the list is a visitor from the next request on."""
        believed = HttpProxies(TRUSTED)
        heads = ProxiedHeads(lambda: believed, Forwarding(PROXY, "http"), {})
        self.assertEqual(heads.read([b"X-Forwarded-For: 203.0.113.1"]).address, ANN)
        believed = HttpProxies()
        self.assertEqual(heads.read([b"X-Forwarded-For: 203.0.113.1"]).address, PROXY)
        self.assertEqual(heads.asker.address, PROXY)


class ProxiedTests(SynchronousTestCase):
    """One connection of a proxy that carries many visitors."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.http_proxies = HttpProxies(TRUSTED, say_scheme=True)
        self.visitor, self.transport = self.edge.visitor()
        self.sent = b""

    def ask(self, *lines: str) -> str:
        """Ask on the proxy's connection; return the status line's rest."""
        self.transport.taken = b""
        self.visitor.dataReceived(get(*lines))
        check_visitor(self.visitor)
        opened = self.edge.tunnel.protocol.opened
        self.sent = b"".join(self.edge.tunnel.protocol.sent().values())
        if not self.transport.taken:
            stream = opened[-1][1]
            if not getattr(stream.receiver, "state", None):
                self.edge.tunnel.protocol.answer(stream)
            self.edge.tunnel.protocol.arrive(stream, OK)
        return self.transport.taken[9:12].decode()

    def use(self, text: str) -> None:
        """Put a policy in force."""
        self.edge.visitors.policy.use(loaded(self, text))

    def entries(self) -> list[dict[str, object]]:
        """Return the lines of the access log."""
        log = self.edge.visitors.access_log
        assert log is not None
        log.flush()
        return [json.loads(line) for line in b"".join(self.edge.lines).splitlines()]

    def test_nothing_leaks(self) -> None:
        """Each request has its own visitor, for the origin and the log; one without any is the proxy's own."""
        for lines, address, scheme in (
            ((), PROXY, "http"),
            ((f"X-Forwarded-For: {ANN}", "X-Forwarded-Proto: https"), ANN, "https"),
            ((f"X-Forwarded-For: {BOB}",), BOB, "http"),
            ((), PROXY, "http"),
            ((f"X-Forwarded-For: {ANN}",), ANN, "http"),
            ((f"X-Forwarded-For: {ANN}",), ANN, "http"),
        ):
            self.assertEqual(self.ask(*lines), "200")
            self.assertIn(f"\r\nX-Forwarded-For: {address}\r\n".encode(), self.sent)
            self.assertIn(f"\r\nX-Forwarded-Proto: {scheme}\r\n".encode(), self.sent)
            self.assertIn(f"for={address};proto={scheme};".encode(), self.sent)
            self.assertEqual(self.sent.count(b"X-Forwarded-For"), 1)
            entry = self.entries()[-1]
            self.assertEqual((entry["visitor"], entry["scheme"]), (address, scheme))

    def test_from_anybody_else(self) -> None:
        """What a visitor says of itself is dropped, as ever."""
        self.edge.visitors.http_proxies = HttpProxies(PrefixSet.of(["198.51.100.1"]))
        self.visitor, self.transport = self.edge.visitor()
        self.assertEqual(self.ask(f"X-Forwarded-For: {ANN}"), "200")
        self.assertIn(b"\r\nX-Forwarded-For: 192.0.2.7\r\n", self.sent)
        self.assertNotIn(ANN.encode(), self.sent)

    def test_rules_of_sources(self) -> None:
        """A list of addresses decides by the visitor, whoever asked before on the connection."""
        self.use(f"rules: [{{name: r, sources: {{deny: [{ANN}]}}}}]")
        statuses = [self.ask(f"X-Forwarded-For: {address}") for address in (BOB, ANN, BOB, ANN)]
        self.assertEqual(statuses, ["200", "403", "200", "403"])
        self.use("rules: [{name: r, sources: {allow: [192.0.2.0/24]}}]")
        self.assertEqual(self.ask(f"X-Forwarded-For: {BOB}"), "403")
        self.assertEqual(self.ask(), "200")

    def test_limits(self) -> None:
        """Limits count by visitor, those of the edge's own settings too."""
        self.use("rules: [{name: r, limits: [{name: one, rate: 1/h, burst: 1}]}]")
        statuses = [self.ask(f"X-Forwarded-For: {address}") for address in (ANN, BOB, ANN, BOB)]
        self.assertEqual(statuses, ["200", "200", "429", "429"])
        self.use("rules: []")
        self.edge.visitors.apply(VisitorLimits(requests_per_second=0.001, request_burst=1), self.edge.visitors.timeouts)
        statuses = [self.ask(f"X-Forwarded-For: {address}") for address in (ANN, BOB, ANN, BOB)]
        self.assertEqual(statuses, ["200", "200", "429", "429"])

    def test_https(self) -> None:
        """`https: redirect` and HSTS go by how the visitor came to the proxy."""
        self.use("rules: [{name: r, https: redirect}]")
        self.assertEqual(self.ask(f"X-Forwarded-For: {ANN}", "X-Forwarded-Proto: http"), "308")
        self.assertEqual(self.ask(f"X-Forwarded-For: {ANN}", "X-Forwarded-Proto: https"), "200")
        self.assertIn(b"\r\nStrict-Transport-Security: ", self.transport.taken)
        self.assertEqual(self.ask(f"X-Forwarded-For: {ANN}"), "308")

    def test_bans(self) -> None:
        """A visitor that is refused too often is answered 403, the proxy's connection and its other visitors go on."""
        self.use(
            "{defaults: {ban: {refusals: 3, within: 1h, for: 1h}},"
            " rules: [{name: r, match: {path: /a}, sources: {deny: [203.0.113.1]}}]}"
        )
        statuses = [self.ask(f"X-Forwarded-For: {ANN}") for _ in range(4)]
        self.assertEqual(statuses, ["403"] * 4)
        self.assertEqual([entry["reason"] for entry in self.entries()], ["policy-source"] * 3 + ["banned"])
        self.assertEqual(self.ask(f"X-Forwarded-For: {BOB}"), "200")
        self.assertEqual(self.ask(), "200")
        self.assertFalse(self.transport.is_closing)
        (ban,) = self.edge.visitors.policy.banning.listed()
        self.assertEqual(ban["network"], ANN)

    def test_nobody_knows_who(self) -> None:
        """A proxy that says what is no address is told so, and no origin hears of it."""
        self.assertEqual(self.ask("X-Forwarded-For: unknown"), "400")
        self.assertEqual(self.entries()[-1]["reason"], "x-forwarded-for")
        self.assertEqual(self.edge.streams(), [])

    def test_limits_of_connections(self) -> None:
        """They are not asked about a proxy: its connections are no visitor's, and it may have many."""
        self.use(
            "{defaults: {limits: [{name: all, of: concurrent_connections, most: 1, per: all}]},"
            " rules: [{name: r, limits: [{name: each, of: concurrent_connections, most: 1}]}]}"
        )
        self.edge.visitors.apply(VisitorLimits(connections_per_address=1), self.edge.visitors.timeouts)
        factory = VisitorFactory(self.edge.visitors)
        for _ in range(3):
            connection, transport = factory.buildProtocol(IPv4Address("TCP", PROXY, 4711)), FakeTransport()
            assert isinstance(connection, PlainVisitor)
            connection.makeConnection(transport)
            self.visitor, self.transport = connection, transport
            self.assertEqual(self.ask(f"X-Forwarded-For: {ANN}"), "200")
            self.assertEqual(self.ask(f"X-Forwarded-For: {BOB}"), "200")
        stranger = IPv4Address("TCP", ANN, 4711)
        self.assertIsInstance(factory.buildProtocol(stranger), PlainVisitor)
        self.assertNotIsInstance(factory.buildProtocol(stranger), PlainVisitor)

    def test_connections_count_alone(self) -> None:
        """Each of its connections takes its turns as one of many; when one ends, it is counted out."""
        other, _ = self.edge.visitor()
        self.assertNotEqual(self.visitor.network, other.network)
        for each in (self.visitor, other):
            each.connectionLost()
        self.assertEqual(self.edge.visitors.counts.total, 0)
