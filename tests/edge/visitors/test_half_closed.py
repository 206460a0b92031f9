"""Tests of visitors that close their sending side."""

import errno

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors import half_closed
from warp_twisted.edge.visitors.half_closed import HalfClosed
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

POST = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello"
UPGRADE = b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class RequestTests(SynchronousTestCase):
    """Requests of visitors that close their sending side."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def end(self) -> None:
        """The visitor's FIN arrives."""
        self.visitor.readConnectionLost()

    def origin(self) -> Stream:
        """Let the agent reach the origin; return the stream that was opened last."""
        stream = self.edge.streams()[-1]
        self.edge.tunnel.protocol.answer(stream)
        return stream

    def test_interface(self) -> None:
        """Twisted tells the connection of it."""
        self.assertTrue(verifyClass(IHalfCloseableProtocol, PlainVisitor))

    def test_answered(self) -> None:
        """A request that is whole is answered; then the connection closes."""
        for request in (GET, POST):
            with self.subTest(request):
                self.setUp()
                self.visitor.dataReceived(request)
                self.end()
                self.edge.tunnel.protocol.arrive(self.origin(), OK)
                self.assertTrue(self.transport.taken.endswith(b"ok"))
                self.edge.clock.advance(0)
                self.assertTrue(self.transport.is_closing)
                self.assertFalse(self.transport.is_aborted)

    def test_pipelined(self) -> None:
        """All requests that arrived whole are answered, and what is left of one that did not is dropped."""
        self.visitor.dataReceived(GET + POST + b"GET ")
        self.end()
        self.edge.tunnel.protocol.arrive(self.origin(), OK)
        self.edge.clock.advance(0)
        self.assertFalse(self.transport.is_closing)
        self.edge.tunnel.protocol.arrive(self.edge.streams()[-1], OK)
        self.edge.clock.pump([0.01] * 3)
        self.assertEqual(self.transport.taken.count(b"HTTP/1.1 200"), 2)
        self.assertTrue(self.transport.is_closing)

    def test_answers_of_the_edge(self) -> None:
        """Those that the edge answers by itself are answered too, in their turns."""
        self.visitor.dataReceived(GET.replace(b"app.", b"other.") * 3)
        self.visitor.readConnectionLost()
        self.edge.clock.pump([0.01] * 10)
        self.assertEqual(self.transport.taken.count(b"HTTP/1.1 404"), 3)
        self.assertTrue(self.transport.is_closing)

    def test_incomplete(self) -> None:
        """A visitor whose request is not whole has left: nobody waits for an answer, and the origin's stream is cut."""
        for request in (b"", b"GET / HT", POST[:-1]):
            with self.subTest(request):
                self.setUp()
                if request:
                    self.visitor.dataReceived(request)
                self.end()
                self.assertTrue(self.transport.is_closing)
                self.assertEqual(self.edge.streams(), [])
                self.assertEqual(self.edge.table.stream_counts, (0, 0))

    def test_idle(self) -> None:
        """Between two requests the connection ends at once."""
        self.visitor.dataReceived(GET)
        self.edge.tunnel.protocol.arrive(self.origin(), OK)
        self.end()
        self.assertTrue(self.transport.is_lost)
        self.assertEqual(len(self.edge.visitors.connections), 0)

    def test_body_that_waits(self) -> None:
        """The end of a body that waits for credit is no end of the request."""
        body = b"x" * 600_000
        self.visitor.dataReceived(b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 600000\r\n\r\n")
        stream = self.origin()
        sent = 0
        while self.transport.is_reading:
            self.visitor.dataReceived(body[sent : sent + 60_000])
            sent += 60_000
        # A read that was on its way when reading stopped.
        self.visitor.dataReceived(body[sent:])
        self.end()
        self.assertFalse(self.transport.is_closing)
        for _ in range(10):
            self.edge.tunnel.protocol.sent()
            stream.credit_granted(100_000)
            self.edge.clock.pump([0.01] * 5)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertIn(b"HTTP/1.1 200", self.transport.taken)

    def test_slow_reader(self) -> None:
        """A visitor that reads slowly gets all of its answer, and the connection ends behind it."""
        self.transport.room = 100
        self.visitor.dataReceived(GET)
        stream = self.origin()
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        self.end()
        for _ in range(4):
            self.edge.clock.pump([1.0] * 50)
            self.assertFalse(self.transport.is_closing)
            self.transport.read(66_000)
        self.edge.clock.pump([0.01] * 3)
        self.assertTrue(self.transport.taken.endswith(b"x" * 1_000))
        self.assertEqual(len(self.transport.taken.partition(b"\r\n\r\n")[2]), 200_000)
        self.assertTrue(self.transport.is_closing)
        self.assertFalse(self.transport.is_aborted)

    def test_silent_origin(self) -> None:
        """A visitor for which nothing moves is ended as one that left, a while after the last byte."""
        self.visitor.dataReceived(GET)
        stream = self.origin()
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        self.end()
        for _ in range(3):
            self.edge.clock.pump([1.0] * 58)
            self.assertFalse(self.transport.is_closing)
            self.edge.tunnel.protocol.arrive(stream, b"x")
        self.edge.clock.pump([1.0] * 63)
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(self.edge.table.stream_counts, (0, 0))
        self.assertIn(b'"reason":"visitor-gone"', b"".join(self.edge.lines))

    def test_reset(self) -> None:
        """A visitor that had left says so when it is written to, and is then ended with the next sweep."""
        self.visitor.dataReceived(GET)
        stream = self.origin()
        self.end()
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        self.edge.clock.pump([1.0] * 3)
        self.assertFalse(self.transport.is_closing)
        self.transport.error = errno.EPIPE
        self.edge.clock.pump([1.0, 0.0])
        self.assertTrue(self.transport.is_aborted)

    def test_makes_room(self) -> None:
        """Where there is no room, the one goes whose visitor has sent no more for the longest time."""
        self.edge = MemoryEdge(VisitorLimits(connections=3))
        visitors = [self.edge.visitor() for _ in range(3)]
        for connection, _ in visitors[1:]:
            connection.dataReceived(GET)
            connection.readConnectionLost()
        self.assertIsNone(self.edge.visitors.admit("192.0.2.8"))
        self.assertEqual([transport.is_aborted for _, transport in visitors], [False, True, False])
        self.assertEqual(len(self.edge.visitors.half_closed), 1)

    def test_drains(self) -> None:
        """An edge that drains answers it first."""
        self.visitor.dataReceived(GET)
        self.end()
        drained = self.edge.visitors.drain()
        self.edge.clock.pump([1.0] * 5)
        self.assertNoResult(drained)
        self.edge.tunnel.protocol.arrive(self.origin(), OK)
        self.assertTrue(self.transport.is_closing)
        self.visitor.connectionLost(connectionDone)
        self.successResultOf(drained)


class UpgradedTests(SynchronousTestCase):
    """Each direction of an upgraded connection ends by itself."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(UPGRADE)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def arrive(self, data: bytes) -> None:
        self.edge.tunnel.protocol.arrive(self.stream, data)

    def test_visitor_first(self) -> None:
        """The visitor's end reaches the origin behind its last bytes; what the origin says then reaches the visitor."""
        self.arrive(SWITCHED)
        self.visitor.dataReceived(b"bye")
        self.visitor.readConnectionLost()
        self.assertTrue(self.edge.tunnel.protocol.sent()[self.stream.id].endswith(b"bye"))
        self.assertIs(self.stream.state, StreamState.LOCAL_ENDED)
        self.arrive(b"after the end")
        self.assertTrue(self.transport.taken.endswith(b"after the end"))
        self.assertFalse(self.transport.is_closing)
        self.stream.peer_ended()
        self.assertTrue(self.transport.is_closing)
        self.assertFalse(self.transport.is_aborted)
        self.assertIs(self.stream.state, StreamState.CLOSED)

    def test_end_before_the_switch(self) -> None:
        """An end that came before the origin switched protocols is passed on when it has."""
        self.visitor.readConnectionLost()
        self.assertIs(self.stream.state, StreamState.OPEN)
        self.arrive(SWITCHED)
        self.edge.tunnel.protocol.sent()
        self.assertIs(self.stream.state, StreamState.LOCAL_ENDED)

    def test_origin_first(self) -> None:
        """The origin's end reaches the visitor behind its last bytes; what the visitor says then reaches the origin."""
        self.transport.room = 10
        self.arrive(SWITCHED + b"x" * 100)
        self.stream.peer_ended()
        self.assertFalse(self.transport.is_ended)
        self.transport.read(1 << 20)
        self.assertTrue(self.transport.is_ended)
        self.edge.tunnel.protocol.sent()
        self.visitor.dataReceived(b"after the end")
        self.visitor.readConnectionLost()
        self.assertEqual(self.edge.tunnel.protocol.sent()[self.stream.id], b"after the end")
        self.assertIs(self.stream.state, StreamState.CLOSED)
        self.assertTrue(self.transport.is_closing)
        self.edge.clock.pump([1.0])
        self.assertIn(b'"status":101', b"".join(self.edge.lines))

    def test_silence(self) -> None:
        """Who has one direction left and says nothing in it is ended long before an upgraded connection is."""
        for is_visitor in (True, False):
            with self.subTest(is_visitor):
                self.setUp()
                self.arrive(SWITCHED)
                (self.visitor.readConnectionLost if is_visitor else self.stream.peer_ended)()
                self.edge.clock.pump([1.0] * 55)
                self.assertFalse(self.transport.is_closing)
                self.edge.clock.pump([1.0] * 10)
                self.assertTrue(self.transport.is_closing)
                self.assertEqual(self.edge.table.stream_counts, (0, 0))


class Waiting:
    """A connection whose visitor sends no more."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self.looks = 0
        self.is_given_up = False

    def is_reset(self) -> bool:
        """Count the looks."""
        self.looks += 1
        return False

    def give_up(self) -> None:
        """Note it."""
        self.is_given_up = True

    def abort(self) -> None:
        """Nobody asks it here."""


class ManyTests(SynchronousTestCase):
    """More of them than are looked at at once."""

    def test_price(self) -> None:
        """Each sweep looks at some, and each is looked at in its turn."""
        self.patch(half_closed, "LOOKED_AT", 10)
        waiting = HalfClosed()
        connections = [Waiting() for _ in range(25)]
        for connection in connections:
            waiting.add(connection, until=50.0)
        for sweep in range(3):
            waiting.look(float(sweep), 60.0)
        self.assertEqual([connection.looks for connection in connections], [1] * 25)
        waiting.look(50.0, 60.0)
        self.assertEqual([connection.is_given_up for connection in connections], [True] * 10 + [False] * 15)
