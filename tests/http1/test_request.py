"""Tests of request heads: what they mean, what is passed on, and what is refused."""

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import LIMITS, VISITOR, read_request, refusal_of_request, request, request_reader
from warp_twisted.http1 import refusals
from warp_twisted.http1.body import CHUNKED
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.request import FirstSection, RequestReader
from warp_twisted.http1.shared_sections import SharedSections

FORWARDED = (
    b"Warp-Hops: 1\r\n"
    b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.example\r\n"
    b'Forwarded: for=192.0.2.7;proto=http;host="app.example"\r\n'
)


class ReadingTests(SynchronousTestCase):
    """What a good head means."""

    def test_plain(self) -> None:
        """Method, target, host and size are read; there is no body and the connection persists."""
        data = request(b"User-Agent: probe/1", b"Accept: text/html", line=b"GET /a?b HTTP/1.1")
        head = read_request(data + b"more")
        fields = head.fields
        self.assertEqual((head.method, head.target, head.size), (b"GET", b"/a?b", len(data)))
        self.assertEqual((fields.host, fields.authority, fields.length), ("app.example", b"app.example", 0))
        self.assertEqual((fields.user_agent, head.accept), ("probe/1", b"text/html"))
        self.assertTrue(fields.persistent)
        self.assertFalse(fields.expects_continue)

    def test_every_cut(self) -> None:
        """Cut anywhere, a head is incomplete until its last byte; what follows is not touched."""
        for line in (b"GET /a HTTP/1.1", b"GET http://app.example/a HTTP/1.1", b"OPTIONS * HTTP/1.0"):
            data = request(b"X-A:1", b"X-B:", line=line)
            reader = request_reader()
            for end in range(1, len(data)):
                self.assertIsNone(reader.read(data[:end]))
            head = reader.read(data + b"GET ")
            assert head is not None
            self.assertEqual(head.size, len(data))

    def test_the_same_section_again(self) -> None:
        """A section that repeats is taken from memory with the same meaning, after a partial arrival too."""
        reader = request_reader()
        first = reader.read(request(b"X-A: 1"))
        again = request(b"X-A: 1", line=b"POST /other HTTP/1.1")
        self.assertIsNone(reader.read(again[:-1]))
        second = reader.read(again)
        third = reader.read(request(b"X-A: 2"))
        assert first is not None
        assert second is not None
        assert third is not None
        self.assertIs(second.fields, first.fields)
        self.assertEqual((second.method, second.target, second.size), (b"POST", b"/other", len(again)))
        self.assertIn(b"X-A: 2\r\n", third.lines)

    def test_a_section_that_only_begins_the_same(self) -> None:
        """A longer section is never mistaken for the remembered one."""
        reader = request_reader()
        reader.read(request())
        head = reader.read(request(b"Content-Length: 5"))
        assert head is not None
        self.assertEqual(head.fields.length, 5)

    def test_large_sections_are_not_remembered(self) -> None:
        """An idle connection holds no large header section."""
        reader = request_reader(HeadLimits())
        data = request(b"Cookie: " + b"c" * 5000)
        first, second = reader.read(data), reader.read(data)
        assert first is not None
        assert second is not None
        self.assertIsNot(first.fields, second.fields)

    def test_one_empty_line_before(self) -> None:
        """RFC 9112 §2.2: one CR LF before the request line is ignored."""
        data = b"\r\n" + request()
        self.assertEqual(read_request(data).size, len(data))

    def test_persistence(self) -> None:
        """HTTP/1.1 persists unless it says close, HTTP/1.0 only if it says keep-alive."""
        cases = [
            (b"GET / HTTP/1.1", b"X: 1", True),
            (b"GET / HTTP/1.1", b"Connection: Close", False),
            (b"GET / HTTP/1.1", b"Connection: keep-alive, close", False),
            (b"GET / HTTP/1.0", b"X: 1", False),
            (b"GET / HTTP/1.0", b"Connection: Keep-Alive", True),
        ]
        for line, field, persistent in cases:
            self.assertEqual(read_request(request(field, line=line)).fields.persistent, persistent, field)

    def test_framing(self) -> None:
        """A length or exactly one chunked coding frames the body."""
        cases = [(b"Content-Length:\t5 ", 5), (b"content-length: 0", 0), (b"Transfer-Encoding: Chunked", CHUNKED)]
        for field, length in cases:
            self.assertEqual(read_request(request(field)).fields.length, length, field)

    def test_host_forms(self) -> None:
        """The port stays in the authority and leaves the host."""
        fields = read_request(request(host=b"Host:  App.Example.:8080 ")).fields
        self.assertEqual((fields.host, fields.authority), ("app.example", b"App.Example.:8080"))

    def test_expect_is_ignored_without_a_body_or_in_1_0(self) -> None:
        """RFC 9110 §10.1.1: an HTTP/1.0 expectation is ignored; without a body there is nothing to continue."""
        length = b"Content-Length: 5"
        expect = b"Expect: 100-Continue"
        self.assertTrue(read_request(request(expect, length)).fields.expects_continue)
        for data in (request(expect), request(expect, length, line=b"POST / HTTP/1.0")):
            head = read_request(data)
            self.assertFalse(head.fields.expects_continue)
            self.assertNotIn(b"Expect", head.for_origin(b"i"))

    def test_upgrade(self) -> None:
        """An upgrade counts if it is for one listed protocol, in HTTP/1.1, without a body, and Connection says so."""
        asked = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
        self.assertEqual(read_request(request(*asked)).fields.upgrade, b"websocket")
        for data in (
            request(asked[1]),
            request(*asked, line=b"GET / HTTP/1.0"),
            request(*asked, b"Content-Length: 1"),
            request(*asked, b"Upgrade: websocket"),
            request(asked[0], b"Upgrade: websocket, h2c"),
            request(asked[0], b"Upgrade: h2c", b"HTTP2-Settings: AA"),
        ):
            head = read_request(data)
            self.assertEqual(head.fields.upgrade, b"", data)
            self.assertNotIn(b"Upgrade:", head.for_origin(b"i"))


