"""Tests of requests and answers that pass through the edge, on real sockets."""

import json
from functools import partial

from tests.case import AsyncTestCase, reactor
from tests.system.edge.harness import OK, EdgeHarness, OriginConnection, RawConnection, answer_each, get, status_of
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.http1.forwarding import Statements, parse_statements
from warp_twisted.http1.request_fields import FieldRules
from warp_twisted.wire.control import RouteOffer

POST = b"POST /p HTTP/1.1\r\nHost: app.example\r\n"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def has(client: RawConnection, part: bytes, count: int) -> bool:
    """Whether bytes have reached a visitor that often."""
    return client.received.count(part) == count


class EdgeTestCase(AsyncTestCase):
    """A running edge with one tunnel to an origin that the test drives."""

    timeout = 20
    limits: VisitorLimits | None = None
    timeouts = VisitorTimeouts(tick=0.05)
    harness = EdgeHarness

    async def prepare(self) -> None:
        self.edge = self.harness(reactor, limits=self.limits, timeouts=self.timeouts)
        self.origin = self.edge.origin
        await self.edge.start()
        self.clean_up_with(self.edge.stop)

    def origin_has(self, part: bytes, count: int) -> bool:
        """Whether bytes have reached the origin that often."""
        return self.origin.seen.count(part) == count

    async def at_origin(self, request: bytes, marker: bytes = b"\r\n\r\n") -> OriginConnection:
        """Send a request as a new visitor, kept as `self.client`, and return the origin's connection that got it."""
        before = self.origin.seen.count(marker)
        self.client = await self.edge.visitor()
        self.client.send(request)
        await self.origin.when(lambda: self.origin.seen.count(marker) > before)
        assert self.origin.last is not None
        return self.origin.last


