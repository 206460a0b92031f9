"""Tests of what a visitor is answered, in memory: the framing made anew, piece by piece."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream


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

    def test_draining_edge(self) -> None:
        """While the edge drains every answer ends its connection and says so."""
        stream = self.ask()
        self.edge.visitors.drain()
        answer = self.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertTrue(self.transport.is_closing)