class ForOriginTests(SynchronousTestCase):
    """The head as the origin gets it."""

    def sent(self, *lines: bytes, line: bytes = b"GET /a HTTP/1.1", host: bytes = b"Host: app.example") -> bytes:
        """Return what goes to the origin between Host and the forwarding lines."""
        sent = read_request(request(*lines, line=line, host=host)).for_origin(b"id-1")
        first, _, rest = sent.partition(b"\r\nHost: ")
        self.assertTrue(first.endswith(b" HTTP/1.1"), sent)
        self.assertTrue(sent.endswith(b"\r\nX-Request-Id: id-1\r\n\r\n"), sent)
        middle, forwarded, _ = rest.partition(FORWARDED)
        self.assertTrue(forwarded, sent)
        return middle.partition(b"\r\n")[2]

    def test_whole(self) -> None:
        """Host comes first, then the visitor's fields as they came, then the edge's own."""
        self.assertEqual(
            read_request(request(b"Accept:  */* ")).for_origin(b"7"),
            b"GET / HTTP/1.1\r\nHost: app.example\r\nAccept:  */* \r\n" + FORWARDED + b"X-Request-Id: 7\r\n\r\n",
        )

    def test_http_1_0_is_raised(self) -> None:
        """The origin is always spoken to in HTTP/1.1."""
        self.assertEqual(self.sent(b"A: b", line=b"GET / HTTP/1.0"), b"A: b\r\n")

    def test_hop_by_hop_fields_stay_here(self) -> None:
        """Fields for this connection, named by RFC 9110 or by Connection, are left out."""
        sent = self.sent(
            b"Connection: keep-alive, X-Hop, x-other",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"Proxy-Authorization: Basic x",
            b"Proxy: http://evil.example",
            b"X-HOP: 1",
            b"X-Other: 2",
            b"X-End: 3",
            b"TE: gzip",
        )
        self.assertEqual(sent, b"X-End: 3\r\n")

    def test_framing_is_written_anew(self) -> None:
        """Length and coding go out in one canonical form."""
        self.assertEqual(self.sent(b"CONTENT-LENGTH:\t007 "), b"Content-Length: 7\r\n")
        self.assertEqual(self.sent(b"transfer-encoding:CHUNKED"), b"Transfer-Encoding: chunked\r\n")
        self.assertEqual(
            self.sent(b"Expect: 100-CONTINUE", b"Content-Length: 1"), b"Content-Length: 1\r\nExpect: 100-continue\r\n"
        )

    def test_te_trailers_and_upgrade(self) -> None:
        """What is asked of the next hop is asked in our own Connection field."""
        self.assertEqual(self.sent(b"TE: deflate;q=0.5, trailers"), b"Connection: TE\r\nTE: trailers\r\n")
        self.assertEqual(
            self.sent(b"Connection: Upgrade", b"Upgrade: websocket", b"TE: trailers"),
            b"Connection: TE, Upgrade\r\nTE: trailers\r\nUpgrade: websocket\r\n",
        )

    def test_claims_about_the_visitor_are_dropped(self) -> None:
        """Nobody but the edge says who the visitor is, not with underscores either."""
        for name in (
            b"X-Forwarded-For",
            b"x-forwarded-proto",
            b"X-Forwarded-Anything",
            b"X_Forwarded_For",
            b"X-Forwarded_Host",
            b"Forwarded",
            b"X-Real-IP",
            b"X_Real_IP",
            b"X-Request-Id",
            b"x_request_id",
        ):
            self.assertEqual(self.sent(name + b": 203.0.113.9"), b"", name)

    def test_other_underscores_pass(self) -> None:
        """A field with an underscore that is nobody's twin is the application's business."""
        self.assertEqual(self.sent(b"api_key: 1", b"user_agent: 2"), b"api_key: 1\r\nuser_agent: 2\r\n")

    def test_absolute_form(self) -> None:
        """An absolute target becomes a path, and Host stays as the visitor wrote it."""
        head = read_request(request(line=b"GET http://APP.example:80/x?y HTTP/1.1"))
        self.assertTrue(head.for_origin(b"i").startswith(b"GET /x?y HTTP/1.1\r\nHost: app.example\r\n"))

    def test_other_upgrades(self) -> None:
        """Docker's API asks by POST for `tcp`: passed on where it is on the list, left out otherwise."""
        data = request(b"Connection: Upgrade", b"Upgrade: tcp", b"Content-Length: 0", line=b"POST /exec HTTP/1.1")
        for protocols, expected in ((frozenset({b"tcp"}), b"tcp"), (frozenset({b"websocket"}), b"")):
            head = RequestReader(LIMITS, VISITOR, protocols).read(data)
            assert head is not None
            self.assertEqual(head.fields.upgrade, expected)
            self.assertEqual(b"\r\nUpgrade: tcp\r\n" in head.for_origin(b"i"), bool(expected))

    def test_host_with_an_empty_port(self) -> None:
        """A colon without a port is left out (RFC 3986 §3.2.3), also of an absolute target; two are no host."""
        for line, host in (
            (b"GET / HTTP/1.1", b"Host: app.example:"),
            (b"GET http://app.example:/ HTTP/1.1", b"Host: app.example"),
        ):
            head = read_request(request(line=line, host=host))
            self.assertTrue(head.for_origin(b"i").startswith(b"GET / HTTP/1.1\r\nHost: app.example\r\n"))
        self.assertIs(refusal_of_request(request(host=b"Host: app.example::")), refusals.BAD_HOST)

    def test_any_method(self) -> None:
        """A method is any token; the origin gets it as it came."""
        for method in (b"M-SEARCH", b"x_odd!", b"baseline-Control"):
            head = read_request(request(line=method + b" / HTTP/1.1"))
            self.assertEqual(head.method, method)
            self.assertTrue(head.for_origin(b"i").startswith(method + b" / HTTP/1.1\r\n"))

    def test_no_via(self) -> None:
        """A Via of the visitor's stays, and the edge adds none, by which origins would believe that a cache asks."""
        sent = read_request(request(b"Via: 1.0 other")).for_origin(b"i")
        self.assertEqual(sent.count(b"Via:"), 1)
        self.assertNotIn(b"Via:", read_request(request()).for_origin(b"i"))

    def test_loop(self) -> None:
        """A request that has passed edges four times is refused; the origin is told how often, this time included."""
        for lines, hops in (([], 1), ([b"Warp-Hops: 1"], 2), ([b"warp-hops:3 "], 4), ([b"Warp-Hops: x"] * 9, 1)):
            self.assertIn(b"\r\nWarp-Hops: %d\r\n" % hops, read_request(request(*lines)).for_origin(b"i"))
        for lines in ([b"Warp-Hops: 4"], [b"Warp-Hops: 1", b"Warp-Hops: 40"]):
            self.assertIs(refusal_of_request(request(*lines)), refusals.LOOP)

    def test_max_forwards(self) -> None:
        """OPTIONS loses one hop; for other methods the field means nothing and passes (RFC 9110 §7.6.2)."""
        field = b"Max-Forwards: 5"
        self.assertIn(b"Max-Forwards: 4\r\n", read_request(request(field, line=b"OPTIONS * HTTP/1.1")).for_origin(b"i"))
        self.assertIn(b"Max-Forwards: 5\r\n", read_request(request(field)).for_origin(b"i"))


