"""Tests of `warp_twisted.agent.origins.splice`."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPullProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from warp_twisted.agent.origins import splice as splice_module
from warp_twisted.agent.origins.splice import (
    QUICK_SECONDS,
    READ_BYTES,
    SMALL_READ_BYTES,
    PlainSplice,
    TlsSplice,
    Traffic,
)
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, TunnelPair, tunnel_pair
from warp_twisted.tunnel.tls import BULK_BYTES
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

LOST = Failure(ConnectionLost())
DONE = Failure(ConnectionDone())


class Producer(Protocol):
    """What a transport asks of a producer, when its buffer is empty."""

    def resumeProducing(self) -> None:
        """Write more."""


@dataclass
class FakeSocket:
    """
    The part of a Twisted TCP or TLS transport that a splice uses.

    :ivar room: bytes that the socket takes at once; the rest waits for `drain`. Below 0: the connection is broken.
    """

    room: int = 1 << 30
    sent: bytes = b""
    buffered: bytes = b""
    bufferSize: int = READ_BYTES
    calls: list[str] = field(default_factory=list)
    producer: Producer | None = None

    @cached_property
    def transport(self) -> "FakeSocket":
        """What is below TLS."""
        return FakeSocket()

    def writeSomeData(self, data: bytes) -> int | Exception:
        """Take what there is room for, as `socket.send`."""
        assert not self.buffered, "the order would be lost"
        if self.room < 0:
            return ConnectionLost()
        taken = data[: self.room]
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def write(self, data: bytes) -> None:
        """Buffer."""
        self.buffered += data

    def drain(self) -> None:
        """Let everything that is buffered go out."""
        self.sent += self.buffered
        self.buffered = b""
        self.room = 1 << 30
        assert self.producer is not None
        self.producer.resumeProducing()

    def registerProducer(self, producer: Producer, streaming: bool) -> None:
        """Pull producers are asked at once, as Twisted does."""
        self.producer = producer
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Note."""
        self.producer = None

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append(name)


class SpliceTestCase(SynchronousTestCase):
    """A stream of a tunnel in memory, and the edge's end of it."""

    def setUp(self) -> None:
        self.agent = RecordingDelegate()
        self.pair: TunnelPair = tunnel_pair(RecordingDelegate(), self.agent)
        self.visit = RecordingReceiver()
        self.edge: Stream = self.pair.edge.open_route(1, self.visit)
        self.visit.stream = self.edge
        self.pair.pump()
        self.stream = self.agent.streams[0][0]
        self.stream.write(encode_opening(OpeningCode.OPENED))
        self.traffic = Traffic()
        self.socket = FakeSocket()

    def plain(self) -> PlainSplice:
        """Start a pipe to a TCP origin."""
        splice = PlainSplice(self.traffic)
        splice.makeConnection(self.socket)
        splice.start(self.stream)
        self.pair.pump()
        return splice

    def send(self, data: bytes) -> None:
        """Send bytes from the edge."""
        self.edge.write(data)
        self.pair.pump()


