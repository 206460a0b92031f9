"""Tests of limits of connections at the edge, on real sockets: before TLS, in the handshake, at the first request."""

import json
from pathlib import Path

from twisted.internet.defer import Deferred, execute, gatherResults
from twisted.internet.task import LoopingCall

from tests.case import reactor
from tests.system.edge.harness import RawConnection, answer_each, get, status_of
from tests.system.edge.test_tls import TlsTestCase
from warp_twisted.edge.policy import loading
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.tunnel.errors import HandshakeFailed

RATE, BURST = 50, 50


class PolicyConnectionsTestCase(TlsTestCase):
    """An edge with a policy, and listeners with and without TLS."""

    text = ""

    async def prepare(self) -> None:
        await super().prepare()
        self.origin.answer = answer_each()
        policy = self.edge.visitors.policy = PolicyInForce()
        file = Path(self.mktemp())
        file.write_text(self.text)
        PolicyFollower(policy, reactor, execute).begin(str(file), str(file.parent))

    def entries(self) -> list[dict[str, object]]:
        """Return the lines of the access log."""
        self.edge.log.flush()
        return [json.loads(line) for line in b"".join(self.edge.lines).splitlines()]

    async def ask(self, client: RawConnection) -> int:
        """Ask on a connection, if it is not closed before; return the answer's status."""
        client.send(get())
        await client.when(lambda: b"\r\n\r\n" in client.received or client.is_lost)
        return status_of(client.take())


class ArrivalTests(PolicyConnectionsTestCase):
    """Limits that need no hostname."""

    text = """
defaults:
  limits: [{name: at-once, of: concurrent_connections, most: 2, per: all}]
"""

    async def test_plain(self) -> None:
        """Without TLS who is too many is told so in a page, without a word to the origin, and who leaves makes room."""
        clients = [await self.edge.visitor() for _ in range(2)]
        self.assertEqual([await self.ask(client) for client in clients], [200, 200])
        refused = await self.edge.visitor()
        await refused.lost()
        self.assertEqual(status_of(refused.received), 429)
        self.assertIn(b"\r\nRetry-After: 1\r\n", refused.received)
        entry = self.entries()[-1]
        self.assertEqual(
            (entry["status"], entry["reason"], entry["rule"], entry["detail"]),
            (429, "policy-limit", "defaults", "limits: at-once"),
        )
        clients[0].close()
        await self.edge.until(lambda: len(self.edge.visitors.connections) == 1)
        self.assertEqual(await self.ask(await self.edge.visitor()), 200)
        self.assertEqual(self.origin.seen.count(b"GET "), 3)

    async def test_secure(self) -> None:
        """On TLS it is closed before the handshake."""
        for _ in range(2):
            await self.secure_visitor()
        with self.assertRaises(HandshakeFailed):
            await self.secure_visitor()
        self.assertEqual(self.edge.metrics.failed_handshakes, 0)
        self.assertEqual((self.entries()[-1]["scheme"], self.entries()[-1]["rule"]), ("https", "defaults"))


class HostnameTests(PolicyConnectionsTestCase):
    """Limits of a hostname."""

    text = """
rules:
- name: one
  match: {hostname: app.example}
  limits: [{name: at-once, of: concurrent_connections, most: 1}]
"""

    async def test_in_the_handshake(self) -> None:
        """The hostname that the handshake names counts once; one too many does not get through its handshake."""
        client = await self.secure_visitor()
        self.assertEqual([await self.ask(client) for _ in range(2)], [200, 200])
        with self.assertRaises(HandshakeFailed):
            await self.secure_visitor()
        entry = self.entries()[-1]
        self.assertEqual((entry["rule"], entry["host"], entry["status"]), ("one", "app.example", 429))
        client.close()
        await self.edge.until(lambda: not self.edge.visitors.counts.total)
        self.assertEqual(await self.ask(await self.secure_visitor()), 200)

    async def test_at_the_first_request(self) -> None:
        """Without TLS it is told with its first request, and closed; the origin sees nothing of it."""
        first, second = await self.edge.visitor(), await self.edge.visitor()
        self.assertEqual(await self.ask(first), 200)
        self.assertEqual(await self.ask(second), 429)
        await second.lost()
        self.assertEqual(await self.ask(first), 200)
        self.assertEqual(self.origin.seen.count(b"GET "), 2)


