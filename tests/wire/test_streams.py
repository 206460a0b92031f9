"""`wire.streams` and `wire.outbox`: credit, queues, and who must wait."""

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import ACK, DATA, FIN, RST, SYN, WINDOW_UPDATE, End, Pair, frame
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.errors import QueueOverflow, StreamEnded, TooMuchConsumed, TunnelClosed
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import DISCARD, Stream, StreamReceiver

WINDOW = INITIAL_WINDOW_BYTES
ROOMY = Limits(high_water_bytes=2**30)


class WriteTests(SynchronousTestCase):
    """What `Stream.write` sends, keeps and answers."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER, ROOMY)
        self.stream, self.receiver = self.end.open()
        self.end.connection.data_to_send()

    def test_within_credit(self) -> None:
        """Bytes within the credit go out at once, down to the last, after which the writer must wait for more."""
        self.assertTrue(self.stream.write(b"x" * (WINDOW - 1)))
        self.assertFalse(self.stream.write(b"y"))
        self.assertEqual((self.stream.credit, self.stream.queued_bytes), (0, 0))
        self.end.connection.data_to_send()
        self.assertEqual((self.receiver.credits, self.stream.is_blocked), (0, True))
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 4))
        self.assertEqual((self.receiver.credits, self.stream.is_blocked), (1, False))

    def test_queue_takes_the_last_credit(self) -> None:
        """A writer whose queue went out with the last credit goes on waiting."""
        self.stream.write(b"x" * WINDOW + b"abc")
        self.end.connection.data_to_send()
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 3))
        self.end.connection.data_to_send()
        self.assertEqual((self.stream.queued_bytes, self.receiver.credits), (0, 0))
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 1))
        self.assertEqual(self.receiver.credits, 1)

    def test_nothing(self) -> None:
        """Writing nothing sends nothing."""
        self.assertTrue(self.stream.write(b""))
        self.assertEqual(self.end.connection.data_to_send(), b"")

    def test_over_credit(self) -> None:
        """What is over the credit waits, in order, and the writer hears when all of it went out."""
        self.assertFalse(self.stream.write(b"x" * WINDOW + b"abc"))
        self.assertFalse(self.stream.write(b"def"))
        self.assertFalse(self.stream.write(b""))
        self.assertEqual((self.stream.queued_bytes, self.end.connection.unsent_bytes), (6, WINDOW + 12 + 6))
        self.end.connection.data_to_send()
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 4))
        self.assertEqual(self.end.connection.data_to_send(), frame(DATA, 0, 2, b"abc") + frame(DATA, 0, 2, b"d"))
        self.assertEqual((self.receiver.credits, self.stream.is_blocked), (0, True))
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 100))
        self.assertEqual(self.end.connection.data_to_send(), frame(DATA, 0, 2, b"ef"))
        self.assertEqual((self.receiver.credits, self.stream.is_blocked), (1, False))
        self.assertTrue(self.stream.write(b"more"))

    def test_end_waits_for_the_queue(self) -> None:
        """FIN follows what was queued."""
        self.stream.write(b"x" * WINDOW + b"abc")
        self.stream.end()
        self.stream.end()
        self.end.connection.data_to_send()
        self.assertEqual(self.stream.state, StreamState.LOCAL_ENDING)
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 10))
        self.assertEqual(self.end.connection.data_to_send(), frame(DATA, 0, 2, b"abc") + frame(DATA, FIN, 2))
        self.assertEqual(self.stream.state, StreamState.LOCAL_ENDED)
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 10))

    def test_write_after_end(self) -> None:
        """Writing after the end is a mistake of ours and raises; credit that comes later does not change that."""
        self.stream.end()
        self.assertRaises(StreamEnded, self.stream.write, b"x")
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 1000))
        self.assertRaises(StreamEnded, self.stream.write, b"x")

    def test_write_after_close(self) -> None:
        """Writing to a stream that was cut does nothing, because the writer may not know yet."""
        self.stream.reset()
        self.end.connection.data_to_send()
        self.assertFalse(self.stream.write(b"x"))
        self.stream.end()
        self.assertEqual(self.end.connection.data_to_send(), b"")

    def test_queue_is_limited(self) -> None:
        """A writer that goes on although told to stop loses its stream, and the queue with it."""
        end = End(Role.SERVER, Limits(max_stream_queue_bytes=1000))
        stream, receiver = end.open()
        stream.write(b"x" * (WINDOW + 999))
        stream.write(b"y")
        self.assertEqual(receiver.errors, [])
        self.assertFalse(stream.write(b"z"))
        self.assertEqual([type(error) for error in receiver.errors], [QueueOverflow])
        self.assertEqual(end.connection.data_to_send()[-12:], frame(WINDOW_UPDATE, RST, 2))
        self.assertEqual((end.connection.unsent_bytes, end.connection.stream_count), (0, 0))

    def test_queues_together_are_limited(self) -> None:
        """When the whole connection holds too much, a stream that writes more is cut."""
        end = End(Role.SERVER, Limits(max_queue_bytes=1_000_000, high_water_bytes=100_000))
        ends = [end.open() for _ in range(10)]
        for stream, _ in ends:
            stream.write(b"x" * 150_000)
        cut = [receiver for _, receiver in ends if receiver.errors]
        self.assertEqual(len(cut), 4)
        self.assertIsInstance(cut[0].errors[0], QueueOverflow)

    def test_stream_is_cut_with_its_queue(self) -> None:
        """The peer's reset empties the queue."""
        self.stream.write(b"x" * WINDOW + b"abc")
        self.end.receive(frame(WINDOW_UPDATE, RST, 2))
        self.end.connection.data_to_send()
        self.assertEqual(self.end.connection.unsent_bytes, 0)
        self.assertIs(self.stream.receiver, DISCARD)
        self.assertIn("closed", repr(self.stream))


