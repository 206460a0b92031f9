"""`warp_twisted.testing`: the kit itself, as its users rely on it."""

from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from warp_twisted.testing import RecordingDelegate, RecordingReceiver, tunnel_pair
from warp_twisted.wire.preamble import OpeningCode, encode_opening


class TunnelPairTests(SynchronousTestCase):
    """`tunnel_pair`, its transports and recorders."""

    def setUp(self) -> None:
        self.edge, self.agent = RecordingDelegate(), RecordingDelegate()
        self.pair = tunnel_pair(self.edge, self.agent, capacity=1000)

    def open(self) -> RecordingReceiver:
        """Open a stream that the agent answers."""
        receiver = RecordingReceiver()
        receiver.stream = self.pair.edge.open_route(5, receiver, b"hello")
        self.pair.pump()
        self.agent.streams[-1][0].write(encode_opening(OpeningCode.OPENED) + b"world")
        self.pair.pump()
        return receiver

    def test_open_at_once(self) -> None:
        """Both delegates have heard of the tunnel, and the transports are what protocols expect."""
        self.assertEqual((self.edge.opened, self.agent.opened), ([self.pair.edge], [self.pair.agent]))
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.pair.edge_transport)

    def test_recorders(self) -> None:
        """What crosses the tunnel is remembered on either side."""
        receiver = self.open()
        self.assertEqual((self.agent.streams[0][1], self.agent.receivers[0].data), (5, b"hello"))
        self.assertEqual((receiver.data, receiver.openings[0].is_opened), (b"world", True))

    def test_nothing_moves_by_itself(self) -> None:
        """Bytes wait until the test pumps, in chunks of the size that it says."""
        receiver = self.open()
        self.agent.streams[0][0].write(b"x" * 500)
        self.pair.clock.advance(0)
        self.assertEqual(receiver.data, b"world")
        self.assertTrue(self.pair.agent_transport.deliver(100))
        self.assertEqual(len(receiver.data), len(b"world") + 100 - 12)
        self.pair.pump(chunk=7)
        self.assertEqual(len(receiver.data), len(b"world") + 500)

    def test_full_transport_pauses(self) -> None:
        """More bytes in flight than the capacity pause the tunnel, as a full socket buffer does."""
        receiver = self.open()
        assert receiver.stream is not None
        receiver.stream.write(b"x" * 2000)
        self.pair.clock.advance(0)
        receiver.stream.write(b"y" * 500)
        self.pair.clock.advance(0)
        self.assertEqual(len(self.pair.edge_transport.in_flight), 2012)
        self.pair.pump()
        self.assertEqual(len(self.agent.receivers[0].data), 5 + 2500)

    def test_losing_one_end_loses_the_other(self) -> None:
        """Both ends hear of a connection that is cut."""
        self.pair.edge_transport.abortConnection()
        self.pair.pump()
        self.assertEqual((len(self.edge.losses), len(self.agent.losses)), (1, 1))

    def test_never_quiet(self) -> None:
        """A tunnel that never becomes quiet fails its test instead of hanging it."""
        receiver = self.open()
        assert receiver.stream is not None

        class Answering(RecordingReceiver):
            def data_received(self, data: bytes) -> None:
                assert self.stream is not None
                self.stream.consumed(len(data))
                self.stream.write(data)

        for stream in (receiver.stream, self.agent.streams[0][0]):
            Answering().attach(stream)
        receiver.stream.write(b"ball")
        self.assertRaises(AssertionError, self.pair.pump, 10)
