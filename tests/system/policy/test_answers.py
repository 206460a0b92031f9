"""What visitors are told, on real sockets: pages, limits, https for ever, and browsers that ask before they ask."""

import json

from tests.system.edge.harness import RawConnection, status_of
from tests.system.edge.test_policy import request
from tests.system.edge.test_policy_connections import PolicyConnectionsTestCase
from tests.system.policy.test_rates import is_whole

_PREFLIGHT = (b"Origin: https://other.example", b"Access-Control-Request-Method: PUT")


class AnswersTests(PolicyConnectionsTestCase):
    """An application with rules by path."""

    text = """
rules:
- {name: closed, match: {path: /closed}, deny: true}
- {name: staff, match: {path: /staff}, authenticate: {any_of: [{service_token: {}}]}}
- {name: shared, match: {path: /shared}, authenticate: {any_of: [{service_token: {}}], cors_preflight: true}}
- {name: few, match: {path: /few}, limits: [{name: per-visitor, rate: 6/h, burst: 5}]}
- {name: secure, match: {path: /secure}, https: {redirect: true, hsts: 730d, include_subdomains: true, preload: true}}
- {name: usual, match: {path: /usual}, https: redirect}
"""

    async def answer(self, data: bytes, client: RawConnection | None = None) -> tuple[int, dict[str, str], bytes]:
        """Ask; return status, fields by their names in lower case, and the body."""
        client = client or await self.edge.visitor()
        client.send(data)
        await client.when(lambda: is_whole(client.received))
        received = client.take()
        head, _, body = received.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        return status_of(received), {name.lower(): value for name, _, value in lines}, body

    async def test_pages(self) -> None:
        """401, 403 and 429 are told to browsers as HTML, to programs as JSON, and to terminals as text."""
        client = await self.edge.visitor()
        for _ in range(5):
            await self.answer(request(b"GET /few"), client)
        for path, status, reason in (
            (b"/staff", 401, "policy-unauthenticated"),
            (b"/closed", 403, "policy-denied"),
            (b"/few", 429, "policy-limit"),
        ):
            for accept, kind in (
                (b"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
                (b"application/json", "application/json"),
                (b"*/*", "text/plain; charset=utf-8"),
            ):
                found = await self.answer(request(b"GET " + path, b"Accept: " + accept), client)
                self.assertEqual((found[0], found[1]["content-type"]), (status, kind))
                self.assertEqual(found[1]["cache-control"], "no-store")
                text = found[2].decode()
                self.assertIn(reason, text)
                if kind == "application/json":
                    self.assertEqual(json.loads(text)["status"], status)
                else:
                    self.assertIn(str(status), text)
                    self.assertEqual("<html" in text, kind.startswith("text/html"))
        self.assertEqual(self.origin.seen.count(b"HTTP/1.1\r\n"), 5)

    async def test_limits(self) -> None:
        """Who is over a limit is told how much is allowed and when to come back, as the draft has it (-10)."""
        client = await self.edge.visitor()
        for _ in range(5):
            status, fields, _ = await self.answer(request(b"GET /few"), client)
            self.assertEqual((status, fields.get("ratelimit")), (200, None))
        status, fields, _ = await self.answer(request(b"GET /few"), client)
        seconds = int(fields["retry-after"])
        self.assertEqual(status, 429)
        self.assertTrue(500 < seconds <= 600, seconds)
        self.assertEqual(fields["ratelimit-policy"], '"per-visitor";q=5;w=3000')
        self.assertEqual(fields["ratelimit"], f'"per-visitor";r=0;t={seconds}')

    async def test_https(self) -> None:
        """Over http a visitor is sent on and told nothing to remember; over https it is, and the origin is asked."""
        for path, remembered in (
            (b"/usual", "max-age=31536000"),
            (b"/secure", "max-age=63072000; includeSubDomains; preload"),
        ):
            status, fields, _ = await self.answer(request(b"GET " + path + b"?a=b"))
            self.assertEqual((status, fields["location"]), (308, f"https://app.example{path.decode()}?a=b"))
            self.assertNotIn("strict-transport-security", fields)
            self.assertEqual(self.origin.seen.count(path), 0)
            status, fields, _ = await self.answer(request(b"GET " + path), await self.secure_visitor())
            self.assertEqual((status, fields["strict-transport-security"]), (200, remembered))
            self.assertEqual(self.origin.seen.count(path), 1)

    async def test_preflight(self) -> None:
        """A browser's CORS preflight passes without credentials only where the rule says so, and only a whole one."""
        client = await self.edge.visitor()
        for line, fields, status in (
            (b"OPTIONS /staff", _PREFLIGHT, 401),
            (b"OPTIONS /shared", _PREFLIGHT[:1], 401),
            (b"OPTIONS /shared", _PREFLIGHT[1:], 401),
            (b"OPTIONS /shared", (), 401),
            (b"PUT /shared", _PREFLIGHT, 401),
        ):
            self.assertEqual((await self.answer(request(line, *fields), client))[0], status, (line, fields))
        self.assertEqual(self.origin.seen, b"")
        self.assertEqual((await self.answer(request(b"OPTIONS /shared", *_PREFLIGHT), client))[0], 200)
        self.assertEqual(self.origin.seen.count(b"OPTIONS /shared HTTP/1.1\r\n"), 1)
