"""`tunnel.stream_transport`: Twisted protocols over a stream, up to twisted.web's."""

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPullProducer,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from warp_twisted.testing import RecordingDelegate, RecordingReceiver, tunnel_pair
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.stream_transport import StreamTransport
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

ADDRESS = IPv4Address("TCP", "192.0.2.9", 1)


class RecordingProtocol(Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.data = b""
        self.losses: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.losses.append(reason)


@implementer(IHalfCloseableProtocol)
class HalfCloseableProtocol(RecordingProtocol):
    """Remembers half-closes too."""

    reads_lost = 0

    def readConnectionLost(self) -> None:
        self.reads_lost += 1

    def writeConnectionLost(self) -> None:
        """Not of interest."""


@implementer(IPushProducer, IPullProducer)
class RecordingProducer:
    """Remembers when it was paused, resumed and stopped."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Serving(RecordingDelegate):
    """Serves a protocol on each stream."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.turn: Turn | None = None
        self.transport: StreamTransport | None = None

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        stream.write(encode_opening(OpeningCode.OPENED))
        assert self.turn is not None
        self.transport = StreamTransport(stream, self.protocol, turn=self.turn, host=ADDRESS, peer=ADDRESS)
        self.transport.start()


class StreamTransportTests(SynchronousTestCase):
    """`StreamTransport`."""

    def serve(self, protocol: Protocol, data: bytes = b"") -> None:
        delegate = Serving(protocol)
        self.pair = tunnel_pair(RecordingDelegate(), delegate)
        delegate.turn = Turn(self.pair.clock)
        self.receiver = RecordingReceiver()
        self.stream = self.receiver.stream = self.pair.edge.open_route(1, self.receiver, data)
        self.pair.pump()
        assert delegate.transport is not None
        self.transport = delegate.transport

    def setUp(self) -> None:
        self.protocol = RecordingProtocol()
        self.serve(self.protocol)

    def test_interfaces(self) -> None:
        """It is what it says."""
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.transport)
        self.assertEqual((self.transport.getHost(), self.transport.getPeer()), (ADDRESS, ADDRESS))

    def test_bytes(self) -> None:
        """Bytes go both ways."""
        self.stream.write(b"hello")
        self.transport.write(b"a")
        self.transport.writeSequence([b"b", b"c"])
        self.pair.pump()
        self.assertEqual((self.protocol.data, self.receiver.data), (b"hello", b"abc"))

    def test_paused_reader(self) -> None:
        """A protocol that pauses gets nothing, returns no credit, and later gets everything in order."""
        self.transport.pauseProducing()
        self.stream.write(b"x" * 300_000)
        self.stream.end()
        self.pair.pump()
        self.assertEqual((self.protocol.data, self.stream.queued_bytes), (b"", 300_000 + 8 - 262_144))
        self.transport.resumeProducing()
        self.pair.pump()
        self.assertEqual(len(self.protocol.data), 300_000)
        self.assertEqual([loss.type for loss in self.protocol.losses], [ConnectionDone])

    def test_end_after_the_peers_with_a_queue(self) -> None:
        """A protocol hears that its connection is closed, also when its last bytes had to wait for credit."""
        self.receiver.consumes = False
        self.transport.write(b"x" * 300_000)
        self.pair.pump()
        self.stream.end()
        self.pair.pump()
        self.assertEqual(self.protocol.losses, [])
        self.stream.consumed(self.stream.unread_bytes)
        self.pair.pump()
        self.assertEqual([loss.type for loss in self.protocol.losses], [ConnectionDone])
        self.assertEqual((len(self.receiver.data), self.pair.agent.stream_count), (300_000, 0))

    def test_push_producer(self) -> None:
        """A push producer is paused when the peer gives no credit and resumed when it does."""
        producer = RecordingProducer()
        self.receiver.consumes = False
        self.transport.registerProducer(producer, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, producer, True)
        self.transport.write(b"x" * 300_000)
        self.pair.pump()
        self.assertEqual(producer.calls, ["pause"])
        self.stream.consumed(self.stream.unread_bytes)
        self.pair.pump()
        self.assertEqual(producer.calls, ["pause", "resume"])
        self.transport.loseConnection()
        self.pair.pump()
        self.assertEqual(self.protocol.losses, [])
        self.transport.unregisterProducer()
        self.pair.pump()
        self.assertEqual(len(self.protocol.losses), 1)

    def test_producer_registered_late(self) -> None:
        """A push producer registered while the peer gives no credit is paused at once."""
        self.receiver.consumes = False
        self.transport.write(b"x" * 300_000)
        producer = RecordingProducer()
        self.transport.registerProducer(producer, True)
        self.assertEqual(producer.calls, ["pause"])

    def test_pull_producer(self) -> None:
        """A pull producer is asked as long as the peer gives credit."""
        producer = RecordingProducer()
        transport = self.transport

        class Pulled(RecordingProducer):
            def resumeProducing(self) -> None:
                super().resumeProducing()
                transport.write(b"x" * 100_000)
                if len(self.calls) == 5:
                    transport.unregisterProducer()
                    transport.loseConnection()

        producer = Pulled()
        transport.registerProducer(producer, False)
        self.pair.pump()
        self.assertEqual((len(self.receiver.data), producer.calls), (500_000, ["resume"] * 5))
        self.assertTrue(self.receiver.has_ended)

    def test_lose_connection(self) -> None:
        """What was written goes out, also beyond the credit; then both sides hear of the end."""
        self.transport.write(b"x" * 400_000)
        self.transport.loseConnection()
        self.transport.loseConnection()
        self.transport.write(b"lost")
        self.assertEqual(self.protocol.losses, [])
        self.pair.pump()
        self.assertEqual((len(self.receiver.data), self.receiver.has_ended), (400_000, True))
        self.assertEqual([loss.type for loss in self.protocol.losses], [ConnectionDone])

    def test_data_after_close(self) -> None:
        """Data for a protocol that is done is answered with a reset, as TCP does."""
        self.transport.loseConnection()
        self.pair.pump()
        self.stream.write(b"too late")
        self.pair.pump()
        self.assertEqual([type(error) for error in self.receiver.errors], [StreamReset])
        self.assertEqual(self.protocol.data, b"")

    def test_abort(self) -> None:
        """Aborting resets the stream."""
        self.transport.abortConnection()
        self.assertEqual(self.protocol.losses, [])
        self.pair.pump()
        self.assertEqual([loss.type for loss in self.protocol.losses], [ConnectionAborted])
        self.assertEqual([type(error) for error in self.receiver.errors], [StreamReset])

    def test_peer_resets(self) -> None:
        """A reset by the peer is a lost connection, and the producer is stopped."""
        producer = RecordingProducer()
        self.transport.registerProducer(producer, True)
        self.stream.reset()
        self.pair.pump()
        self.assertEqual([loss.type for loss in self.protocol.losses], [ConnectionLost])
        self.assertEqual(producer.calls, ["stop"])
        late = RecordingProducer()
        self.transport.registerProducer(late, True)
        self.assertEqual(late.calls, ["stop"])

    def test_peer_ends(self) -> None:
        """A protocol that knows no half-close is closed when the peer ends."""
        self.stream.write(b"last")
        self.stream.end()
        self.pair.pump()
        self.assertEqual((self.protocol.data, len(self.protocol.losses)), (b"last", 1))
        self.assertTrue(self.receiver.has_ended)

    def test_half_close(self) -> None:
        """A protocol that knows half-close hears of it, and may go on writing and end later."""
        protocol = HalfCloseableProtocol()
        self.serve(protocol)
        self.stream.end()
        self.pair.pump()
        self.transport.resumeProducing()
        self.pair.pump()
        self.assertEqual((protocol.reads_lost, protocol.losses), (1, []))
        self.transport.write(b"answer")
        self.transport.loseWriteConnection()
        self.pair.pump()
        self.assertEqual((self.receiver.data, self.receiver.has_ended), (b"answer", True))

    def test_web_server(self) -> None:
        """twisted.web serves a request through a stream, keeps it alive, and serves the next."""

        class Hello(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes:
                return b"hello " + request.path

        site = Site(Hello())
        channel = site.buildProtocol(ADDRESS)
        self.serve(channel, b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n")
        self.stream.write(b"GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.pair.pump()
        self.assertEqual(self.receiver.data.count(b"HTTP/1.1 200 OK"), 2)
        self.assertIn(b"hello /one", self.receiver.data)
        self.assertTrue(self.receiver.data.endswith(b"hello /two"))
        self.assertTrue(self.receiver.has_ended)
        for call in self.pair.clock.getDelayedCalls():
            call.cancel()
