"""Tests of how bytes leave to a visitor on TLS, on a stand-in for TLS; tests.system.edge.test_tls has the real one."""

from typing import cast

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.edge.certificates.proof import Proof
from warp_twisted.edge.refusals import MISDIRECTED_HOST
from warp_twisted.edge.visitors.secure import SecureVisitor
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.streams import Stream

HIGH_WATER = 100_000
PROOF = Proof("app.example")


class FakeTls:
    """
    What is below a visitor on TLS: takes everything, and pauses the producer above its high water.

    :ivar written: everything it was given; `waiting` bytes of it have not been taken by the socket.
    """

    def __init__(self) -> None:
        self.written = b""
        self.waiting = 0
        self.is_reading = True
        self.end = ""
        self.producer: SecureVisitor | None = None

    def registerProducer(self, producer: SecureVisitor, streaming: bool) -> None:
        self.producer = producer

    def write(self, data: bytes) -> None:
        self.written += data
        self.waiting += len(data)
        if self.waiting > HIGH_WATER and self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """The socket takes everything."""
        self.waiting = 0
        if self.producer is not None:
            self.producer.resumeProducing()

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def loseConnection(self) -> None:
        self.end = "closed"

    def abortConnection(self) -> None:
        self.end = "aborted"


class SecureVisitorTests(SynchronousTestCase):
    """A visitor whose handshake is over."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.counts.admit("192.0.2.7")
        self.visitor, self.tls = SecureVisitor(self.edge.visitors, "192.0.2.7", PROOF), FakeTls()
        self.visitor.makeConnection(cast(TlsProtocol, self.tls))

    def ask(self) -> Stream:
        """Send a request and let the agent reach the origin."""
        self.visitor.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        return stream

    def test_producer(self) -> None:
        """It is the producer that it says."""
        self.assertTrue(verifyClass(IPushProducer, SecureVisitor))

    def test_slow_reader(self) -> None:
        """What the transport does not want waits here, is counted, and goes out in order."""
        stream = self.ask()
        body = bytes(range(256)) * 900
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 60_000):
            self.edge.tunnel.protocol.arrive(stream, body[at : at + 60_000])
        self.assertTrue(self.visitor.is_clogged)
        self.assertEqual(self.edge.metrics.unread_bytes, self.visitor.unread_bytes)
        self.assertGreater(self.visitor.unread_bytes, 100_000)
        while self.visitor.is_clogged:
            self.tls.drain()
        self.assertEqual(self.tls.written.partition(b"\r\n\r\n")[2], body)
        self.assertEqual((self.edge.metrics.unread_bytes, stream.unread_bytes), (0, 0))

    def test_small_pieces_do_not_wait_for_one_another(self) -> None:
        """Pieces are given on at once until the transport is full, not one for each time that it was empty."""
        stream = self.ask()
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        self.edge.tunnel.protocol.arrive(stream, b"x" * (HIGH_WATER + 1))
        for _ in range(50):
            self.edge.tunnel.protocol.arrive(stream, b"y" * 1000)
        self.assertEqual(self.visitor.unread_bytes, 50_000)
        self.tls.drain()
        self.assertEqual((self.visitor.unread_bytes, self.visitor.is_clogged), (0, False))

    def test_ends(self) -> None:
        """A refusal ends with TLS's own goodbye, which gets as long as a slow reader; cutting does not wait."""
        self.visitor.dataReceived(b"GET / HTTP/9.9\r\n\r\n")
        self.assertEqual(self.tls.end, "closed")
        self.assertIn(b"HTTP/1.1 505 ", self.tls.written)
        stall = self.edge.visitors.timeouts.visitor_stall
        self.edge.clock.pump([1.0] * int(stall))
        self.assertEqual(self.tls.end, "closed")
        self.edge.clock.pump([1.0] * 3)
        self.assertEqual(self.tls.end, "aborted")

    def test_other_hostname(self) -> None:
        """Another hostname than the proved one is refused, and asks no tunnel; the connection is kept."""
        self.visitor.dataReceived(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
        self.assertIn(b"HTTP/1.1 421 ", self.tls.written)
        self.assertEqual((self.edge.streams(), self.tls.end), ([], ""))
        self.assertEqual(self.edge.metrics.refusals[MISDIRECTED_HOST], 1)
        self.ask()
        self.assertEqual(self.visitor.hostname, "app.example")

    def test_other_authorities(self) -> None:
        """Who was not asked for a certificate of the authorities that are wanted now is refused."""
        wanted = frozenset({b"authority"})
        self.assertRaises(MessageRefused, self.visitor.chain_for, wanted)
        asked = SecureVisitor(self.edge.visitors, "192.0.2.7", Proof("app.example", (), wanted, (b"leaf",)))
        self.assertEqual(asked.chain_for(wanted), (b"leaf",))

    def test_reading(self) -> None:
        """The transport is told once to stop reading, and once to go on."""
        self.visitor.pause_reading()
        self.assertEqual((self.visitor.is_paused, self.tls.is_reading), (True, False))
        self.visitor.resume_reading()
        self.assertEqual((self.visitor.is_paused, self.tls.is_reading), (False, True))
