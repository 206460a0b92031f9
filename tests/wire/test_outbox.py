"""`wire.outbox`: frames in order, and whose turn it is when there are too many."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import ACK, DATA, SYN, WINDOW_UPDATE, End, Pair, frame
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.frames import HEADER_BYTES, INITIAL_WINDOW_BYTES, Role
from warp_twisted.wire.invariants import check_connection
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.outbox import LARGE_BYTES, PREFERRED_BYTES, SHARE_BYTES, Outbox
from warp_twisted.wire.streams import Stream

HIGH_WATER = Limits().high_water_bytes
PIECE = b"x" * 64 * 1024


class RecordingWriter:
    """Has some bytes that wait, and counts how often it was told that its turn was taken."""

    def __init__(self, outbox: Outbox, waiting: int) -> None:
        self.outbox = outbox
        self.waiting = waiting
        self.told = 0

    def take_turn(self, most: int) -> int:
        """Put bytes into the outbox."""
        size = min(most, self.waiting)
        self.waiting -= size
        if size:
            self.outbox.frames.append(b"w" * size)
            self.outbox.size += size
        return size

    def turn_taken(self) -> None:
        """Count."""
        self.told += 1


class OutboxTests(SynchronousTestCase):
    """`Outbox`."""

    def setUp(self) -> None:
        self.wakes = 0
        self.outbox = Outbox(1000, 2000, self.wake)

    def wake(self) -> None:
        self.wakes += 1

    def test_wakes_once(self) -> None:
        """The first frame wakes, the next do not, until the outbox was emptied."""
        self.outbox.put(b"one")
        self.outbox.put(b"two")
        self.assertEqual((self.wakes, self.outbox.size), (1, 6))
        self.assertEqual((b"".join(self.outbox.take()), self.outbox.size), (b"onetwo", 0))
        self.assertEqual(b"".join(self.outbox.take()), b"")
        self.outbox.put(b"three")
        self.assertEqual(self.wakes, 2)

    def test_joined_if_small(self) -> None:
        """Small frames are joined; where they are large in the mean, nothing is copied."""
        self.outbox.put(b"one")
        self.outbox.put(b"two")
        self.assertEqual(self.outbox.take(), [b"onetwo"])
        header, payload = b"header", b"x" * 2 * LARGE_BYTES
        self.outbox.put(header)
        self.outbox.put(payload)
        taken = self.outbox.take()
        self.assertIs(taken[0], header)
        self.assertIs(taken[1], payload)
        self.assertEqual((self.outbox.frames, self.outbox.size), ([], 0))
        self.outbox.put(b"three")
        self.assertEqual((len(taken), self.outbox.take()), (2, [b"three"]))

    def test_rounds(self) -> None:
        """Those that wait get a share each in turn, one batch after the other, and hear of it."""
        writers = [RecordingWriter(self.outbox, 2 * SHARE_BYTES + 10) for _ in range(3)]
        for writer in writers:
            self.outbox.wait(writer, is_preferred=False)
        self.assertEqual(self.outbox.direct_limit, 0)
        while any(writer.waiting for writer in writers):
            self.assertLessEqual(len(b"".join(self.outbox.take())), 1000 + SHARE_BYTES)
            waiting = [writer.waiting for writer in writers]
            self.assertLessEqual(max(waiting) - min(waiting), SHARE_BYTES)
        self.outbox.take()
        self.assertEqual([(writer.waiting, writer.told) for writer in writers], [(0, 3)] * 3)
        self.assertEqual(self.outbox.direct_limit, 1000)

    def test_preferred(self) -> None:
        """Who says little goes first, once in a round; then it is in the round like the others."""
        bulk = [RecordingWriter(self.outbox, 10 * SHARE_BYTES) for _ in range(4)]
        for writer in bulk:
            self.outbox.wait(writer, is_preferred=False)
        small = RecordingWriter(self.outbox, 100)
        self.outbox.wait(small, is_preferred=True)
        self.outbox.take()
        self.assertEqual((small.waiting, small.told), (0, 1))
        small.waiting = PREFERRED_BYTES
        self.outbox.wait(small, is_preferred=True)
        self.outbox.take()
        self.assertEqual(small.waiting, 100, "it has had that much already")
        self.outbox.take()
        self.assertEqual(small.waiting, 100)
        for _ in range(2):
            self.outbox.take()
        self.assertEqual(small.waiting, 0)

    def test_nobody_starves(self) -> None:
        """However many say little, those in the round have a turn in each batch."""
        bulk = RecordingWriter(self.outbox, 10 * SHARE_BYTES)
        self.outbox.wait(bulk, is_preferred=False)
        for _ in range(10):
            for _ in range(10):
                self.outbox.wait(RecordingWriter(self.outbox, 1000), is_preferred=True)
            self.outbox.take()
        self.assertLess(bulk.waiting, 10 * SHARE_BYTES)
        self.assertGreater(self.wakes, 10)

    def test_leave(self) -> None:
        """Who leaves has no turn any more, and when nobody is left frames go out directly again."""
        gone = RecordingWriter(self.outbox, 100)
        self.outbox.wait(gone, is_preferred=True)
        self.outbox.leave(gone)
        self.assertFalse(self.outbox.is_waiting(gone))
        self.assertEqual((b"".join(self.outbox.take()), gone.told, self.outbox.direct_limit), (b"", 0, 1000))

    def test_take_all(self) -> None:
        """At the end all that waits goes out at once, and nobody is asked for more."""
        writer = RecordingWriter(self.outbox, 1500)
        self.outbox.wait(writer, is_preferred=True)
        self.outbox.put(b"x")
        self.assertEqual(self.outbox.take_all(), b"x" + b"w" * 1500)
        self.assertEqual((writer.told, self.outbox.size), (0, 0))

    def test_discard(self) -> None:
        """Discarding forgets frames and writers, who are not told."""
        writer = RecordingWriter(self.outbox, 10)
        self.outbox.put(b"x")
        self.outbox.wait(writer, is_preferred=True)
        self.outbox.discard()
        self.assertEqual((b"".join(self.outbox.take()), self.outbox.size, writer.told), (b"", 0, 0))
        self.assertEqual(self.outbox.direct_limit, 1000)


class FairTurnTests(SynchronousTestCase):
    """Streams of one connection, some of which write more than the transport takes."""

    def setUp(self) -> None:
        self.end = End(Role.SERVER, Limits(accept_backlog=1000))
        self.bulk = [self.end.open() for _ in range(400)]
        self.opened = self.end.connection.data_to_send()
        for stream, _ in self.bulk:
            stream.write(PIECE)

    def take(self) -> bytes:
        """Take a batch, which is bounded, and let the writers of `bulk` go on."""
        data = self.end.connection.data_to_send()
        self.assertLess(len(data), HIGH_WATER + SHARE_BYTES + 1000)
        for stream, _ in self.bulk:
            if not stream.is_blocked:
                stream.write(PIECE)
        check_connection(self.end.connection)
        return data

    def test_requests_do_not_wait(self) -> None:
        """The head of a new stream, and small requests one after the other, leave with the next batch."""
        for _ in range(5):
            self.take()
        stream, _ = self.end.open(b"GET /")
        head = frame(WINDOW_UPDATE, SYN, stream.id) + frame(DATA, 0, stream.id, b"GET /")
        self.assertTrue(self.take().startswith(head))
        for number in range(5):
            stream.write(b"request %d" % number)
            self.assertTrue(self.take().startswith(frame(DATA, 0, stream.id, b"request %d" % number)))

    def test_shares_are_equal(self) -> None:
        """Of two that write as much as they can, none gets far ahead, and none is left behind."""
        first, last = self.bulk[0][0], self.bulk[-1][0]
        sent = {stream.id: 0 for stream, _ in self.bulk}
        for _ in range(200):
            data = memoryview(self.take())
            while data:
                stream_id, size = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
                sent[stream_id] += size
                data = data[HEADER_BYTES + size :]
        self.assertGreater(min(sent.values()), 5 * SHARE_BYTES)
        self.assertLess(max(sent.values()) - min(sent.values()), len(PIECE) + 2 * SHARE_BYTES)
        self.assertLess(abs(sent[first.id] - sent[last.id]), len(PIECE) + 2 * SHARE_BYTES)

    def test_memory_is_bounded(self) -> None:
        """Each stream holds one piece at most when its writer stops where it is told to."""
        for _ in range(50):
            self.take()
            self.assertLess(self.end.connection.unsent_bytes, 400 * len(PIECE) + HIGH_WATER)

    def test_reset_of_a_stream_that_waits(self) -> None:
        """A stream that is cut before its first turn was announced, so that its RST is no breach."""
        peer = End(Role.CLIENT)
        peer.receive(self.opened)
        peer.catch_up()
        stream, _ = self.end.open(PIECE)
        stream.reset()
        while self.end.connection.unsent_bytes:
            peer.receive(self.end.connection.data_to_send())
            peer.catch_up()
        self.assertEqual([type(error).__name__ for error in peer.receivers[-1].errors], ["StreamReset"])

    def test_end_follows_what_waits(self) -> None:
        """FIN goes out after the bytes that wait for a turn, and then the user of the stream hears that they went."""
        stream, receiver = self.bulk[-1]
        stream.end()
        while stream.queued_bytes:
            self.assertEqual(receiver.credits, 0)
            data = self.end.connection.data_to_send()
        self.assertIn(frame(DATA, 4, stream.id), data)
        self.assertEqual(receiver.credits, 1)

    def test_acknowledgements_do_not_overtake(self) -> None:
        """What was written before the peer was heard is not taken for an answer, though it leaves after that."""
        stream, _ = self.bulk[-1]
        self.end.receive(frame(WINDOW_UPDATE, ACK, stream.id))
        stream.mark = ACK
        self.end.receive(frame(DATA, 0, stream.id, b"x" * (INITIAL_WINDOW_BYTES // 2)))
        stream.consumed(0)
        stream.write(b"the answer")
        seen = b""
        while stream.queued_bytes:
            seen += self.end.connection.data_to_send()
        self.assertIn(frame(WINDOW_UPDATE, 0, stream.id, INITIAL_WINDOW_BYTES // 2), seen)
        self.assertIn(frame(DATA, ACK, stream.id, b"the answer"), seen)
        self.assertEqual(seen.count(frame(DATA, ACK, stream.id, b"")[:8]), 1)
        self.assertNotIn(frame(WINDOW_UPDATE, ACK, stream.id, INITIAL_WINDOW_BYTES // 2), seen)

    def test_last_data(self) -> None:
        """At the end of a tunnel what waits goes out before the reason."""
        waiting = sum(stream.queued_bytes for stream, _ in self.bulk)
        data = self.end.connection.last_data_to_send(0x14)
        self.assertGreater(len(data), waiting)
        self.assertEqual(data[-4:], b"\0\0\0\x14")

    def test_lost_while_they_wait(self) -> None:
        """Nothing is held of a connection that is lost, and each stream hears it."""
        self.end.connection.lost(ConnectionError("gone"))  # type: ignore[arg-type]
        self.assertEqual(self.end.connection.unsent_bytes, 0)
        self.assertEqual({len(receiver.errors) for _, receiver in self.bulk}, {1})
        check_connection(self.end.connection)


class OrderTests(SynchronousTestCase):
    """Turns change the order of streams, never that of one stream's bytes."""

    @given(
        steps=st.lists(
            st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 100_000), st.booleans()), max_size=60
        ),
        high_water=st.sampled_from([1, 1000, 50_000, HIGH_WATER]),
    )
    def test_every_byte_arrives(self, steps: list[tuple[bool, int, int, bool]], high_water: int) -> None:
        """Whatever is written, by either side and when, arrives whole and in order."""
        random = Random(7)
        pair = Pair(limits=Limits(high_water_bytes=high_water))
        mine = [pair.edge.open(b"hi") for _ in range(6)]
        pair.pump()
        ends: dict[bool, list[tuple[Stream, RecordingReceiver]]] = {
            True: mine,
            False: list(zip(pair.agent.opened, pair.agent.receivers, strict=True)),
        }
        written = {(by_edge, index): b"" if not by_edge else b"hi" for by_edge in ends for index in range(6)}
        for by_edge, index, size, takes in steps:
            stream = ends[by_edge][index][0]
            if not stream.is_blocked:
                data = random.randbytes(size)
                written[by_edge, index] += data
                stream.write(data)
            if takes:
                pair.agent.receive(pair.edge.connection.data_to_send())
                pair.agent.catch_up()
            check_connection(pair.edge.connection)
            check_connection(pair.agent.connection)
        pair.pump()
        for (by_edge, index), data in written.items():
            self.assertEqual(ends[not by_edge][index][1].data, data)
        for stream, receiver in [*ends[True], *ends[False]]:
            self.assertFalse(stream.is_blocked)
            self.assertEqual(receiver.errors, [])
