"""`wire.connection`: what each frame means, and what each broken rule costs."""

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, WINDOW_UPDATE, End, Pair, frame
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.connection import Connection
from warp_twisted.wire.errors import (
    BadFlags,
    BadFrameType,
    BadStreamId,
    BadVersion,
    CannotOpenStream,
    DataAfterEnd,
    DuplicateStream,
    Flood,
    FrameTooLarge,
    RemoteProtocolError,
    StreamNeverOpened,
    StreamReset,
    TooManyPings,
    TooManyStreams,
    TunnelClosed,
    WindowExceeded,
    WindowOverflow,
)
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES, MAX_STREAM_ID, GoAwayCode, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.states import ConnectionState, StreamState

WINDOW = INITIAL_WINDOW_BYTES


class ExchangeTests(SynchronousTestCase):
    """Two connections joined back to back, with every way of cutting the bytes."""

    def exchange(self, chunk: int) -> None:
        pair = Pair(chunk)
        stream, receiver = pair.edge.open(b"preamble")
        pair.pump()
        self.assertEqual(pair.agent.receivers[0].data, b"preamble")
        other = pair.agent.opened[0]
        self.assertEqual(other.id, 2)
        for size in (1, 11, 12, 13, 5000):
            stream.write(b"x" * size)
            other.write(b"y" * size)
        stream.end()
        pair.pump()
        self.assertEqual(pair.agent.receivers[0].data, b"preamble" + b"x" * 5037)
        self.assertTrue(pair.agent.receivers[0].has_ended)
        self.assertEqual(receiver.data, b"y" * 5037)
        self.assertEqual((stream.state, other.state), (StreamState.LOCAL_ENDED, StreamState.REMOTE_ENDED))
        other.write(b"last")
        other.end()
        pair.pump()
        self.assertEqual(receiver.data[-4:], b"last")
        self.assertTrue(receiver.has_ended)
        self.assertEqual((pair.edge.connection.stream_count, pair.agent.connection.stream_count), (0, 0))
        self.assertEqual(receiver.errors + pair.agent.receivers[0].errors, [])

    def test_whole(self) -> None:
        """Streams carry bytes both ways and end one direction after the other."""
        self.exchange(0)

    def test_byte_by_byte(self) -> None:
        """The same when every read returns one byte."""
        self.exchange(1)

    def test_odd_chunks(self) -> None:
        """The same when reads cut headers and payloads anywhere."""
        for chunk in (7, 12, 13, 100):
            self.exchange(chunk)

    def test_streams_do_not_mix(self) -> None:
        """Many streams at once each get their own bytes."""
        pair = Pair(1000)
        streams = [pair.edge.open(b"%d:" % number)[0] for number in range(50)]
        for turn in range(10):
            for stream in streams:
                stream.write(b"%d" % turn)
        pair.pump()
        self.assertEqual([r.data for r in pair.agent.receivers], [b"%d:0123456789" % n for n in range(50)])

    def test_more_than_the_window(self) -> None:
        """Ten megabytes cross a window of a quarter, because credit comes back."""
        pair = Pair()
        stream, _ = pair.edge.open(b"")
        data = bytes(range(256)) * 40_000
        self.assertFalse(stream.write(data))
        stream.end()
        pair.pump()
        self.assertEqual(pair.agent.receivers[0].data, data)
        self.assertTrue(pair.agent.receivers[0].has_ended)

    def test_wake_once(self) -> None:
        """`wake` is called for the first frame only, until the frames were taken."""
        pair = Pair()
        stream, _ = pair.edge.open(b"a")
        stream.write(b"b")
        self.assertEqual(pair.edge.wakes, 1)
        pair.pump()
        stream.write(b"c")
        self.assertEqual(pair.edge.wakes, 2)

    def test_ping(self) -> None:
        """A ping is answered, and its answer is reported with its value."""
        pair = Pair()
        value = pair.edge.connection.ping()
        pair.pump()
        self.assertEqual(pair.edge.pongs, [value])

    def test_reset(self) -> None:
        """A reset is heard once on the other side and not at all on this."""
        pair = Pair()
        stream, receiver = pair.edge.open(b"a")
        pair.pump()
        stream.reset()
        stream.reset()
        pair.pump()
        self.assertEqual([type(error) for error in pair.agent.receivers[0].errors], [StreamReset])
        self.assertEqual(receiver.errors, [])
        self.assertEqual((pair.edge.connection.stream_count, pair.agent.connection.stream_count), (0, 0))

    def test_lost(self) -> None:
        """When the transport is gone every stream hears it, and the connection does nothing more."""
        pair = Pair()
        _, first = pair.edge.open(b"a")
        _, second = pair.edge.open(b"b")
        error = TunnelClosed()
        pair.edge.connection.lost(error)
        self.assertEqual((first.errors, second.errors), ([error], [error]))
        self.assertEqual(pair.edge.connection.data_to_send(), b"")
        self.assertRaises(CannotOpenStream, pair.edge.open)
        pair.edge.receive(b"anything at all")

    def test_lost_tells_everybody(self) -> None:
        """A receiver that fails when it hears of the loss does not keep it from the others."""

        class Failing(RecordingReceiver):
            def stream_lost(self, error: Exception) -> None:
                raise ZeroDivisionError

        pair = Pair()
        pair.edge.connection.open_stream(Failing())
        _, second = pair.edge.open(b"b")
        self.assertRaises(ZeroDivisionError, pair.edge.connection.lost, TunnelClosed())
        self.assertEqual(len(second.errors), 1)
        self.assertEqual(pair.edge.connection.stream_count, 0)

    def test_receiver_that_fails(self) -> None:
        """An exception of a receiver passes through, and the connection then takes no more bytes."""

        class Failing(RecordingReceiver):
            def data_received(self, data: bytes) -> None:
                raise ZeroDivisionError

        end = End(Role.SERVER)
        end.connection.open_stream(Failing())
        self.assertRaises(ZeroDivisionError, end.receive, frame(DATA, ACK, 2, b"x"))
        self.assertFalse(end.connection.can_open_stream)

    def test_receiver_cuts_its_stream_inside_a_frame(self) -> None:
        """A receiver may reset its stream while a frame arrives; the rest of the frame is skipped."""

        class Cutting(RecordingReceiver):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                assert self.stream is not None
                self.stream.reset()

        end = End(Role.SERVER)
        receiver = Cutting()
        receiver.stream = end.connection.open_stream(receiver)
        _, other = end.open()
        data = frame(DATA, ACK | FIN, 2, b"x" * 100) + frame(DATA, 0, 4, b"next")
        end.receive(data, 50)
        self.assertEqual(len(receiver.data), 50 - 12)
        self.assertEqual(other.data, b"next")
        self.assertFalse(receiver.has_ended)

    def test_receiver_may_lose_the_connection_inside_a_read(self) -> None:
        """When a receiver ends the connection, the rest of the read is ignored."""
        end = End(Role.SERVER)

        class Ending(RecordingReceiver):
            def data_received(self, data: bytes) -> None:
                end.connection.lost(TunnelClosed())

        end.connection.open_stream(Ending())
        _, other = end.open()
        end.receive(frame(DATA, 0, 2, b"x") + frame(DATA, 0, 4, b"y"))
        self.assertEqual(other.data, b"")