class BanTests(PolicyConnectionsTestCase):
    """`ban`: who keeps being refused is turned away before a byte of TLS."""

    text = """
defaults:
  ban: {refusals: 5, within: 10s, for: 10m}
rules:
- {name: api, match: {hostname: app.example}, routes: ["GET /"]}
"""

    async def prepare(self) -> None:
        self.patch(loading, "ALWAYS_SPARED", ("::1",))  # this test's visitors come from loopback
        await super().prepare()

    async def test_turned_away(self) -> None:
        """After some refusals new connections are closed without a byte, with and without TLS, until let in again."""
        client = await self.edge.visitor()
        for _ in range(5):
            self.assertEqual(list(self.edge.visitors.policy.banning.listed()), [])
            client.send(get(b"/admin"))
            await client.until(b"\r\n\r\n")
            self.assertEqual(status_of(client.take()), 403)
        lines = len(self.entries())
        refused = await self.edge.visitor()
        await refused.lost()
        self.assertEqual(refused.received, b"")
        with self.assertRaises(HandshakeFailed):
            await self.secure_visitor()
        self.assertEqual((len(self.entries()), self.edge.metrics.failed_handshakes), (lines, 0))
        self.assertEqual(await self.ask(client), 200)  # open before, and judged by request
        self.assertTrue(self.edge.visitors.policy.banning.remove("127.0.0.1"))
        self.assertEqual(await self.ask(await self.edge.visitor()), 200)
        self.assertEqual(self.origin.seen.count(b"GET "), 2)

    async def test_limits_count(self) -> None:
        """Connections that limits refuse count as well, those of the edge's own settings too."""
        self.edge.visitors.apply(VisitorLimits(connections_per_address=1), self.edge.visitors.timeouts)
        await self.edge.visitor()
        for _ in range(5):
            client = await self.edge.visitor()
            await client.lost()
            self.assertEqual(status_of(client.received), 429)
        last = await self.edge.visitor()
        await last.lost()
        self.assertEqual(last.received, b"")


class RateTests(PolicyConnectionsTestCase):
    """`50/s` of connections."""

    text = f"""
defaults:
  limits: [{{name: rate, of: connections, rate: {RATE}/s, burst: {BURST}, per: all}}]
"""

    async def test_a_flood(self) -> None:
        """Of ten times as many connections as allowed those get in that the rate lets, and the origin sees those."""
        begun = reactor.seconds()
        statuses: list[Deferred[int]] = []

        def connect() -> None:
            if reactor.seconds() - begun >= 3.0:
                connecting.stop()
                return
            statuses.extend(Deferred.fromCoroutine(self.visit()) for _ in range(5))

        connecting = LoopingCall(connect)
        await connecting.start(0.01)
        answers = await gatherResults(statuses)
        seconds = reactor.seconds() - begun
        passed = answers.count(200)
        self.assertEqual(passed + answers.count(429) + answers.count(0), len(answers))
        self.assertEqual(self.origin.seen.count(b"GET "), passed)
        self.assertLessEqual(passed, BURST + RATE * seconds + 1)
        self.assertGreater(passed, BURST + RATE * 1.0)
        self.assertGreater(len(answers), 2 * passed)

    async def visit(self) -> int:
        """Connect, ask, and return the status; 0 if it was closed without one."""
        client = await self.edge.visitor()
        client.send(get())
        await client.when(lambda: b"\r\n\r\n" in client.received or client.is_lost)
        status = status_of(client.received) if client.received else 0
        client.abort()
        return status
