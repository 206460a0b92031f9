"""Tests of how bytes leave to a visitor on plain TCP."""

from twisted.internet.interfaces import IPullProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.visitors.plain import PlainVisitor


class InterfaceTests(SynchronousTestCase):
    """What Twisted is promised."""

    def test_producer(self) -> None:
        """The connection is the producer that it says."""
        self.assertTrue(verifyClass(IPullProducer, PlainVisitor))


class WritingTests(SynchronousTestCase):
    """Bytes that the visitor's socket does not take."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(GET)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def arrive(self, data: bytes) -> None:
        self.edge.tunnel.protocol.arrive(self.stream, data)

    def test_order(self) -> None:
        """Whatever the socket takes and when, the visitor gets every byte once and in order."""
        self.transport.room = 50
        body = bytes(range(256)) * 900
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 70_000):
            self.arrive(body[at : at + 70_000])
        self.assertTrue(self.visitor.is_clogged)
        while self.visitor.is_clogged:
            self.transport.read(33_333)
        self.assertEqual(self.transport.taken.partition(b"\r\n\r\n")[2], body)

    def test_credit_is_held_back(self) -> None:
        """No credit is returned while bytes wait, and all of it when they are gone."""
        self.transport.room = 0
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
        self.arrive(b"x" * 200_000)
        before = self.stream.unread_bytes
        self.assertGreaterEqual(before, 200_000)
        self.transport.read(1 << 20)
        self.assertEqual(self.stream.unread_bytes, 0)
        self.arrive(b"x" * 100_000)
        self.assertEqual(self.stream.unread_bytes, 0)

    def test_next_request_waits(self) -> None:
        """A pipelined request is not begun while the last answer waits to be read."""
        self.transport.room = 10
        self.visitor.dataReceived(GET)
        self.arrive(OK)
        self.assertEqual(self.edge.table.stream_counts, (0, 1))
        self.transport.read(1 << 20)
        self.assertEqual(self.edge.table.stream_counts, (1, 0))

    def test_progress_counts(self) -> None:
        """A visitor that reads 64 KiB in each time-out stays; one that reads less does not."""
        self.transport.room = 0
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 250_000)
        stall = self.edge.visitors.timeouts.visitor_stall
        for _ in range(3):
            self.edge.clock.pump([1.0] * int(stall - 2))
            self.transport.read(66_000)
            self.assertFalse(self.transport.is_closing)
        self.edge.clock.pump([1.0] * int(stall + 3))
        self.assertTrue(self.transport.is_aborted)

    def test_close_waits_for_the_reader(self) -> None:
        """The connection closes when the last byte is gone, not before, and not at the linger time-out."""
        self.visitor.dataReceived(b"")
        edge = MemoryEdge()
        visitor, transport = edge.visitor()
        visitor.dataReceived(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        (stream,) = edge.streams()
        edge.tunnel.protocol.answer(stream)
        transport.room = 0
        edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        edge.clock.pump([1.0] * 30)
        self.assertFalse(transport.is_closing)
        transport.read(1 << 20)
        self.assertTrue(transport.is_closing)
        self.assertTrue(transport.taken.endswith(b"x" * 100_000))

    def test_upload_waits_for_credit(self) -> None:
        """While the stream takes no more the visitor is not read, and then it is read again."""
        edge = MemoryEdge()
        visitor, transport = edge.visitor()
        visitor.dataReceived(b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000\r\n\r\n")
        (stream,) = edge.streams()
        for _ in range(5):
            if transport.is_reading:
                visitor.dataReceived(b"x" * 64_000)
        self.assertFalse(transport.is_reading)
        edge.tunnel.protocol.sent()
        stream.credit_granted(500_000)
        edge.tunnel.protocol.sent()
        self.assertTrue(transport.is_reading)