class RequestTests(EdgeTestCase):
    """What the origin gets."""

    async def test_head(self) -> None:
        """The origin gets the visitor's request with the edge's own fields, and the visitor the request id."""
        origin = await self.at_origin(get(b"/a?b", b"Accept: */*", b"X-Forwarded-For: 203.0.113.9"))
        origin.send(OK)
        await self.client.until(b"ok")
        head, _, body = self.client.received.partition(b"\r\n\r\n")
        request_id = head.rpartition(b"X-Request-Id: ")[2]
        self.assertEqual(
            origin.received,
            b"GET /a?b HTTP/1.1\r\nHost: app.example\r\nAccept: */*\r\nWarp-Hops: 1\r\n"
            b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.example\r\n"
            b'Forwarded: for=127.0.0.1;proto=http;host="app.example"\r\n'
            b"X-Request-Id: " + request_id + b"\r\n\r\n",
        )
        self.assertEqual(body, b"ok")

    async def test_believed_fields(self) -> None:
        """What origins believe is dropped and what is set is said, from the next connection on; trailers likewise."""
        stated = ["X-Forwarded-Port"]
        rules, statements = FieldRules(["default"], stated), Statements(parse_statements(stated))
        before = await self.edge.visitor()
        before.send(get(b"/before", b"CF-Connecting-IP: 203.0.113.9"))
        await self.origin.until(b"/before")
        self.edge.visitors.apply(VisitorLimits(), self.timeouts, rules, statements)
        self.assertIn(b"CF-Connecting-IP: 203.0.113.9", self.origin.seen)
        claims = (b"X-Forwarded-Port: 1", b"cf-connecting-ip: 203.0.113.9", b"Remote_User: root", b"X-Mine: 1")
        origin = await self.at_origin(get(b"/after", *claims))
        lines = origin.received.partition(b"/after")[2].split(b"\r\n")
        self.assertIn(b"X-Forwarded-Port: %d" % self.edge.visitor_port, lines)
        self.assertIn(b"X-Mine: 1", lines)
        self.assertNotIn(b"203.0.113.9", origin.received)
        self.assertNotIn(b"root", origin.received)
        chunked = b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nRemote-User: root\r\nX-Sum: 1\r\n\r\n"
        origin = await self.at_origin(POST + chunked, b"X-Sum: 1")
        self.assertTrue(origin.received.endswith(b"\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"))

    async def test_body_with_a_length(self) -> None:
        """A body is passed on piece by piece as it comes."""
        origin = await self.at_origin(POST + b"Content-Length: 10\r\n\r\nhello")
        await self.origin.until(b"hello")
        self.client.send(b"world")
        await self.origin.until(b"\r\n\r\nhelloworld")
        origin.send(OK)
        await self.client.until(b"ok")

    async def test_chunked_body(self) -> None:
        """A chunked body is passed on at once and coded anew: no extension, no odd size, the trailers kept."""
        await self.at_origin(POST + b"Transfer-Encoding: chunked\r\n\r\n00a;x=y\r\n12345")
        await self.origin.until(b"5\r\n12345\r\n")
        self.client.send(b"67890\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\nHost: evil.example\r\n\r\n")
        await self.origin.until(b"8\r\n67890abc\r\n0\r\nX-Sum: 9\r\n\r\n")

    async def test_expect_continue(self) -> None:
        """The expectation is passed on, and so is the origin's 100; then the body flows."""
        origin = await self.at_origin(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        self.assertIn(b"\r\nExpect: 100-continue\r\n", origin.received)
        origin.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self.client.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.client.send(b"hello")
        await self.origin.until(b"hello")
        origin.send(OK)
        await self.client.until(b"ok")

    async def test_absolute_and_asterisk_form(self) -> None:
        """An absolute target arrives as a path, OPTIONS * as it is."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        client.send(b"GET http://app.example/x?y HTTP/1.1\r\nHost: app.example\r\n\r\n")
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n")
        await client.when(lambda: client.received.count(b"\r\n\r\nok") == 2)
        self.assertIn(b"GET /x?y HTTP/1.1\r\nHost: app.example\r\n", self.origin.seen)
        self.assertIn(b"OPTIONS * HTTP/1.1\r\nHost: app.example\r\n", self.origin.seen)

    async def test_max_forwards(self) -> None:
        """OPTIONS with no hop left is answered here."""
        answer = await self.edge.ask(
            b"OPTIONS / HTTP/1.1\r\nHost: app.example\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n"
        )
        self.assertEqual(status_of(answer), 200)
        self.assertIn(b"\r\nAllow: GET, ", answer)
        self.assertEqual(self.origin.connections, [])


class ConnectionTests(EdgeTestCase):
    """Connections of visitors and to the origin over several requests."""

    async def test_keep_alive(self) -> None:
        """Requests of one visitor, and of the next, use one connection to the origin."""
        self.origin.answer = answer_each()
        for _ in range(2):
            client = await self.edge.visitor()
            for number in range(1, 4):
                client.send(get())
                await client.when(partial(has, client, b"\r\n\r\nok", number))
        self.assertEqual(len(self.origin.connections), 1)

    async def test_pipelining(self) -> None:
        """Pipelined requests are answered in order, one at a time on one connection to the origin."""
        origin = await self.at_origin(get(b"/1") + POST + b"Content-Length: 3\r\n\r\ntwo" + get(b"/3"))
        self.assertEqual(origin.received.count(b"HTTP/1.1"), 1)
        for number in (1, 2, 3):
            await self.origin.when(partial(self.origin_has, b" HTTP/1.1\r\n", number))
            connection = self.origin.connections[-1]
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            await self.client.until(b"\r\n\r\n%d" % number)
        self.assertRegex(self.client.received, rb"(?s)\r\n\r\n1HTTP.*\r\n\r\n2HTTP.*\r\n\r\n3$")

    async def test_many_pipelined_pages(self) -> None:
        """Hundreds of pipelined requests that the edge answers by itself do not nest."""
        client = await self.edge.visitor()
        client.send(get(host=b"x.example") * 1200 + get(b"/", b"Connection: close", host=b"x.example"))
        await client.lost()
        self.assertEqual(client.received.count(b"HTTP/1.1 404 "), 1201)

    async def test_connection_close(self) -> None:
        """A visitor that asks for it gets the last answer and the end."""
        self.origin.answer = answer_each()
        answer = await self.edge.ask(get(b"/", b"Connection: close"))
        self.assertIn(b"\r\nConnection: close\r\n", answer)

    async def test_http_1_0(self) -> None:
        """HTTP/1.0 closes unless it asked otherwise, and is told so."""
        self.origin.answer = answer_each()
        answer = await self.edge.ask(b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n")
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        client = await self.edge.visitor()
        for number in (1, 2):
            client.send(b"GET / HTTP/1.0\r\nHost: app.example\r\nConnection: keep-alive\r\n\r\n")
            await client.when(partial(has, client, b"\r\n\r\nok", number))
        self.assertIn(b"\r\nConnection: keep-alive\r\n", client.received)

    async def test_visitor_leaves(self) -> None:
        """When the visitor leaves before the answer, the origin's connection is closed at once."""
        origin = await self.at_origin(get(b"/slow"))
        self.client.abort()
        await origin.lost()
        line = json.loads(self.edge.access_lines()[-1])
        self.assertEqual((line["status"], line["reason"]), (499, "visitor-gone"))

    async def test_origin_that_closes(self) -> None:
        """A connection that the origin says it closes is not used again."""
        origin = await self.at_origin(get(b"/1"))
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await self.client.until(b"ok")
        self.client.send(get(b"/2"))
        await self.origin.until(b"/2")
        self.assertEqual(len(self.origin.connections), 2)

    async def test_origin_that_speaks_out_of_turn(self) -> None:
        """Bytes after a complete answer reach nobody, and the connection they came on is cut."""
        origin = await self.at_origin(get(b"/1"))
        origin.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await origin.lost()
        self.origin.answer = answer_each()
        self.client.take()
        self.client.send(get(b"/2"))
        await self.client.until(b"ok")
        self.assertNotIn(b"poison", self.client.received)

    async def test_idle_origin_that_speaks(self) -> None:
        """Bytes on an idle connection reach nobody either."""
        origin = await self.at_origin(get(b"/1"))
        origin.send(OK)
        await self.client.until(b"ok")
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await origin.lost()
        self.origin.answer = answer_each()
        self.client.take()
        self.client.send(get(b"/2"))
        await self.client.until(b"ok")
        self.assertNotIn(b"poison", self.client.received)


class ResponseTests(EdgeTestCase):
    """What the visitor gets."""

    async def answer_to(self, request: bytes, *pieces: bytes, closes: bool = False) -> bytes:
        """Return what a visitor gets for pieces that the origin sends."""
        origin = await self.at_origin(request)
        for piece in pieces:
            origin.send(piece)
            await self.edge.turns(10)
        if closes:
            origin.close()
        await self.client.lost()
        return self.client.received

    async def test_chunked(self) -> None:
        """A chunked answer is coded anew, each piece as it came, trailers kept."""
        origin = await self.at_origin(get())
        origin.send(CHUNKED_OK + b"5;x=y\r\nhel")
        await self.client.until(b"3\r\nhel\r\n")
        origin.send(b"lo\r\n0\r\nX-Sum: 1\r\n\r\n")
        await self.client.until(b"2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n")
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n", self.client.received)

    async def test_chunked_for_http_1_0(self) -> None:
        """An HTTP/1.0 visitor gets the payload until the end of the connection."""
        answer = await self.answer_to(
            b"GET / HTTP/1.0\r\nHost: app.example\r\nConnection: keep-alive\r\n\r\n",
            CHUNKED_OK + b"5\r\nhello\r\n",
            b"0\r\n\r\n",
        )
        self.assertTrue(answer.endswith(b"\r\n\r\nhello"), answer)
        self.assertNotIn(b"chunked", answer)
        self.assertIn(b"\r\nConnection: close\r\n", answer)

    async def test_until_close(self) -> None:
        """An answer that ends with the origin's connection is chunked, and the visitor's connection stays."""
        origin = await self.at_origin(get())
        origin.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await self.client.until(b"5\r\nhello\r\n")
        origin.close()
        await self.client.until(b"0\r\n\r\n")
        self.origin.answer = answer_each()
        self.client.send(get())
        await self.client.until(b"ok")

    async def test_until_reset(self) -> None:
        """If that connection is reset instead, the answer does not look complete."""
        origin = await self.at_origin(get())
        origin.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await self.client.until(b"hello\r\n")
        origin.abort()
        await self.client.lost()
        self.assertNotIn(b"0\r\n\r\n", self.client.received)

    async def test_cut_short(self) -> None:
        """An answer that ends early ends the visitor's connection early."""
        answer = await self.answer_to(get(), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", closes=True)
        self.assertTrue(answer.endswith(b"hello"))
        self.assertEqual(json.loads(self.edge.access_lines()[-1])["reason"], "cut-short")

    async def test_no_body(self) -> None:
        """HEAD, 204 and 304 have no body, whatever their fields say, and the connection goes on."""
        for method, response in (
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ):
            self.origin.answer = answer_each(response)
            client = await self.edge.visitor()
            client.send(method + b" / HTTP/1.1\r\nHost: app.example\r\n\r\n")
            await client.until(b"\r\n\r\n")
            self.assertTrue(client.received.endswith(b"\r\n\r\n"))
            self.assertNotIn(b"Connection: close", client.received)

    async def test_head_that_brings_a_body(self) -> None:
        """A body in answer to HEAD reaches nobody."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        client.send(b"HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n")
        await client.until(b"\r\n\r\n")
        client.send(get())
        await client.until(b"ok")
        self.assertEqual(client.received.count(b"ok"), 1)

    async def test_head_that_could_bring_a_body(self) -> None:
        """After HEAD the origin's connection is not lent again: a body may still come, for the next visitor."""
        origin = await self.at_origin(b"HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n")
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n")
        await self.client.until(b"\r\n\r\n")
        self.client.send(get(b"/2"))
        await self.origin.until(b"/2")
        self.assertEqual(len(self.origin.connections), 2)

    async def test_interim(self) -> None:
        """1xx responses are passed on, but not to HTTP/1.0."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        answer = await self.answer_to(get(b"/", b"Connection: close"), hints, OK)
        self.assertTrue(answer.startswith(hints), answer)
        self.assertTrue(answer.endswith(b"ok"))
        answer = await self.answer_to(b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n", hints + OK)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)

    async def test_date_is_added(self) -> None:
        """RFC 9110 §6.6.1: an answer without Date gets one."""
        answer = await self.answer_to(get(b"/", b"Connection: close"), OK)
        self.assertEqual(answer.count(b"\r\nDate: "), 1)
        answer = await self.answer_to(
            get(b"/", b"Connection: close"), b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertIn(b"\r\nDate: x\r\n", answer)
        self.assertEqual(answer.count(b"\r\nDate: "), 1)

    async def test_bad_responses(self) -> None:
        """An answer that is malformed or ambiguous becomes 502, and nothing of it is passed on."""
        for response in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nevil",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nevil",
            b"HTTP/1.1 200 OK\r\nX : evil\r\n\r\n",
            b"HTTP/1.1 200 OK\nX: evil\n\n",
            b"HTTP/1.1 200 OK\r\n X: evil\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 4\r\n\r\nevil",
            b"HTTP/1.1 200 OK\r\nX: evil\x00\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nevil\r\n",
            b"HTTP/2.0 200 evil\r\n\r\n",
            b"evil",
        ):
            answer = await self.answer_to(get(b"/", b"Connection: close"), response)
            self.assertEqual(status_of(answer), 502, response)
            self.assertIn(b"\nreason: bad-response\n", answer)
            self.assertNotIn(b"evil", answer)

    async def test_old_responses(self) -> None:
        """What old origins send and everybody reads alike is passed on in clean form, and nothing that follows it."""
        for response, passed in (
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 204 No Content\r\n"),
            (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nhi", b"\r\nContent-Length: 2\r\n"),
            (b"HTTP/1.1 609 Odd\r\nContent-Length: 2\r\n\r\nhi", b"HTTP/1.1 609 Odd\r\n"),
            (b"HTTP/1.1 200 OK\r\nX-Long: a\r\n\tb\r\nContent-Length: 2\r\n\r\nhi", b"\r\nX-Long: a b\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0\r\n\r\n", b"\r\n2\r\nhi\r\n0\r\n"),
            (b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nhi" % (b"X: 1\r\n" * 900), b"\r\nX: 1\r\n"),
        ):
            answer = await self.answer_to(get(b"/", b"Connection: close"), response)
            self.assertIn(passed, answer)
            self.assertNotIn(b"evil", answer)
            self.assertLessEqual(answer.lower().count(b"content-length"), 1)

    async def test_head_with_two_lengths(self) -> None:
        """What frames a body says nothing where there is none: HEAD may have both."""
        asked = b"HEAD / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n"
        response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await self.answer_to(asked, response)
        self.assertEqual(status_of(answer), 200)
        self.assertNotIn(b"Content-Length", answer)

    async def test_a_chunk_that_is_bad_later(self) -> None:
        """An answer that goes wrong after its head was passed on is cut, and seen to be cut."""
        answer = await self.answer_to(get(), CHUNKED_OK + b"5\r\nhello\r\n", b"evil\r\n")
        self.assertTrue(answer.endswith(b"5\r\nhello\r\n"), answer)

    async def test_too_many_interim_responses(self) -> None:
        """An origin that goes on with 1xx for ever is given up."""
        answer = await self.answer_to(get(b"/", b"Connection: close"), b"HTTP/1.1 103 x\r\n\r\n" * 17)
        self.assertIn(b"HTTP/1.1 502 Bad Gateway", answer)

    async def test_server_sent_events_are_not_held_back(self) -> None:
        """An event reaches the visitor within 5 ms of the origin's write."""
        origin = await self.at_origin(get())
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await self.client.until(b"\r\n\r\n")
        delays = []
        for number in range(20):
            event = b"data: %04d\n\n" % number
            began = reactor.seconds()
            origin.send(b"c\r\n%b\r\n" % event)
            await self.client.until(event)
            delays.append(reactor.seconds() - began)
        self.assertLess(sorted(delays)[10], 0.005)


class UpgradeTests(EdgeTestCase):
    """Upgraded connections."""

    asked = get(b"/ws", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    switched = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: y\r\n\r\n"
    )

    async def test_spliced(self) -> None:
        """After the 101 bytes flow both ways unread, those that came with it first."""
        origin = await self.at_origin(self.asked)
        self.assertIn(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", origin.received)
        origin.take()
        origin.send(self.switched + b"\x81\x02hi")
        await self.client.until(b"\x81\x02hi")
        self.assertTrue(self.client.received.startswith(b"HTTP/1.1 101 "))
        self.assertIn(b"\r\nSec-WebSocket-Accept: y\r\n", self.client.received)
        self.client.send(b"\x00GET / HTTP/1.1\r\n\r\n\xff")
        await self.origin.when(lambda: origin.received == b"\x00GET / HTTP/1.1\r\n\r\n\xff")
        self.client.send(b"bye")
        self.client.close()
        await origin.lost()
        self.assertTrue(origin.received.endswith(b"bye"))
        await self.edge.until(lambda: not self.edge.visitors.connections)
        line = json.loads(self.edge.access_lines()[-1])
        self.assertEqual((line["status"], line["bytes_in"] > len(self.asked)), (101, True))

    async def test_bytes_sent_early(self) -> None:
        """What a visitor sends before the 101 arrives waits for it."""
        origin = await self.at_origin(self.asked + b"\x81early")
        self.assertNotIn(b"early", origin.received)
        origin.send(self.switched)
        await self.origin.until(b"\x81early")

    async def test_much_sent_early(self) -> None:
        """However much a visitor sends before the 101, all of it arrives afterwards."""
        early = b"e" * 300_000
        origin = await self.at_origin(self.asked + early)
        origin.take()
        origin.send(self.switched)
        await self.origin.when(lambda: len(origin.received) >= len(early))
        self.assertEqual(origin.received, early)

    async def test_origin_ends(self) -> None:
        """When the origin ends an upgraded connection, so does the edge, after what it sent."""
        origin = await self.at_origin(self.asked)
        origin.send(self.switched + b"last")
        origin.close()
        await self.client.lost()
        self.assertTrue(self.client.received.endswith(b"last"))

    async def test_not_asked_for(self) -> None:
        """A 101 that nobody asked for, or for another protocol, is a bad response."""
        for request in (get(b"/", b"Connection: close"), self.asked):
            origin = await self.at_origin(request)
            origin.send(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil")
            await self.client.until(b"reason: bad-response")
            self.assertEqual(status_of(self.client.received), 502)
            self.assertNotIn(b"evil", self.client.received)

    async def test_declined(self) -> None:
        """If the origin declines, the visitor's next bytes are a request, not a part of anything."""
        origin = await self.at_origin(self.asked)
        origin.send(OK)
        await self.client.until(b"ok")
        self.client.send(b"\x00\x01")
        await self.client.lost()
        self.assertIn(b"HTTP/1.1 400 ", self.client.received)

    async def test_other_protocols_are_not_passed_on(self) -> None:
        """An upgrade to HTTP/2 without TLS would tunnel requests past the edge: it is left out."""
        self.origin.answer = answer_each()
        answer = await self.edge.ask(
            get(b"/", b"Connection: Upgrade, HTTP2-Settings, close", b"Upgrade: h2c", b"HTTP2-Settings: AA")
        )
        self.assertEqual(status_of(answer), 200)
        self.assertNotIn(b"h2c", self.origin.seen)
        self.assertNotIn(b"HTTP2-Settings", self.origin.seen)


class RoutingTests(EdgeTestCase):
    """Which tunnel serves a request."""

    async def test_path_rules(self) -> None:
        """The first path rule that matches wins, in the order offered; the agent is told which."""
        await self.edge.add_tunnel(
            [
                RouteOffer(id=7, hostname="paths.example", path="^/static/"),
                RouteOffer(id=8, hostname="paths.example", path=r"\.png$"),
                RouteOffer(id=9, hostname="*.wild.example"),
            ],
            agent="agent-2",
        )
        self.origin.answer = answer_each()
        close = b"Connection: close"
        for path, host, route_id in (
            (b"/static/a.png", b"paths.example", 7),
            (b"/st%61tic/", b"paths.example", 7),
            (b"/a.png?x", b"paths.example", 8),
            (b"/", b"a.b.wild.example", 9),
        ):
            self.assertEqual(status_of(await self.edge.ask(get(path, close, host=host))), 200, path)
            self.assertEqual(self.edge.tunnels[1].stub.opened[-1], route_id)
            self.edge.table.close_idle()
        for path, host in ((b"/other?a.png", b"paths.example"), (b"/", b"wild.example")):
            self.assertEqual(status_of(await self.edge.ask(get(path, close, host=host))), 404, path)

    async def test_two_tunnels_share(self) -> None:
        """Requests at the same time spread over the tunnels of a hostname."""
        await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")])
        for number in range(1, 5):
            client = await self.edge.visitor()
            client.send(get())
            await self.origin.when(partial(self.origin_has, b"GET /", number))
        self.assertEqual([len(tunnel.stub.opened) for tunnel in self.edge.tunnels], [2, 2])

    async def test_drain(self) -> None:
        """A draining tunnel finishes what it has and gets nothing new."""
        second = await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")], agent="agent-2")
        origin = await self.at_origin(get(b"/old"))
        busy = next(tunnel for tunnel in self.edge.tunnels if tunnel.stub.opened)
        self.edge.table.drain(busy)
        self.origin.answer = answer_each()
        other = second if busy is not second else self.edge.tunnels[0]
        for _ in range(3):
            await self.edge.ask(get(b"/new", b"Connection: close"))
        self.assertEqual((len(busy.stub.opened), len(other.stub.opened)), (1, 1))
        origin.send(OK)
        await self.client.until(b"ok")
        await origin.lost()

    async def test_no_tunnel(self) -> None:
        """When the last tunnel of a hostname is gone, visitors get 503 and are told when to try again."""
        self.edge.table.remove(self.edge.tunnels[0])
        answer = await self.edge.ask(get(b"/", b"Connection: close"))
        self.assertEqual(status_of(answer), 503)
        self.assertIn(b"\nreason: no-tunnel\n", answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)


class AccountTests(EdgeTestCase):
    """What is written down."""

    async def test_access_line(self) -> None:
        """A request's line has every field."""
        self.origin.answer = answer_each()
        request = get(b"/a?b=1", b"User-Agent: probe/1", b"Connection: close")
        answer = await self.edge.ask(request)
        line = json.loads(self.edge.access_lines()[0])
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreater(line.pop("duration_ms"), 0)
        self.assertEqual(
            line,
            {
                "id": answer.partition(b"X-Request-Id: ")[2].partition(b"\r\n")[0].decode(),
                "visitor": "127.0.0.1",
                "scheme": "http",
                "method": "GET",
                "host": "app.example",
                "path": "/a?b=1",
                "status": 200,
                "bytes_in": len(request),
                "bytes_out": len(answer),
                "tunnel": "t-1",
                "agent": "agent-1",
                "route": "app.example",
                "user_agent": "probe/1",
            },
        )

    async def test_counters(self) -> None:
        """Requests, bytes and refusals are counted under the routed hostname, others together."""
        self.origin.answer = answer_each()
        request = get(b"/", b"Connection: close")
        answer = await self.edge.ask(request)
        await self.edge.ask(get(b"/", b"Connection: close", host=b"nobody.example"))
        counters = self.edge.metrics.hosts["app.example"]
        self.assertEqual(counters.by_class, [0, 0, 1, *[0] * 7])
        self.assertEqual((counters.bytes_in, counters.bytes_out), (len(request), len(answer)))
        self.assertEqual(self.edge.metrics.unrouted.by_class[4], 1)
        self.assertEqual([refusal.slug for refusal in self.edge.metrics.refusals], ["unknown-hostname"])
        self.assertNotIn("nobody.example", self.edge.metrics.hosts)
