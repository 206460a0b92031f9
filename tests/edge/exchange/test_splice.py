"""Tests of upgraded connections in memory."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import MemoryEdge
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.states import StreamState


class SpliceTests(SynchronousTestCase):
    """An upgraded connection."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(
            b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)
        self.arrive(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")

    def arrive(self, data: bytes) -> None:
        self.edge.tunnel.protocol.arrive(self.stream, data)

    def test_slow_visitor(self) -> None:
        """Credit is held back while bytes wait for the visitor."""
        self.transport.room = 0
        self.arrive(b"x" * 200_000)
        self.assertGreaterEqual(self.stream.unread_bytes, 200_000)
        self.transport.read(1 << 20)
        self.assertEqual(self.stream.unread_bytes, 0)
        self.assertTrue(self.transport.taken.endswith(b"x" * 200_000))

    def test_stalled_visitor(self) -> None:
        """A visitor that reads nothing is cut after its time, one that is only quiet much later."""
        self.transport.room = 0
        self.arrive(b"x")
        self.edge.clock.pump([1.0] * 62)
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(self.edge.table.stream_counts, (0, 0))

    def test_slow_origin(self) -> None:
        """The visitor is not read while the stream takes no more."""
        for _ in range(5):
            if self.transport.is_reading:
                self.visitor.dataReceived(b"x" * 64_000)
        self.assertFalse(self.transport.is_reading)
        self.edge.tunnel.protocol.sent()
        self.stream.credit_granted(500_000)
        self.edge.tunnel.protocol.sent()
        self.assertTrue(self.transport.is_reading)

    def test_stream_dies(self) -> None:
        """A stream that dies resets the visitor's connection, as it cannot be seen to have ended in order."""
        self.stream.lose(StreamReset())
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(self.edge.metrics.hosts["app.example"].by_class[1], 1)

    def test_visitor_leaves(self) -> None:
        """What the visitor sent last reaches the origin, which is then not waited for longer than it takes."""
        self.edge.tunnel.protocol.sent()
        self.visitor.dataReceived(b"bye")
        self.visitor.connectionLost()
        self.assertEqual(self.edge.tunnel.protocol.sent()[self.stream.id], b"bye")
        self.assertIs(self.stream.state, StreamState.LOCAL_ENDED)
        self.edge.clock.pump([1.0] * 4)
        self.assertIs(self.stream.state, StreamState.CLOSED)