class PlainSpliceTests(SpliceTestCase):
    """The pipe to an origin without TLS."""

    def test_interfaces(self) -> None:
        """It is what Twisted expects of a half-closing protocol and a pull producer."""
        verifyObject(IHalfCloseableProtocol, self.plain())
        verifyObject(IPullProducer, self.plain())

    def test_both_ways(self) -> None:
        """Bytes pass unchanged and are counted."""
        splice = self.plain()
        self.send(b"question")
        splice.dataReceived(b"answer")
        self.pair.pump()
        self.assertEqual((self.socket.sent, self.visit.data), (b"question", b"answer"))
        self.assertEqual((self.traffic.to_origin, self.traffic.from_origin), (8, 6))
        self.assertEqual((self.traffic.open, self.traffic.opened), (1, 1))
        self.assertEqual(self.socket.calls, [])

    def test_requests(self) -> None:
        """A request is counted when bytes follow an answer, however many chunks each has."""
        splice = self.plain()
        for _ in range(3):
            self.send(b"a")
            self.send(b"b")
            splice.dataReceived(b"c")
            splice.dataReceived(b"d")
        self.assertEqual(self.traffic.requests, 3)
        self.assertGreater(self.traffic.response_seconds, 0)

    def test_credit_waits_for_the_origin(self) -> None:
        """What the socket does not take is not returned as credit until it is gone, and the order stays."""
        self.plain()
        self.socket.room = 1000
        self.send(b"a" * 3000)
        self.send(b"b" * 500)
        self.assertEqual(self.stream.unread_bytes, 2500)
        self.assertEqual(self.socket.buffered, b"a" * 2000 + b"b" * 500)
        self.socket.drain()
        self.assertEqual(self.stream.unread_bytes, 0)
        self.send(b"c")
        self.assertEqual(self.socket.sent, b"a" * 3000 + b"b" * 500 + b"c")

    def test_one_stream_holds_at_most_its_window(self) -> None:
        """An origin that takes nothing costs one window, then the edge must stop."""
        self.plain()
        self.socket.room = 0
        while self.edge.write(b"x" * 50_000):
            self.pair.pump()
        self.pair.pump()
        self.assertTrue(self.edge.is_blocked)
        self.assertLessEqual(len(self.socket.buffered), self.stream.window)

    def test_broken_connection(self) -> None:
        """An origin that takes nothing any more does not stop what it answered before from being read."""
        splice = self.plain()
        self.socket.room = -1
        self.send(b"too late")
        self.assertEqual(self.stream.unread_bytes, 0)
        splice.dataReceived(b"413")
        self.pair.pump()
        self.assertEqual(self.visit.data, b"413")

    def test_visitor_holds_the_origin_back(self) -> None:
        """Without credit the origin is not read; with credit it is again."""
        self.visit.consumes = False
        splice = self.plain()
        for _ in range(6):
            splice.dataReceived(b"x" * 50_000)
            self.pair.pump()
        self.assertEqual(self.socket.calls, ["pauseProducing"])
        self.edge.consumed(len(self.visit.data))
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["pauseProducing", "resumeProducing"])

    def test_nothing_waits_for_a_slow_visitor(self) -> None:
        """No more is read than there is credit for, so nothing of the origin's waits in the agent."""
        clock = Clock()
        self.patch(splice_module, "monotonic", clock.seconds)
        self.visit.consumes = False
        splice = self.plain()
        total = 0
        for consumed in (0, 200_000, 131_072, 140_000):
            if consumed:
                clock.advance(2 * QUICK_SECONDS)
                self.edge.consumed(consumed)
                self.pair.pump()
            while not self.stream.is_blocked:
                size = min(self.socket.bufferSize, 50_000 if total < 150_000 else 1 << 20)
                splice.dataReceived(b"x" * size)
                total += size
                self.assertEqual(self.stream.queued_bytes, 0)
                self.pair.pump()
            self.assertEqual(self.stream.credit, 0)
        self.assertEqual(self.socket.calls, ["pauseProducing", "resumeProducing"] * 3 + ["pauseProducing"])
        self.assertEqual(len(self.visit.data), total)

    def test_a_read_waits_for_a_quick_visitor(self) -> None:
        """After credit came at once, a whole read may wait for the next; when the visitor slows down, nothing again."""
        clock = Clock()
        self.patch(splice_module, "monotonic", clock.seconds)
        self.visit.consumes = False
        splice = self.plain()
        for waited, most in ((0.0, 0), (QUICK_SECONDS / 2, BULK_BYTES), (2 * QUICK_SECONDS, 0)):
            clock.advance(waited)
            self.edge.consumed(len(self.visit.data))
            self.visit.data = b""
            self.pair.pump()
            queued = 0
            while not self.stream.is_blocked:
                splice.dataReceived(b"x" * min(self.socket.bufferSize, 100_000))
                queued = max(queued, self.stream.queued_bytes)
                self.pair.pump()
            self.assertEqual(queued > 0, most > 0)
            self.assertLessEqual(queued, most)

    def test_reads_grow_and_shrink(self) -> None:
        """Full reads ask for more at once, a small one for the usual size again."""
        splice = self.plain()
        splice.dataReceived(b"x" * READ_BYTES)
        self.assertEqual(self.socket.bufferSize, BULK_BYTES)
        splice.dataReceived(b"x" * SMALL_READ_BYTES)
        self.assertEqual(self.socket.bufferSize, BULK_BYTES)
        splice.dataReceived(b"x")
        self.assertEqual(self.socket.bufferSize, READ_BYTES)

    def test_half_close_by_the_edge(self) -> None:
        """The edge's end closes our half; the answer still passes; the origin's end closes the rest."""
        splice = self.plain()
        self.edge.end()
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["loseWriteConnection"])
        splice.writeConnectionLost()
        splice.dataReceived(b"answer")
        splice.readConnectionLost()
        self.pair.pump()
        self.assertEqual((self.visit.data, self.visit.has_ended), (b"answer", True))
        self.assertEqual(self.socket.calls, ["loseWriteConnection", "loseConnection"])
        self.assertEqual(self.traffic.open, 0)
        splice.connectionLost(DONE)
        self.assertEqual(self.traffic.open, 0)

    def test_half_close_by_the_origin(self) -> None:
        """The origin's end passes on; bytes of the edge still reach it; it is never read again."""
        splice = self.plain()
        splice.readConnectionLost()
        self.pair.pump()
        self.assertTrue(self.visit.has_ended)
        self.send(b"more")
        self.assertEqual(self.socket.sent, b"more")
        splice.credit_received()
        self.edge.end()
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["loseConnection"])

    def test_origin_gone_after_its_end(self) -> None:
        """An origin that has ended its side and takes nothing more is gone: who sends to it is told."""
        splice = self.plain()
        splice.readConnectionLost()
        self.pair.pump()
        self.socket.room = -1
        self.send(b"more")
        self.pair.pump()
        self.assertIsInstance(self.visit.errors[0], StreamReset)
        self.assertEqual((self.socket.calls, self.traffic.open), (["abortConnection"], 0))
        splice.connectionLost(LOST)
        self.assertEqual(self.traffic.open, 0)

    def test_origin_gone(self) -> None:
        """A connection that is closed in order ends the stream; bytes that still come are dropped with their credit."""
        splice = self.plain()
        splice.connectionLost(DONE)
        self.pair.pump()
        self.assertTrue(self.visit.has_ended)
        self.send(b"x" * 1000)
        self.assertEqual(self.stream.unread_bytes, 0)
        self.assertEqual(self.traffic.open, 0)
        self.edge.end()
        self.pair.pump()
        self.assertEqual(self.pair.agent.stream_count, 0)

    def test_origin_resets(self) -> None:
        """A connection that is lost in another way cuts the stream, so that half an answer is not taken for one."""
        self.plain().connectionLost(LOST)
        self.pair.pump()
        self.assertIsInstance(self.visit.errors[0], StreamReset)

    def test_visitor_leaves(self) -> None:
        """A stream that is cut closes the connection, without a reset if the origin took everything."""
        self.plain()
        self.edge.reset()
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["loseConnection"])
        self.assertEqual((self.traffic.open, self.socket.producer), (0, None))

    def test_visitor_leaves_a_stuck_origin(self) -> None:
        """Bytes that the origin never took are not waited for."""
        self.plain()
        self.socket.room = 0
        self.send(b"x")
        self.edge.reset()
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["abortConnection"])

    def test_tunnel_lost(self) -> None:
        """The end of the tunnel closes the connection."""
        self.plain()
        self.pair.agent.close()
        self.assertEqual(self.socket.calls, ["loseConnection"])


