"""Tests of what a visitor is answered, in memory: the framing made anew, piece by piece."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.edge.refusals import BAD_RESPONSE
from warp_twisted.edge.visitors.states import VisitorState
from warp_twisted.http1.body import CHUNKED as CHUNKED_BODY
from warp_twisted.http1.body import chunks_at_once, make_reader
from warp_twisted.http1.limits import BodyLimits
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL = b"1\r\nx\r\n"


class AnswerTests(SynchronousTestCase):
    """Responses of the origin that come in pieces."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def ask(self, request: bytes = GET) -> Stream:
        """Send a request and let the agent reach the origin."""
        self.visitor.dataReceived(request)
        stream = self.edge.streams()[-1]
        self.edge.tunnel.protocol.answer(stream)
        return stream

    def arrive(self, stream: Stream, data: bytes) -> bytes:
        """Deliver bytes of the origin, and return what the visitor got for them."""
        before = len(self.transport.taken)
        self.edge.tunnel.protocol.arrive(stream, data)
        return self.transport.taken[before:]

    def test_head_in_pieces(self) -> None:
        """Nothing is passed on before the head is whole; then all of it, with the edge's own fields."""
        stream = self.ask()
        self.assertEqual(self.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Le"), b"")
        answer = self.arrive(stream, b"ngth: 4\r\n\r\nab")
        self.assertRegex(answer, rb"^HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: .*\r\nX-Request-Id: .*\r\n\r\nab$")
        self.assertEqual(self.arrive(stream, b"cd"), b"cd")
        self.assertEqual(self.edge.table.stream_counts, (0, 1))

    def test_without_length(self) -> None:
        """A body that ends with the origin's connection is chunked for HTTP/1.1, piece by piece."""
        stream = self.ask()
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n", self.arrive(stream, b"HTTP/1.1 200 OK\r\n\r\n"))
        self.assertEqual(self.arrive(stream, b"hello"), b"5\r\nhello\r\n")
        before = len(self.transport.taken)
        stream.peer_ended()
        self.assertEqual(self.transport.taken[before:], b"0\r\n\r\n")
        self.assertIs(stream.state, StreamState.CLOSED)
        self.assertFalse(self.transport.is_closing)

    def test_without_length_for_http_1_0(self) -> None:
        """HTTP/1.0 gets the same body as it is, and the end of the connection."""
        stream = self.ask(b"GET / HTTP/1.0\r\nHost: app.example\r\nConnection: keep-alive\r\n\r\n")
        self.assertIn(b"\r\nConnection: close\r\n", self.arrive(stream, b"HTTP/1.1 200 OK\r\n\r\n"))
        self.assertEqual(self.arrive(stream, b"hello"), b"hello")
        stream.peer_ended()
        self.assertTrue(self.transport.is_closing)

    def test_interim(self) -> None:
        """Interim responses are passed on, but not to HTTP/1.0, which would take them for the answer."""
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        self.assertEqual(self.arrive(self.ask(), hints), hints)
        self.visitor, self.transport = self.edge.visitor()
        self.assertEqual(self.arrive(self.ask(b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n"), hints), b"")

    def test_too_many_interim(self) -> None:
        """An origin that never comes to the point is given up."""
        stream = self.ask()
        for _ in range(self.edge.visitors.limits.interim_responses):
            self.arrive(stream, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertIn(b"HTTP/1.1 502 ", self.arrive(stream, b"HTTP/1.1 100 Continue\r\n\r\n"))
        self.assertIs(stream.state, StreamState.CLOSED)

    def test_upgrade_that_was_not_asked_for(self) -> None:
        """A 101 that nobody wanted is a bad answer."""
        answer = self.arrive(self.ask(), b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)

    def test_head_request(self) -> None:
        """The answer to HEAD ends with its head, whatever length it states, and its stream is used again only if 0."""
        for length, idle in ((b"5", 0), (b"0", 1)):
            visitor = self.edge.visitor()
            self.visitor, self.transport = visitor
            stream = self.ask(b"HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n")
            answer = self.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % length)
            self.assertIn(b"\r\nContent-Length: %b\r\n" % length, answer)
            self.assertEqual(self.edge.table.stream_counts, (0, idle))

    def test_small_chunks(self) -> None:
        """Of small chunks some are passed on at once, the others in turns; until then their credit is not returned."""
        stream = self.ask()
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n", self.arrive(stream, CHUNKED))
        data = SMALL * 10_000
        count = chunks_at_once(len(data))
        self.assertEqual(self.arrive(stream, data), b"%x\r\n%b\r\n" % (count, b"x" * count))
        self.assertEqual(stream.unread_bytes, len(data) - count * len(SMALL))
        self.assertEqual(self.edge.metrics.unread_bytes, stream.unread_bytes)
        self.assertEqual(self.arrive(stream, SMALL * 5 + b"0\r\n\r\n"), b"")
        self.pass_on()
        self.assertEqual(self.body(), b"x" * 10_005)
        self.assertTrue(self.transport.taken.endswith(b"0\r\n\r\n"))
        self.assertEqual((self.edge.metrics.unread_bytes, stream.unread_bytes), (0, 0))
        self.assertEqual((self.edge.table.stream_counts, self.transport.is_closing), ((0, 1), False))

    def test_small_chunks_with_the_head(self) -> None:
        """The same where they come with the head."""
        stream = self.ask()
        answer = self.arrive(stream, CHUNKED + SMALL * 1_000)
        self.assertLess(answer.count(b"x"), 100)
        self.assertGreater(stream.unread_bytes, 5_000)
        self.arrive(stream, b"0\r\n\r\n")
        self.pass_on()
        self.assertEqual((self.body(), self.edge.table.stream_counts), (b"x" * 1_000, (0, 1)))

    def test_end_behind_small_chunks(self) -> None:
        """An origin that ends or is lost behind them is heard of after them; its stream is not used again."""
        for ends in (Stream.peer_ended, lambda stream: stream.lose(StreamReset())):
            for is_whole in (True, False):
                self.visitor, self.transport = self.edge.visitor()
                stream = self.ask()
                self.arrive(stream, CHUNKED + SMALL * 1_000)
                self.arrive(stream, b"0\r\n\r\n" if is_whole else SMALL)
                ends(stream)
                self.assertIs(self.visitor.state, VisitorState.SERVING)
                self.pass_on()
                self.assertEqual(self.body(), b"x" * (1_000 if is_whole else 1_001))
                self.assertIs(self.transport.is_closing, not is_whole)
                self.assertEqual(self.edge.table.stream_counts, (0, 0))
                self.assertEqual((self.edge.metrics.unread_bytes, len(self.edge.visitors.queue)), (0, 0))

    def test_visitor_that_does_not_read_small_chunks(self) -> None:
        """They take no turns while the visitor reads nothing, and go on with it."""
        stream = self.ask()
        self.arrive(stream, CHUNKED)
        self.transport.room = 10
        self.arrive(stream, SMALL * 10_000)
        self.pass_on()
        waiting = stream.unread_bytes
        self.assertGreater(waiting, 50_000)
        self.assertEqual(len(self.edge.visitors.queue), 0)
        self.transport.read(1 << 20)
        self.arrive(stream, b"0\r\n\r\n")
        self.pass_on()
        self.assertEqual((self.body(), stream.unread_bytes), (b"x" * 10_000, 0))

    def test_slow_turns_are_nobodys_fault(self) -> None:
        """An answer that waits for a turn is not timed out."""
        stream = self.ask()
        self.arrive(stream, CHUNKED + SMALL * 1_000)
        self.visitor.timed_out()
        self.assertIs(self.visitor.state, VisitorState.SERVING)
        self.visitor.connectionLost()
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_bad_chunk_behind_small_ones(self) -> None:
        """What is wrong behind them cuts the answer when its turn has come."""
        stream = self.ask()
        self.arrive(stream, CHUNKED + SMALL * 1_000 + b"zz\r\n")
        self.assertFalse(self.transport.is_closing)
        self.pass_on()
        self.assertTrue(self.transport.is_closing)
        self.assertEqual(self.edge.metrics.refusals, {BAD_RESPONSE: 1})

    def pass_on(self) -> None:
        """Let all turns be taken."""
        self.edge.clock.pump([0.02] * 200)

    def body(self) -> bytes:
        """Return the body that the visitor has got."""
        data = self.transport.taken.partition(b"\r\n\r\n")[2]
        return make_reader(CHUNKED_BODY, BodyLimits()).receive(data)[0]

    def test_draining_edge(self) -> None:
        """While the edge drains every answer ends its connection and says so."""
        stream = self.ask()
        self.edge.visitors.drain()
        answer = self.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertTrue(self.transport.is_closing)