class OpeningTests(SynchronousTestCase):
    """How streams come to be."""

    def test_by_window_update(self) -> None:
        """A stream opened by a window update with SYN, as hashicorp's yamux does, is acknowledged at once."""
        end = End(Role.SERVER)
        end.receive(frame(WINDOW_UPDATE, SYN, 1))
        self.assertEqual(end.connection.data_to_send(), frame(WINDOW_UPDATE, ACK, 1))

    def test_credit_of_the_opening_frame_counts(self) -> None:
        """Credit in the frame that opens a stream enlarges its window."""
        end = End(Role.SERVER, Limits(high_water_bytes=2**20))
        end.receive(frame(WINDOW_UPDATE, SYN, 1, 1000))
        self.assertTrue(end.opened[0].write(b"x" * (WINDOW - 1)))
        end.opened[0].write(b"x" * 1001)
        self.assertEqual(end.opened[0].queued_bytes, 0)

    def test_answer_carries_the_acknowledgement(self) -> None:
        """A stream that is answered while it is opened needs no frame for its ACK."""

        class Answering(End):
            def stream_opened(self, stream):  # type: ignore[no-untyped-def]
                stream.write(b"hello")

        end = Answering(Role.CLIENT)
        end.receive(frame(DATA, SYN, 2, b"x"))
        self.assertEqual(end.connection.data_to_send(), frame(DATA, ACK, 2, b"hello"))

    def test_opened_and_ended_at_once(self) -> None:
        """One frame may open a stream, fill it and end it."""
        end = End(Role.CLIENT)
        end.receive(frame(DATA, SYN | FIN, 2, b"all"), 5)
        self.assertEqual((end.receivers[0].data, end.receivers[0].has_ended), (b"all", True))

    def test_refused_at_once(self) -> None:
        """A stream that is reset while it is opened gets RST instead of ACK, and its payload is skipped."""

        class Refusing(End):
            def stream_opened(self, stream):  # type: ignore[no-untyped-def]
                stream.reset()

        end = Refusing(Role.CLIENT)
        end.receive(frame(DATA, SYN, 2, b"xyz") + frame(PING, SYN, 0, 1))
        self.assertEqual(end.connection.data_to_send(), frame(WINDOW_UPDATE, ACK | RST, 2) + frame(PING, ACK, 0, 1))

    def test_out_of_order(self) -> None:
        """A stream with a lower id than one before is accepted: hashicorp's yamux sends them so at times."""
        end = End(Role.SERVER)
        end.receive(frame(WINDOW_UPDATE, SYN, 5) + frame(WINDOW_UPDATE, SYN, 3) + frame(DATA, 0, 3, b"x"))
        self.assertEqual([stream.id for stream in end.opened], [5, 3])
        self.assertEqual(end.receivers[1].data, b"x")

    def test_unacknowledged_streams_are_limited(self) -> None:
        """No more streams are opened than the peer's backlog takes; acknowledged and cut ones make room."""
        end = End(Role.SERVER, Limits(accept_backlog=2))
        stream, _ = end.open()
        end.open()
        self.assertFalse(end.connection.can_open_stream)
        error = self.assertRaises(CannotOpenStream, end.open)
        self.assertIn("acknowledged", str(error))
        stream.reset()
        end.open()
        end.receive(frame(WINDOW_UPDATE, ACK, 4))
        end.receive(frame(WINDOW_UPDATE, ACK, 4))
        end.open()
        self.assertRaises(CannotOpenStream, end.open)

    def test_streams_are_limited(self) -> None:
        """No more streams are opened than `max_streams`."""
        end = End(Role.SERVER, Limits(max_streams=2))
        end.open()
        end.open()
        self.assertIn("streams already", str(self.assertRaises(CannotOpenStream, end.open)))

    def test_stream_ids_run_out(self) -> None:
        """When the ids are used up no stream can be opened."""
        end = End(Role.SERVER)
        end.connection._next_id = MAX_STREAM_ID - 1
        end.open()
        self.assertIn("ids", str(self.assertRaises(CannotOpenStream, end.open)))

    def test_peer_streams_are_refused_above_the_limit(self) -> None:
        """A stream above the limit is refused with RST; its data is skipped; the others go on."""
        end = End(Role.SERVER, Limits(max_peer_streams=1))
        end.receive(frame(WINDOW_UPDATE, SYN, 1) + frame(DATA, SYN, 3, b"x") + frame(DATA, 0, 3, b"y"))
        end.receive(frame(DATA, 0, 1, b"z"))
        self.assertEqual(end.connection.data_to_send(), frame(WINDOW_UPDATE, ACK, 1) + frame(WINDOW_UPDATE, RST, 3))
        self.assertEqual(end.receivers[0].data, b"z")

    def test_closed_streams_make_room(self) -> None:
        """A closed stream does not count."""
        end = End(Role.SERVER, Limits(max_peer_streams=1))
        for stream_id in (1, 3, 5):
            end.receive(frame(WINDOW_UPDATE, SYN, stream_id) + frame(WINDOW_UPDATE, RST, stream_id))
        self.assertEqual(len(end.opened), 3)

    def test_streams_after_our_go_away_are_refused(self) -> None:
        """Once this end has gone away the peer's streams are refused, and those there are go on."""
        end = End(Role.SERVER)
        end.receive(frame(WINDOW_UPDATE, SYN, 1))
        end.connection.go_away(GoAwayCode.NORMAL)
        end.connection.data_to_send()
        end.receive(frame(WINDOW_UPDATE, SYN, 3) + frame(DATA, 0, 1, b"x"))
        self.assertEqual(end.connection.data_to_send(), frame(WINDOW_UPDATE, RST, 3))
        self.assertEqual(end.receivers[0].data, b"x")
        self.assertIn("draining", str(self.assertRaises(CannotOpenStream, end.open)))

    def test_peer_goes_away(self) -> None:
        """After the peer's go-away no stream is opened, and its code is reported."""
        end = End(Role.SERVER)
        stream, receiver = end.open()
        end.receive(frame(GO_AWAY, 0, 0, 0) + frame(DATA, ACK, 2, b"x"))
        self.assertEqual((end.codes, receiver.data), ([0], b"x"))
        self.assertRaises(CannotOpenStream, end.open)
        self.assertTrue(stream.write(b"still"))