class SpokenForTests(SynchronousTestCase):
    """Heads on a connection that carries many visitors."""

    def test_each_head_has_its_visitor(self) -> None:
        """What the origin is told is read from each head, even one that equals the last; nothing is kept."""
        seen: list[Sequence[bytes]] = []

        def forwarding_of(lines: Sequence[bytes]) -> Forwarding:
            seen.append(lines)
            return Forwarding(f"203.0.113.{len(seen)}", "https")

        shared = SharedSections[FirstSection]()
        own = Forwarding("192.0.2.7", "http")
        reader = RequestReader(HeadLimits(), own, first=shared, forwarding_of=forwarding_of)
        data = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
        for number in range(1, 5):
            head = reader.read(data)
            assert head is not None
            self.assertIn(f"X-Forwarded-For: 203.0.113.{number}\r\nX-Forwarded-Proto: https\r\n".encode(), head.lines)
            self.assertNotIn(b"198.51.100.1", head.lines)
        self.assertEqual(seen, [[b"Host: a.example", b"X-Forwarded-For: 198.51.100.1"]] * 4)
        self.assertEqual(len(shared), 0)


class RefusalTests(SynchronousTestCase):
    """Heads that are not passed on, each refused whole and byte by byte."""

    def test_fields(self) -> None:
        """Each malformed or ambiguous field has its refusal."""
        old = {"line": b"POST / HTTP/1.0"}
        cases = [
            (request(b"A : b"), refusals.BAD_FIELD),
            (request(b" A: b"), refusals.BAD_FIELD),
            (request(b"A: b", b" folded"), refusals.BAD_FIELD),
            (request(b"A: b", b"\tfolded"), refusals.BAD_FIELD),
            (request(b": b"), refusals.BAD_FIELD),
            (request(b"no colon"), refusals.BAD_FIELD),
            (request(b"A(b: c"), refusals.BAD_FIELD),
            (request(b"\xc3\xa9: c"), refusals.BAD_FIELD),
            (request(b"A\x00: b"), refusals.BAD_LINE_END),
            (request(b"A: b\x00"), refusals.BAD_LINE_END),
            (request(b"A: b\x0bc"), refusals.BAD_LINE_END),
            (request(b"A: b\x7f"), refusals.BAD_LINE_END),
            (request(b"A: b\rC: d"), refusals.BAD_LINE_END),
            (request(b"A: b\nC: d"), refusals.BAD_LINE_END),
            (request(b"A: b\r"), refusals.BAD_LINE_END),
            (request(b"\rA: b"), refusals.BAD_LINE_END),
            (request(host=b""), refusals.HOST_MISSING),
            (request(host=b"", line=b"GET / HTTP/1.0"), refusals.HOST_MISSING),
            (request(b"host: app.example"), refusals.HOST_REPEATED),
            (request(host=b"Host:"), refusals.BAD_HOST),
            (request(host=b"Host: a, b"), refusals.BAD_HOST),
            (request(host=b"Host: user@app.example"), refusals.BAD_HOST),
            (request(line=b"GET http://other.example/ HTTP/1.1"), refusals.HOST_MISMATCH),
            (request(line=b"GET http://app.example:81/ HTTP/1.1"), refusals.HOST_MISMATCH),
            (request(b"Content-Length: +5"), refusals.BAD_LENGTH),
            (request(b"Content-Length: 5, 5"), refusals.BAD_LENGTH),
            (request(b"Content-Length: 5 5"), refusals.BAD_LENGTH),
            (request(b"Content-Length:"), refusals.BAD_LENGTH),
            (request(b"Content-Length: 5", b"Content-Length: 5"), refusals.LENGTH_REPEATED),
            (request(b"Content-Length: 5", b"Transfer-Encoding: chunked"), refusals.LENGTH_AND_CODING),
            (request(b"Transfer-Encoding: chunked", b"Content-Length: 0"), refusals.LENGTH_AND_CODING),
            (request(b"Transfer-Encoding: gzip"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: gzip, chunked"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: chunked, chunked"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: chunked;q=1"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: identity"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding:"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: \xa0chunked"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), refusals.BAD_CODING),
            (request(b"Transfer-Encoding: chunked", **old), refusals.CODING_TOO_EARLY),
            (request(b"Connection: a b"), refusals.BAD_CONNECTION),
            (request(b"Connection: close, Host"), refusals.BAD_CONNECTION),
            (request(b"Content-Length: 1", b"Connection: content-length"), refusals.BAD_CONNECTION),
            (request(b"Content_Length: 1"), refusals.SHADOW_FIELD),
            (request(b"Transfer_Encoding: chunked"), refusals.SHADOW_FIELD),
            (request(b"Expect: 200-ok", b"Content-Length: 1"), refusals.BAD_EXPECTATION),
            (request(b"Expect: 100-continue", b"Expect: 100-continue"), refusals.BAD_EXPECTATION),
            (request(b"Max-Forwards: -1"), refusals.BAD_MAX_FORWARDS),
            (request(b"Max-Forwards: 1", b"Max-Forwards: 1"), refusals.BAD_MAX_FORWARDS),
        ]
        for data, refusal in cases:
            self.assertIs(refusal_of_request(data), refusal, data)

    def test_lines(self) -> None:
        """Wrong request lines are refused as soon as they are complete, or hold what no line may hold."""
        cases = [
            (b"\r\n\r\n" + request(), refusals.BAD_REQUEST_LINE),
            (b"\n" + request(), refusals.BAD_LINE_END),
            (b"GET / HTTP/1.1\nHost: a\n\n", refusals.BAD_LINE_END),
            (b"\x16\x03\x01\x02\x00\x01\x00", refusals.BAD_LINE_END),
            (b"GET /\r\n", refusals.BAD_REQUEST_LINE),
            (b"GET / HTTP/2.0\r\n", refusals.BAD_VERSION),
            (b"CONNECT / HTTP/1.1\r\n", refusals.METHOD_NOT_ALLOWED),
            (b"TRACE / HTTP/1.1\r\n", refusals.METHOD_NOT_ALLOWED),
            (b"CONNECT app.example:443 HTTP/1.1\r\n", refusals.METHOD_NOT_ALLOWED),
        ]
        for data, refusal in cases:
            self.assertIs(refusal_of_request(data), refusal, data)

    def test_one_bad_byte_early(self) -> None:
        """A bare LF in a head that is still arriving is refused at once, however it is cut."""
        data = b"GET / HTTP/1.1\r\nHost: app.example\r\nA: b\n"
        reader = request_reader()
        for end in range(1, len(data)):
            self.assertIsNone(reader.read(data[:end]))
        with self.assertRaises(MessageRefused) as caught:
            reader.read(data)
        self.assertIs(caught.exception.refusal, refusals.BAD_LINE_END)