class TlsSpliceTests(SpliceTestCase):
    """The pipe to an origin with TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.ready: list[TlsSplice] = []
        self.failures: list[Failure] = []

    def tls(self) -> TlsSplice:
        """Start a pipe to a TLS origin."""
        splice = TlsSplice(self.traffic, self.ready.append, self.failures.append)
        splice.makeConnection(self.socket)
        splice.handshakeCompleted()
        splice.start(self.stream)
        self.pair.pump()
        return splice

    def test_interfaces(self) -> None:
        """It is what Twisted expects of a push producer that waits for a handshake."""
        verifyObject(IPushProducer, self.tls())
        verifyObject(IHandshakeListener, self.tls())

    def test_handshake(self) -> None:
        """It is ready once, when the handshake is complete."""
        splice = self.tls()
        splice.handshakeCompleted()
        self.assertEqual(self.ready, [splice])

    def test_handshake_fails(self) -> None:
        """A connection that is lost before that is a failure to connect, not the end of a stream."""
        splice = TlsSplice(self.traffic, self.ready.append, self.failures.append)
        splice.makeConnection(self.socket)
        splice.connectionLost(LOST)
        self.assertEqual((self.ready, self.failures), ([], [LOST]))
        self.assertEqual(self.traffic.open, 0)

    def test_both_ways(self) -> None:
        """Bytes pass unchanged and are counted."""
        splice = self.tls()
        self.send(b"question")
        splice.dataReceived(b"answer")
        self.pair.pump()
        self.assertEqual((self.socket.buffered, self.visit.data), (b"question", b"answer"))
        self.assertEqual((self.traffic.to_origin, self.traffic.from_origin, self.traffic.requests), (8, 6, 1))

    def test_credit_waits_for_the_origin(self) -> None:
        """While the transport is full, credit is held back."""
        splice = self.tls()
        splice.pauseProducing()
        self.send(b"x" * 1000)
        self.assertEqual(self.stream.unread_bytes, 1000)
        splice.resumeProducing()
        self.assertEqual(self.stream.unread_bytes, 0)

    def test_visitor_holds_the_origin_back(self) -> None:
        """Without credit the origin is not read; with credit it is again."""
        self.visit.consumes = False
        splice = self.tls()
        for _ in range(6):
            splice.dataReceived(b"x" * 50_000)
            self.pair.pump()
        self.edge.consumed(len(self.visit.data))
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["pauseProducing", "resumeProducing"])

    def test_ends(self) -> None:
        """The edge's end sends the close alert; the origin's end ends the stream."""
        splice = self.tls()
        self.edge.end()
        self.pair.pump()
        self.assertEqual(self.socket.calls, ["loseConnection"])
        splice.connectionLost(DONE)
        self.pair.pump()
        self.assertTrue(self.visit.has_ended)

    def test_visitor_leaves(self) -> None:
        """A stream that is cut closes TLS and TCP at once, or cuts what the origin does not take."""
        for is_stuck in (False, True):
            self.setUp()
            splice = self.tls()
            if is_stuck:
                splice.pauseProducing()
            self.edge.reset()
            self.pair.pump()
            self.assertEqual(self.socket.calls, ["abortConnection" if is_stuck else "loseConnection"])
            self.assertEqual(self.socket.transport.calls, [] if is_stuck else ["loseConnection"])
