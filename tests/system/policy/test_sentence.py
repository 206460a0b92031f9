"""The one sentence, docs/examples/policy.yaml, on real sockets: whom it lets in, and of whom nothing is seen."""

from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults

from tests.case import reactor, until
from tests.system.edge.harness import RawConnection, status_of
from tests.system.edge.test_policy import PolicyTestCase, request
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.edge.proxies import AnnouncedFactory
from warp_twisted.edge.visitors.factories import VisitorFactory
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.wire.control import RouteOffer

_SENTENCE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "policy.yaml"
_APPLICATION = b"app.warp.example"
_ALLOWED, _ALLOWED_TOO, _STRANGER = "198.51.100.7", "2001:db8::1", "203.0.113.9"
_RATE, _BURST = 50, 100


class SentenceTests(PolicyTestCase):
    """Fifty connections a second, only to these routes, only from these addresses, and only if authenticated."""

    text = _SENTENCE.read_text()

    async def prepare(self) -> None:
        await super().prepare()
        await self.edge.add_tunnel(
            [RouteOffer(id=0, hostname="app.warp.example"), RouteOffer(id=1, hostname="other.warp.example")]
        )
        # A proxy says who the visitors are, as tests have loopback's addresses only.
        proxied = AnnouncedFactory(
            VisitorFactory(self.edge.visitors).buildProtocol, reactor, PrefixSet.of(["127.0.0.1"])
        )
        self.port = await self.edge.listen(proxied)
        store = MemoryStore(reactor)
        mirror = Mirror(store, reactor)
        await mirror.start()
        self.addCleanup(mirror.stop)
        tokens = ServiceTokens(store, mirror, MACHINE_WALL_CLOCK)
        self.policy.find_token = tokens.find
        made, secret = await tokens.create("ci", 60.0)
        await until(lambda: tokens.find(made.id) is not None)
        self.token_id = b"Warp-Client-Id: " + made.id.encode()
        self.secret = b"Warp-Client-Secret: " + secret.encode()

    async def visitor(self, address: str) -> RawConnection:
        """Connect from an address."""
        client = await self.edge.visitor(self.port)
        family, edge = ("TCP6", "2001:db8:ed::1") if ":" in address else ("TCP4", "192.0.2.1")
        client.send(f"PROXY {family} {address} {edge} 50000 80\r\n".encode())
        return client

    async def say(self, line: bytes, address: str, *fields: bytes, host: bytes = _APPLICATION) -> int:
        """Ask from an address; return the status."""
        return status_of(await self.ask(request(line, *fields, host=host), await self.visitor(address)))

    async def test_who_is_let_in(self) -> None:
        """From both networks, on each route, with a token; the origin sees just that, and not the secret."""
        lines = [b"GET /", b"GET /v1/items?x=1", b"HEAD /v1/items", b"POST /v1/orders"]
        for line in lines:
            for address in (_ALLOWED, _ALLOWED_TOO):
                self.assertEqual(await self.say(line, address, self.token_id, self.secret), 200, (line, address))
        seen = self.edge.origin.seen
        self.assertEqual([seen.count(line + b" HTTP/1.1\r\n") for line in lines], [2, 2, 2, 2])
        self.assertEqual(seen.count(b"HTTP/1.1\r\n"), 8)
        self.assertEqual(seen.count(self.secret), 0)
        self.assertEqual(seen.count(b"Warp-Identity: ci\r\n"), 0)  # nobody has keys for assertions in this harness

    async def test_each_denial(self) -> None:
        """Another address, another route, a path of two readings, no token, a wrong one: the origin sees nothing."""
        token = (self.token_id, self.secret)
        for line, address, fields, status, reason in (
            (b"GET /v1/items", _STRANGER, token, 403, "policy-source"),
            (b"GET /v1/items", "2001:db9::1", token, 403, "policy-source"),
            (b"GET /admin", _ALLOWED, token, 403, "policy-route"),
            (b"DELETE /v1/orders", _ALLOWED, token, 403, "policy-route"),
            (b"POST /v1/orders/", _ALLOWED, token, 403, "policy-route"),
            (b"GET /v1/../admin", _ALLOWED, token, 400, "policy-odd-path"),
            (b"GET /v1/%2e%2e/admin", _ALLOWED, token, 400, "policy-odd-path"),
            (b"GET /v1//items", _ALLOWED, token, 400, "policy-odd-path"),
            (b"GET /healthz/..", _STRANGER, (), 400, "policy-odd-path"),
            (b"GET /v1/items", _ALLOWED, (), 401, "policy-unauthenticated"),
            (b"GET /v1/items", _ALLOWED, (self.token_id, self.secret + b"0"), 401, "policy-credential"),
            (b"GET /v1/items", _ALLOWED, (self.token_id[:-1] + b"!", self.secret), 401, "policy-credential"),
        ):
            self.assertEqual(await self.say(line, address, *fields), status, (line, address))
            entry = self.entry()
            self.assertEqual((entry["rule"], entry["reason"], entry["visitor"]), ("app", reason, address))
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_what_is_left_out(self) -> None:
        """The health check and other applications are open to everybody."""
        self.assertEqual(await self.say(b"GET /healthz", _STRANGER), 200)
        self.assertEqual(await self.say(b"GET /admin", _STRANGER, host=b"other.warp.example"), 200)

    async def test_the_rate(self) -> None:
        """Of three hundred connections at once the burst gets in and what the rate adds; the origin sees just those."""
        begun = reactor.seconds()
        asking: list[Deferred[int]] = [
            Deferred.fromCoroutine(self.say(b"GET /v1/items", _ALLOWED, self.token_id, self.secret)) for _ in range(300)
        ]
        statuses = await gatherResults(asking)
        passed = statuses.count(200)
        self.assertEqual(passed + statuses.count(429), 300)
        self.assertGreaterEqual(passed, _BURST)
        self.assertLessEqual(passed, _BURST + _RATE * (reactor.seconds() - begun) + 1)
        self.assertEqual(self.edge.origin.seen.count(b"GET /v1/items"), passed)
        self.assertEqual(await self.say(b"GET /v1/items", _ALLOWED_TOO, self.token_id, self.secret), 200)