class BreachTests(SynchronousTestCase):
    """Each broken rule or limit has an error of its own, with the code to send."""

    def refuses(
        self,
        data: bytes,
        error: type[RemoteProtocolError],
        code: GoAwayCode = GoAwayCode.PROTOCOL_ERROR,
        limits: Limits | None = None,
    ) -> None:
        """Bytes are refused, whole, byte by byte and with trailing bytes, and nothing is taken after them."""
        for chunk, trailing in ((0, b""), (1, b""), (0, b"\0" * 40), (5, b"\0" * 40)):
            end = End(Role.SERVER, limits or Limits())
            end.open()
            end.open()[0].reset()
            end.connection.data_to_send()
            raised = self.assertRaises(error, end.receive, data + trailing, chunk)
            self.assertEqual(raised.go_away_code, code)
            self.assertTrue(str(raised))
            end.receive(frame(WINDOW_UPDATE, SYN, 99))
            self.assertNotIn(99, [stream.id for stream in end.opened])
            end.connection.go_away(raised.go_away_code)
            self.assertEqual(end.connection.data_to_send()[-12:], frame(GO_AWAY, 0, 0, code))

    def test_version(self) -> None:
        """Another version than 0 is refused."""
        self.refuses(b"\x01" + frame(DATA, 0, 2, b"x")[1:], BadVersion)

    def test_type(self) -> None:
        """A type above 3 is refused."""
        self.refuses(b"\x00\x04" + frame(DATA, 0, 2, b"x")[2:], BadFrameType)

    def test_flags(self) -> None:
        """Unknown flags, and flags that contradict each other, are refused."""
        self.refuses(frame(DATA, 0x10, 2, b"x"), BadFlags)
        self.refuses(frame(WINDOW_UPDATE, SYN | ACK, 1), BadFlags)
        self.refuses(frame(WINDOW_UPDATE, SYN | RST, 1), BadFlags)
        self.refuses(frame(PING, 0, 0, 1), BadFlags)
        self.refuses(frame(PING, SYN | ACK, 0, 1), BadFlags)

    def test_stream_id(self) -> None:
        """A stream that is ours to open, stream 0, and a session frame for a stream are refused."""
        self.refuses(frame(WINDOW_UPDATE, SYN, 6), BadStreamId)
        self.refuses(frame(WINDOW_UPDATE, SYN, 0), BadStreamId)
        self.refuses(frame(PING, SYN, 1, 1), BadStreamId)
        self.refuses(frame(GO_AWAY, 0, 1, 0), BadStreamId)
        self.refuses(frame(GO_AWAY, SYN, 0, 0), BadStreamId)

    def test_duplicate(self) -> None:
        """Opening an open stream again is refused."""
        self.refuses(frame(WINDOW_UPDATE, SYN, 1) * 2, DuplicateStream)

    def test_never_opened(self) -> None:
        """A frame for a stream that nobody opened is refused, on either side's ids."""
        for stream_id in (0, 1, 6):
            self.refuses(frame(DATA, 0, stream_id, b"x"), StreamNeverOpened)
            self.refuses(frame(WINDOW_UPDATE, 0, stream_id, 5), StreamNeverOpened)
        self.refuses(frame(WINDOW_UPDATE, RST, 7, 0), StreamNeverOpened)

    def test_closed_streams_are_ignored(self) -> None:
        """Frames for a stream that was cut are skipped with their payload, because they may have crossed the cut."""
        end = End(Role.SERVER)
        end.open()[0].reset()
        _, receiver = end.open()
        end.receive(frame(DATA, 0, 2, b"x" * 1000) + frame(WINDOW_UPDATE, FIN, 2) + frame(DATA, 0, 4, b"y"), 100)
        self.assertEqual(receiver.data, b"y")

    def test_data_after_end(self) -> None:
        """Data and a second end after the end are refused; an empty frame is not worth it."""
        self.refuses(frame(DATA, FIN, 2) + frame(DATA, 0, 2, b"x"), DataAfterEnd)
        self.refuses(frame(DATA, FIN, 2, b"x") + frame(DATA, FIN, 2), DataAfterEnd)
        self.refuses(frame(WINDOW_UPDATE, FIN, 2) + frame(WINDOW_UPDATE, FIN, 2), DataAfterEnd)
        end = End(Role.SERVER)
        end.open()
        end.receive(frame(DATA, FIN, 2) + frame(DATA, 0, 2) + frame(WINDOW_UPDATE, 0, 2, 7))

    def test_window(self) -> None:
        """A byte more than the window is refused, in one frame or in the last of many."""
        code = GoAwayCode.FLOW_CONTROL_ERROR
        self.refuses(frame(DATA, 0, 2, b"x" * (WINDOW + 1)), WindowExceeded, code)
        end = End(Role.SERVER)
        _, receiver = end.open(consumes=False)
        end.receive(frame(DATA, 0, 2, b"x" * (WINDOW - 1)))
        end.receive(frame(DATA, 0, 2, b"x"))
        self.assertRaises(WindowExceeded, end.receive, frame(DATA, 0, 2, b"x"))
        self.assertEqual(len(receiver.data), WINDOW)

    def test_window_of_a_stream_opened_with_data(self) -> None:
        """The window counts for the frame that opens a stream as well."""
        self.refuses(frame(DATA, SYN, 1, b"x" * (WINDOW + 1)), WindowExceeded, GoAwayCode.FLOW_CONTROL_ERROR)

    def test_credit(self) -> None:
        """More credit than can be counted is refused."""
        self.refuses(frame(WINDOW_UPDATE, 0, 2, 2**32 - 1), WindowOverflow, GoAwayCode.FLOW_CONTROL_ERROR)

    def test_frame_size(self) -> None:
        """A payload above the limit is refused from its header, for known and unknown streams."""
        huge = frame(DATA, 0, 2)[:8] + (2**20 + 1).to_bytes(4, "big")
        self.refuses(huge, FrameTooLarge, GoAwayCode.FRAME_TOO_LARGE)
        huge = frame(DATA, 0, 4)[:8] + (2**32 - 1).to_bytes(4, "big")
        self.refuses(huge, FrameTooLarge, GoAwayCode.FRAME_TOO_LARGE)

    def test_refused_again_and_again(self) -> None:
        """A peer that goes on opening streams after being refused loses the tunnel."""
        limits = Limits(max_peer_streams=1, max_refusals=3)
        frames = b"".join(frame(WINDOW_UPDATE, SYN, stream_id) for stream_id in (1, 3, 5, 7, 9))
        self.refuses(frames, TooManyStreams, GoAwayCode.TOO_MANY_STREAMS, limits)

    def test_flood_of_pings(self) -> None:
        """A peer that asks faster than it reads loses the tunnel; one that reads does not."""
        limits = Limits(max_replies=10)
        self.refuses(frame(PING, SYN, 0, 1) * 11, Flood, GoAwayCode.FLOOD, limits)
        end = End(Role.SERVER, limits)
        for _ in range(5):
            end.receive(frame(PING, SYN, 0, 1) * 10)
            end.connection.data_to_send()

    def test_own_pings_are_limited(self) -> None:
        """Pings that are not answered are limited; answered ones make room, unknown answers are ignored."""
        end = End(Role.SERVER, Limits(max_pings=2))
        first = end.connection.ping()
        end.connection.ping()
        self.assertRaises(TooManyPings, end.connection.ping)
        end.receive(frame(PING, ACK, 0, first) + frame(PING, ACK, 0, 12345))
        end.connection.ping()
        self.assertEqual(end.pongs, [first])

    def test_header_in_two_is_all_that_is_kept(self) -> None:
        """However a frame is cut, the connection holds at most eleven bytes of it."""
        end = End(Role.SERVER)
        end.open()
        for byte in frame(DATA, 0, 2, b"x" * 1000) * 3:
            end.receive(bytes([byte]))
            self.assertLess(len(end.connection._partial), 12)
        self.assertIsInstance(end.connection, Connection)