class HighWaterTests(SynchronousTestCase):
    """Writers wait when the transport does not take bytes, however much credit they have."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER, Limits(high_water_bytes=1000))
        self.stream, self.receiver = self.end.open()
        self.end.connection.data_to_send()

    def test_writers_stop_and_go_on(self) -> None:
        """At the high-water mark `write` returns False, and when the bytes are taken the writer hears it."""
        self.assertTrue(self.stream.write(b"x" * 900))
        self.assertFalse(self.stream.write(b"x" * 100))
        other, other_receiver = self.end.open()
        self.assertFalse(other.write(b"y"))
        self.assertEqual(self.receiver.credits, 0)
        self.end.connection.data_to_send()
        self.end.connection.data_to_send()
        self.assertEqual((self.receiver.credits, other_receiver.credits), (1, 1))
        self.assertFalse(self.stream.is_blocked)

    def test_writer_may_write_when_it_hears(self) -> None:
        """A writer that goes on at once has its bytes in the next batch."""

        class Writing(RecordingReceiver):
            def credit_received(self) -> None:
                assert self.stream is not None
                self.stream.write(b"next")

        receiver = Writing()
        receiver.attach(self.stream)
        self.stream.write(b"x" * 2000)
        self.assertNotIn(b"next", self.end.connection.data_to_send())
        self.assertEqual(self.end.connection.data_to_send(), frame(DATA, 0, 2, b"next"))

    def test_credit_and_room_are_both_needed(self) -> None:
        """A writer that waits for credit is not told when only the transport has room, nor the other way round."""
        self.stream.write(b"x" * WINDOW + b"y" * 2000)
        while self.end.connection.data_to_send():
            self.assertEqual(self.receiver.credits, 0)
        self.end.receive(frame(WINDOW_UPDATE, 0, 2, 5000))
        self.assertEqual(self.receiver.credits, 0)
        self.end.connection.data_to_send()
        self.end.connection.data_to_send()
        self.assertEqual(self.receiver.credits, 1)

    def test_closed_streams_do_not_wait(self) -> None:
        """A stream that was cut while it waited is not told of room."""
        self.stream.write(b"x" * 2000)
        self.stream.reset()
        self.end.connection.data_to_send()
        self.assertEqual(self.receiver.credits, 0)

    def test_lost_connection_forgets(self) -> None:
        """When the connection is lost nothing waits any more."""
        self.stream.write(b"x" * 2000)
        self.end.connection.lost(TunnelClosed())
        self.assertEqual((self.end.connection.data_to_send(), self.receiver.credits), (b"", 0))


class ConsumeTests(SynchronousTestCase):
    """When credit goes back to the peer."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER, Limits(max_growth_bytes=0), consumes=False)
        self.stream, self.receiver = self.end.open(consumes=False)
        self.end.connection.data_to_send()

    def test_in_lumps(self) -> None:
        """Credit goes back when half a window has been consumed, in one frame."""
        self.end.receive(frame(DATA, 0, 2, b"x" * WINDOW))
        self.assertEqual(self.stream.unread_bytes, WINDOW)
        self.stream.consumed(WINDOW // 2 - 1)
        self.assertEqual(self.end.connection.data_to_send(), b"")
        self.stream.consumed(1)
        self.assertEqual(self.end.connection.data_to_send(), frame(WINDOW_UPDATE, 0, 2, WINDOW // 2))
        self.assertEqual(self.stream.unread_bytes, WINDOW // 2)

    def test_too_much(self) -> None:
        """Returning more than was received is a mistake of ours and raises."""
        self.end.receive(frame(DATA, 0, 2, b"x" * 1000))
        self.assertRaises(TooMuchConsumed, self.stream.consumed, WINDOW)

    def test_after_the_end(self) -> None:
        """Nothing goes back to a peer that has ended, or for a stream that is gone."""
        self.end.receive(frame(DATA, FIN, 2, b"x" * WINDOW))
        self.stream.consumed(WINDOW)
        self.assertEqual((self.end.connection.data_to_send(), self.stream.unread_bytes), (b"", 0))
        self.stream.reset()
        self.stream.consumed(WINDOW)

    def test_slow_reader_stops_the_peer(self) -> None:
        """A reader that consumes nothing costs one window, and the writer is told to stop."""
        pair = Pair(limits=Limits(), consumes=False)
        stream, receiver = pair.edge.open()
        written = 0
        while stream.write(b"x" * 10_000):
            written += 10_000
            pair.pump()
        self.assertLess(written, WINDOW + 10_000)
        pair.pump()
        self.assertEqual(len(pair.agent.receivers[0].data), WINDOW)
        pair.agent.opened[0].consumed(WINDOW)
        pair.pump()
        self.assertEqual(receiver.credits, 1)

    def test_other_streams_go_on(self) -> None:
        """One stream whose reader stands still does not stop the next."""
        pair = Pair(consumes=False)
        slow, _ = pair.edge.open()
        slow.write(b"x" * (WINDOW + 1000))
        fast, _ = pair.edge.open()
        fast.write(b"hello")
        pair.pump()
        self.assertEqual(pair.agent.receivers[1].data, b"hello")


class DiscardTests(SynchronousTestCase):
    """The receiver of streams that nobody uses."""

    def test_it_is_a_receiver(self) -> None:
        """It takes every call, drops the bytes and returns no credit."""
        receiver: StreamReceiver = DISCARD
        end = End(Role.CLIENT)
        end.receive(frame(DATA, SYN, 2, b"x"))
        stream: Stream = end.opened[0]
        stream.receiver = receiver
        end.receive(frame(DATA, FIN, 2, b"y" * (WINDOW - 1)))
        self.assertEqual(end.connection.data_to_send(), frame(WINDOW_UPDATE, ACK, 2))
        receiver.credit_received()
        receiver.end_received()
        receiver.stream_lost(TunnelClosed())