class LimitTests(SynchronousTestCase):
    """Each limit, at it and one past it."""

    def test_head(self) -> None:
        """A head of exactly the limit is read; one byte more is refused, complete or not."""
        padding = LIMITS.head_bytes - len(request(b"A: "))
        self.assertEqual(read_request(request(b"A: " + b"x" * padding)).size, LIMITS.head_bytes)
        data = request(b"A: " + b"x" * (padding + 1))
        self.assertIs(refusal_of_request(data), refusals.HEAD_TOO_LARGE)
        self.assertIs(refusal_of_request(data[: LIMITS.head_bytes + 1]), refusals.HEAD_TOO_LARGE)

    def test_head_from_memory(self) -> None:
        """A remembered section does not lift the limit."""
        reader = request_reader()
        padding = b"A: " + b"x" * (LIMITS.head_bytes - len(request(b"A: ")))
        reader.read(request(padding))
        with self.assertRaises(MessageRefused) as caught:
            reader.read(request(padding, line=b"GET /more HTTP/1.1"))
        self.assertIs(caught.exception.refusal, refusals.HEAD_TOO_LARGE)

    def test_fields(self) -> None:
        """Host and 19 more are read, one more is refused."""
        fields = [b"A: b"] * (LIMITS.header_count - 1)
        read_request(request(*fields))
        self.assertIs(refusal_of_request(request(*fields, b"A: b")), refusals.TOO_MANY_FIELDS)

    def test_target(self) -> None:
        """A target of exactly the limit is read, a longer one refused, even if its line never ends."""
        read_request(request(line=b"GET /" + b"a" * (LIMITS.target_bytes - 1) + b" HTTP/1.1"))
        long = b"GET /" + b"a" * LIMITS.target_bytes
        self.assertIs(refusal_of_request(request(line=long + b" HTTP/1.1")), refusals.TARGET_TOO_LONG)
        self.assertIs(refusal_of_request(long + b"a" * 100), refusals.TARGET_TOO_LONG)
