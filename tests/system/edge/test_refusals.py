"""
Tests that the edge refuses what is malformed or ambiguous, and that the origin sees nothing of it.

Each case goes through a real socket to a real listener in front of a recording origin. The origin must not get a
byte, so the case proves more than a status.
"""

from tests.case import AsyncTestCase, reactor
from tests.system.edge.harness import OK, EdgeHarness, answer_each, get, status_of
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.http1.limits import BodyLimits, HeadLimits

LIMITS = VisitorLimits(
    head=HeadLimits(head_bytes=2048, header_count=20, target_bytes=512),
    body=BodyLimits(body_bytes=1000, trailer_bytes=100, trailer_count=2, extension_bytes=64),
)
HOST = b"Host: app.example\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# The slug of the refusal, its status, and requests that get it.
CASES: dict[str, tuple[int, list[bytes]]] = {
    "request-line": (
        400,
        [
            b"GET /\r\n\r\n",
            b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
            b" GET / HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET / http/1.1\r\n" + HOST + b"\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
        ],
    ),
    "method": (501, [b"get / HTTP/1.1\r\n" + HOST + b"\r\n", b"Head / HTTP/1.1\r\n" + HOST + b"\r\n"]),
    "method-not-allowed": (
        405,
        [
            b"CONNECT app.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n",
            b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n",
        ],
    ),
    "version": (
        505,
        [
            b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
            b"GET / HTTP/0.9\r\n" + HOST + b"\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    ),
    "target": (
        400,
        [
            b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET app.example:80 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
        ],
    ),
    "target-too-long": (414, [b"GET /" + b"a" * 512 + b" HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /" + b"a" * 600]),
    "misdirected": (421, [b"GET https://app.example/ HTTP/1.1\r\n" + HOST + b"\r\n"]),
    "head-too-large": (431, [get(b"/", b"X: " + b"x" * 2048), b"GET / HTTP/1.1\r\nX: " + b"x" * 2048]),
    "too-many-fields": (431, [get(b"/", *[b"X: x"] * 20)]),
    "line-end": (
        400,
        [
            b"GET / HTTP/1.1\nHost: app.example\n\n",
            b"\n" + get(),
            get(b"/", b"X: a\nY: b"),
            get(b"/", b"X: a\rY: b"),
            get(b"/", b"X: a\x00"),
            get(b"/", b"X\x00: a"),
            get(b"/", b"X: a\x0b"),
            get(b"/", b"X: a\x7f"),
            get(b"/\x00"),
            get(b"/\x7f"),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ],
    ),
    "field": (
        400,
        [
            get(b"/", b"X : a"),
            get(b"/", b"X\t: a"),
            get(b"/", b"X: a", b" folded"),
            get(b"/", b"X: a", b"\tfolded"),
            get(b"/", b": a"),
            get(b"/", b"no colon"),
            get(b"/", b"X(: a"),
            get(b"/", b"\xff: a"),
        ],
    ),
    "host": (
        400,
        [
            get(host=b""),
            get(host=b"app.example, other.example"),
            get(host=b"user@app.example"),
            get(host=b"app.example/x"),
            get(host=b"app.example:99999"),
            get(host=b"app.example::"),
            get(host=b"app..example"),
            b"GET http://user@app.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
        ],
    ),
    "host-missing": (
        400,
        [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET http://app.example/ HTTP/1.1\r\n\r\n"],
    ),
    "host-repeated": (400, [get(b"/", b"Host: app.example"), get(b"/", b"host: other.example")]),
    "host-mismatch": (400, [b"GET http://other.example/ HTTP/1.1\r\n" + HOST + b"\r\n"]),
    "content-length": (
        400,
        [
            POST + b"Content-Length: " + value + b"\r\n\r\nhello"
            for value in (b"+5", b"-5", b"5, 5", b"5 5", b"0x5", b"5.0", b"", b"five", b"9" * 30)
        ],
    ),
    "content-length-repeated": (400, [POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"]),
    "content-length-and-coding": (
        400,
        [
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ],
    ),
    "transfer-encoding": (
        400,
        [
            POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n"
            for value in (b"gzip, chunked", b"chunked, chunked", b"xchunked", b"chunked;a", b"identity", b"")
        ]
        + [
            POST + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    ),
    "transfer-encoding-in-1.0": (
        400,
        [b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ),
    "connection": (400, [get(b"/", b"Connection: a b"), get(b"/", b"Connection: close, Host")]),
    "shadow-field": (400, [POST + b"Content_Length: 5\r\n\r\n", POST + b"transfer_encoding: chunked\r\n\r\n"]),
    "expect": (417, [POST + b"Content-Length: 5\r\nExpect: 200-ok\r\n\r\n"]),
    "max-forwards": (400, [get(b"/", b"Max-Forwards: -1")]),
    "chunk": (
        400,
        [
            CHUNKED + body
            for body in (
                b"x\r\n",
                b"+5\r\nhello\r\n0\r\n\r\n",
                b"0x5\r\nhello\r\n0\r\n\r\n",
                b" 5\r\nhello\r\n0\r\n\r\n",
                b"5x\r\nhello\r\n0\r\n\r\n",
                b"5\nhello\r\n0\r\n\r\n",
                b"5\r\nhelloX\r\n0\r\n\r\n",
                b"5\r\nhello\n0\r\n\r\n",
                b"fffffffffffffffff\r\n",
                b"\r\n",
            )
        ],
    ),
    "chunk-extension": (
        400,
        [
            CHUNKED + b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
            for extension in (b";a\x00", b";a b", b";", b';a="b', b";a\rb", b";a=" + b"b" * 80)
        ],
    ),
    "trailer": (
        400,
        [
            CHUNKED + b"0\r\nX : a\r\n\r\n",
            CHUNKED + b"0\r\nX: a\r\n folded\r\n\r\n",
            CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
        ],
    ),
    "trailers-too-large": (431, [CHUNKED + b"0\r\n" + b"X: a\r\n" * 3 + b"\r\n"]),
    "body-too-large": (
        413,
        [POST + b"Content-Length: 1001\r\n\r\n", CHUNKED + b"3e9\r\n"],
    ),
    "unknown-hostname": (404, [get(host=b"other.example"), get(host=b"127.0.0.1"), get(host=b"[::1]:80")]),
}  # fmt: skip


class RefusalTests(AsyncTestCase):
    """Requests that must not reach the origin."""

    timeout = 20

    async def prepare(self) -> None:
        self.edge = EdgeHarness(reactor, limits=LIMITS, timeouts=VisitorTimeouts(header=2.0, idle=0.2, tick=0.05))
        self.edge.origin.answer = answer_each()
        await self.edge.start()
        self.clean_up_with(self.edge.stop)

    async def check(self, slug: str) -> None:
        status, requests = CASES[slug]
        for request in requests:
            answer = await self.edge.ask(request)
            self.assertEqual(status_of(answer), status, (request, answer))
            self.assertIn(b"\nreason: " + slug.encode() + b"\n", answer, request)
            self.assertEqual(answer.count(b"\r\nX-Request-Id: "), 1, (request, answer))
            if slug != "unknown-hostname":
                self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertEqual(self.edge.origin.seen, b"")
        self.assertEqual(self.edge.origin.connections, [])
        logged = [line for line in self.edge.access_lines() if b'"reason":"%b"' % slug.encode() in line]
        self.assertEqual(len(logged), len(requests))

    async def test_after_a_good_request(self) -> None:
        """A malformed request pipelined behind a good one is refused; the good one is answered first."""
        answer = await self.edge.ask(get() + get(b"/second", b"X : a") + get(b"/third"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK"), answer)
        self.assertIn(b"\r\n\r\nokHTTP/1.1 400 Bad Request\r\n", answer)
        self.assertNotIn(b"/second", self.edge.origin.seen)
        self.assertNotIn(b"/third", self.edge.origin.seen)

    async def test_in_pieces(self) -> None:
        """A refusal does not depend on how the bytes arrive: one byte at a time the origin sees nothing either."""
        for slug in ("line-end", "field", "content-length-and-coding", "transfer-encoding"):
            client = await self.edge.visitor()
            for byte in CASES[slug][1][-1]:
                client.send(bytes([byte]))
            await client.lost()
            self.assertEqual(status_of(client.received), CASES[slug][0])
        self.assertEqual(self.edge.origin.seen, b"")

    async def test_a_bad_chunk_later(self) -> None:
        """When a body goes wrong after its beginning was passed on, the origin never gets the body's end."""
        client = await self.edge.visitor()
        client.send(CHUNKED + b"5\r\nhello\r\n")
        await self.edge.origin.until(b"hello")
        client.send(b"5x\r\nworld\r\n0\r\n\r\n")
        await client.lost()
        self.assertEqual(status_of(client.received), 400)
        await self.edge.origin.connections[0].lost()
        self.assertTrue(self.edge.origin.seen.endswith(b"\r\n\r\n5\r\nhello\r\n"), self.edge.origin.seen)

    async def test_an_unread_body_is_no_request(self) -> None:
        """If the origin answers before the body came, the rest of the body is never served as a request."""
        self.edge.origin.answer = None
        client = await self.edge.visitor()
        client.send(POST + b"Content-Length: 1000\r\n\r\n")
        await self.edge.origin.until(b"Content-Length")
        self.edge.origin.connections[0].send(OK)
        await client.until(b"ok")
        client.send(get(b"/smuggled"))
        await client.lost()
        self.assertEqual(client.received.count(b"HTTP/1.1"), 1)
        self.assertNotIn(b"/smuggled", self.edge.origin.seen)

    async def test_an_unread_body_after_a_long_answer(self) -> None:
        """The same when the answer had begun before, and promised to keep the connection."""
        self.edge.origin.answer = None
        client = await self.edge.visitor()
        client.send(POST + b"Content-Length: 1000\r\n\r\n")
        await self.edge.origin.until(b"Content-Length")
        self.edge.origin.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await client.until(b"12345")
        self.edge.origin.connections[0].send(b"67890")
        await client.until(b"67890")
        client.send(get(b"/smuggled"))
        await client.lost()
        self.assertEqual(client.received.count(b"HTTP/1.1"), 1)
        self.assertNotIn(b"/smuggled", self.edge.origin.seen)


def _add_cases() -> None:
    """Make a test of each refusal, so that each fails alone."""
    for slug in CASES:

        async def test(self: RefusalTests, slug: str = slug) -> None:
            await self.check(slug)

        test.__doc__ = f"Requests refused as {slug} get their status and reason, and the origin sees nothing."
        setattr(RefusalTests, "test_" + slug.replace("-", "_").replace(".", "_"), test)


_add_cases()
