"""Tests of one request and its answer in memory: what sockets cannot show exactly."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.wire.errors import StreamReset


class MistakeTests(SynchronousTestCase):
    """A mistake of ours in one request."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(GET)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def break_log(self) -> None:
        """Make the access log fail once."""
        log = self.edge.visitors.access_log
        assert log is not None

        def fail(entry: object) -> None:
            patch.restore()
            raise ZeroDivisionError

        patch = self.patch(log, "record", fail)

    def test_while_answering(self) -> None:
        """It ends the visitor's connection, is logged, and does not pass on to the tunnel."""
        self.break_log()
        self.edge.tunnel.protocol.arrive(self.stream, OK)
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_while_losing_the_stream(self) -> None:
        """The same when the stream's end finds it."""
        self.edge.table.drain(self.edge.tunnel)
        self.break_log()
        self.stream.lose(StreamReset())
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_before_the_answer(self) -> None:
        """If nothing was written the visitor is told."""
        patch = self.patch(self.edge.visitors, "limits", None)
        self.edge.tunnel.protocol.arrive(self.stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        patch.restore()
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 500 "), self.transport.taken)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