class EmptyFrameTests(SynchronousTestCase):
    """Frames that carry nothing have a price (spec.md §5), and useful ones make up for some."""

    def setUp(self) -> None:
        self.granted = 0
        self.end = End(Role.SERVER, Limits(max_empty_frames=10))
        self.end.connection._refill = self.refill
        self.end.receive(frame(WINDOW_UPDATE, SYN, 1))
        self.stream, _ = self.end.open()
        self.end.receive(frame(WINDOW_UPDATE, ACK, 2))
        self.end.connection.data_to_send()

    def refill(self) -> int:
        granted, self.granted = self.granted, 0
        return granted

    def assert_price(self, frames: bytes, price: int) -> None:
        """The frames, sent again and again, end the connection when their price is more than ten."""
        self.setUp()
        for _ in range(10 // price):
            self.end.receive(frames)
        self.assertRaises(Flood, self.end.receive, frames)

    def assert_free(self, frames: bytes) -> None:
        """The frames, sent again and again, cost nothing."""
        self.setUp()
        for _ in range(50):
            self.end.receive(frames)

    def test_what_carries_nothing(self) -> None:
        """Updates of no or little credit, empty data, pings, pongs that nobody asked for, and said again."""
        self.assert_price(frame(WINDOW_UPDATE, 0, 2), 1)
        self.assert_price(frame(WINDOW_UPDATE, 0, 2, 1023), 1)
        self.assert_price(frame(DATA, 0, 1), 1)
        self.assert_price(frame(PING, SYN, 0, 7), 1)
        self.assert_price(frame(PING, ACK, 0, 7), 1)
        self.assert_price(frame(WINDOW_UPDATE, ACK, 1) + frame(DATA, 0, 1) * 9, 10)

    def test_a_second_drain(self) -> None:
        """The first go-away says something, the next ones nothing."""
        self.end.receive(frame(GO_AWAY, 0, 0))
        for _ in range(10):
            self.end.receive(frame(GO_AWAY, 0, 0))
        self.assertRaises(Flood, self.end.receive, frame(GO_AWAY, 0, 0))

    def test_credit_without_use(self) -> None:
        """Credit far beyond what was sent carries nothing, in whatever lumps, and so does credit after our end."""
        for lump in (2048, 65536, 2**20):
            self.setUp()
            with self.assertRaises(Flood):
                for _ in range(4 * 1024 * 1024 // lump + 100):
                    self.end.receive(frame(WINDOW_UPDATE, 0, 2, lump))
        self.setUp()
        self.stream.end()
        with self.assertRaises(Flood):
            for _ in range(50):
                self.end.receive(frame(WINDOW_UPDATE, 0, 2, 65536))

    def test_closed_streams(self) -> None:
        """A few frames may cross the end of a stream; data may, as long as it is no stream of single bytes."""
        self.stream.reset()
        self.end.receive(frame(DATA, 0, 2, b"x" * 64) * 50)
        for kind in (frame(DATA, 0, 2, b"x"), frame(DATA, 0, 2), frame(WINDOW_UPDATE, 0, 2, 9999), frame(DATA, RST, 2)):
            self.setUp()
            self.stream.reset()
            with self.assertRaises(Flood):
                self.end.receive(kind * 20)

    def test_data_is_free(self) -> None:
        """Data with a payload, however small, has no such price, nor has what opens and ends streams."""
        self.assert_free(frame(DATA, 0, 1, b"x"))
        for _ in range(50):
            stream, _ = self.end.open()
            self.end.receive(frame(WINDOW_UPDATE, ACK, stream.id) + frame(DATA, FIN, stream.id))
            stream.end()

    def test_an_acknowledgement_that_is_news(self) -> None:
        """An ACK costs nothing each time that somebody waits for it."""
        for _ in range(50):
            self.stream.peer_heard = False
            self.end.receive(frame(WINDOW_UPDATE, ACK, 2))
            self.assertTrue(self.stream.peer_heard)

    def test_an_answered_ping(self) -> None:
        """The answer to a ping of ours costs nothing."""
        for _ in range(50):
            self.end.receive(frame(PING, ACK, 0, self.end.connection.ping()))
        self.assertEqual(len(self.end.pongs), 50)

    def test_useful_credit_makes_up(self) -> None:
        """A peer that returns credit for what it was sent may probe the path as often."""
        for _ in range(50):
            self.stream.write(b"x" * 65536)
            self.end.connection.data_to_send()
            self.end.receive(frame(WINDOW_UPDATE, 0, 2, 65536) + frame(PING, SYN, 0, 1))
        self.assertIs(self.end.connection.state, ConnectionState.OPEN)

    def test_time_makes_up(self) -> None:
        """What is granted with time is granted once, and never more than the whole bucket."""
        nothing = frame(WINDOW_UPDATE, 0, 2)
        self.end.receive(nothing * 10)
        self.granted = 3
        self.end.receive(nothing * 3)
        self.granted = 1000
        self.end.receive(nothing * 10)
        self.assertRaises(Flood, self.end.receive, nothing * 2)


class TurnTests(SynchronousTestCase):
    """How much is obeyed in one call."""

    def test_some_at_once(self) -> None:
        """So many frames are obeyed, the others wait in order, and what comes behind them waits too."""
        end = End(Role.SERVER, Limits(frames_at_once=3))
        end.receive(frame(WINDOW_UPDATE, SYN, 1) + b"".join(frame(DATA, 0, 1, bytes([n])) for n in range(6)))
        self.assertEqual((end.receivers[0].data, end.connection.is_behind), (b"\0\1", True))
        end.receive(frame(DATA, 0, 1, b"\6")[:7])
        self.assertEqual(end.receivers[0].data, b"\0\1")
        end.connection.receive_more()
        self.assertEqual((end.receivers[0].data, end.connection.is_behind), (bytes(range(5)), True))
        end.connection.receive_more()
        self.assertEqual((end.receivers[0].data, end.connection.is_behind), (bytes(range(6)), False))
        end.receive(frame(DATA, 0, 1, b"\6")[7:])
        self.assertEqual(end.receivers[0].data, bytes(range(7)))

    def test_exactly_so_many(self) -> None:
        """When as many came as are obeyed at once, nothing waits."""
        end = End(Role.SERVER, Limits(frames_at_once=3))
        end.receive(frame(WINDOW_UPDATE, SYN, 1) + frame(DATA, 0, 1, b"x") * 2)
        self.assertEqual((end.receivers[0].data, end.connection.is_behind), (b"xx", False))
        end.receive(frame(DATA, 0, 1, b"y") * 3 + b"\0" * 11)
        self.assertFalse(end.connection.is_behind)

    def test_nothing_after_the_end(self) -> None:
        """A connection that is lost obeys nothing that waited."""
        end = End(Role.SERVER, Limits(frames_at_once=1))
        end.receive(frame(WINDOW_UPDATE, SYN, 1) + frame(DATA, 0, 1, b"x"))
        end.connection.lost(TunnelClosed())
        end.connection.receive_more()
        self.assertEqual(end.receivers[0].data, b"")
