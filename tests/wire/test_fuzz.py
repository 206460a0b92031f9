"""Whatever a peer sends, in whatever chunks: only protocol errors come out, and memory stays bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import End, Pair
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.control import MessageReader
from warp_twisted.wire.errors import RemoteProtocolError, StreamError, TunnelClosed
from warp_twisted.wire.frames import HEADER, Role
from warp_twisted.wire.invariants import check_connection
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import OpeningReader, PreambleReader, decode_preamble
from warp_twisted.wire.states import ConnectionState

FUZZ = settings(deadline=None, derandomize=True, max_examples=300)

# Frames that are nearly right get further than noise.
FRAMES = st.builds(
    lambda version, kind, flags, stream_id, length, payload: (
        HEADER.pack(version << 24 | kind << 16 | flags, stream_id, length if length >= 0 else len(payload))
        + (payload if kind == 0 else b"")
    ),
    st.sampled_from([0] * 20 + [1, 255]),
    st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4]),
    st.sampled_from([0, 0, 0, 1, 1, 2, 4, 8, 3, 5, 6, 16, 0xFFFF]),
    st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5, 6, 2**32 - 1]),
    st.sampled_from([-1] * 8 + [0, 1, 100, 262144, 262145, 2**20 + 1, 2**32 - 1]),
    st.binary(max_size=200),
)
STREAMS = st.lists(FRAMES, max_size=30).map(b"".join) | st.binary(max_size=300)
CHUNKS = st.lists(st.integers(1, 400), min_size=1, max_size=10)

SMALL = Limits(
    max_streams=8,
    max_peer_streams=4,
    max_refusals=4,
    max_replies=8,
    max_stream_queue_bytes=1000,
    high_water_bytes=1000,
    max_empty_frames=20,
    frames_at_once=5,
)


def pieces(data: bytes, chunks: list[int]) -> list[bytes]:
    """Cut bytes into chunks of the given sizes, over and over."""
    cut: list[bytes] = []
    at = 0
    while at < len(data):
        size = chunks[len(cut) % len(chunks)]
        cut.append(data[at : at + size])
        at += size
    return cut


def framed(body: bytes) -> bytes:
    """Put the length before a message."""
    return len(body).to_bytes(4, "big") + body


def held(end: End) -> int:
    """The bytes a connection holds: of a partial header, and unsent."""
    return len(end.connection._partial) + end.connection.unsent_bytes


class FuzzTests(SynchronousTestCase):
    """Both roles, the preamble, the opening reply and control messages against arbitrary bytes."""

    @FUZZ
    @given(role=st.sampled_from(Role), data=STREAMS, chunks=CHUNKS, consumes=st.booleans())
    def test_connection(self, role: Role, data: bytes, chunks: list[int], consumes: bool) -> None:
        """A connection with streams of its own takes anything, raises protocol errors only, and stays small."""
        end = End(role, SMALL, consumes)
        end.open(b"x")
        end.open()[0].end()
        try:
            for piece in pieces(data, chunks):
                end.connection.receive_data(piece)
                check_connection(end.connection)
                end.catch_up()
                check_connection(end.connection)
                self.assertLessEqual(held(end), 11 + 12 * 64)
                for stream in end.opened:
                    self.assertLessEqual(stream.unread_bytes, stream.window)
        except RemoteProtocolError as error:
            self.assertIsNot(type(error), RemoteProtocolError)
            end.connection.go_away(error.go_away_code)
        check_connection(end.connection)
        end.connection.data_to_send()
        check_connection(end.connection)
        end.connection.lost(TunnelClosed())
        check_connection(end.connection)

    @FUZZ
    @given(data=STREAMS, chunks=CHUNKS)
    def test_chunks_do_not_matter(self, data: bytes, chunks: list[int]) -> None:
        """What comes out is the same however the bytes were cut."""
        outcomes = []
        for cut in ([len(data) or 1], chunks, [1]):
            end = End(Role.CLIENT)
            end.open(b"x")
            error: type[Exception] | None = None
            try:
                for piece in pieces(data, cut):
                    end.connection.receive_data(piece)
            except RemoteProtocolError as raised:
                error = type(raised)
            received = [(r.data, r.has_ended, len(r.errors)) for r in end.receivers]
            outcomes.append((error, received, end.codes, end.connection.data_to_send()))
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertEqual(outcomes[0], outcomes[2])

    @FUZZ
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["open", "write", "end", "reset", "consume", "pump", "ping"]),
                st.booleans(),
                st.integers(0, 5),
                st.integers(0, 400_000),
            ),
            max_size=40,
        ),
        chunk=st.integers(100, 100_000),
        high_water=st.sampled_from([1000, Limits().high_water_bytes]),
    )
    def test_two_connections_agree(self, steps: list[tuple[str, bool, int, int]], chunk: int, high_water: int) -> None:
        """Whatever two of our own ends do to each other, neither ever calls it a breach."""
        pair = Pair(chunk, Limits(max_streams=12, high_water_bytes=high_water), consumes=False)
        for action, by_agent, index, size in steps:
            end = pair.agent if by_agent else pair.edge
            receivers = [*end.receivers, *end_receivers(end)]
            if action == "open" and end.connection.can_open_stream:
                end_receivers(end).append(end.open(b"x" * (size % 10), consumes=False)[1])
            elif action == "ping" and end.connection.unsent_bytes < 1000:
                end.connection.ping()
                pair.pump()
            elif action == "pump":
                pair.pump()
            elif receivers:
                act(action, receivers[index % len(receivers)], size)
            check_connection(pair.agent.connection)
            check_connection(pair.edge.connection)
        pair.pump()
        for end in (pair.agent, pair.edge):
            check_connection(end.connection)
            for receiver in [*end.receivers, *end_receivers(end)]:
                for error in receiver.errors:
                    self.assertIsInstance(error, StreamError)

    @FUZZ
    @given(data=st.binary(max_size=64), chunks=CHUNKS, ends=st.booleans(), replies=st.booleans())
    def test_preamble_and_reply(self, data: bytes, chunks: list[int], ends: bool, replies: bool) -> None:
        """A bad preamble or reply costs its stream and nothing else."""
        pair = Pair(chunks[0])
        receiver = RecordingReceiver()
        reader = OpeningReader(receiver)
        reader.stream = pair.edge.connection.open_stream(reader, b"" if replies else data)
        if not replies:
            pair.agent.connection._stream_opened = lambda stream: _keep(
                PreambleReader(stream, lambda stream, route_id: None, lambda stream, error: None, decode_preamble)
            )
        pair.pump()
        if replies:
            pair.agent.opened[0].write(data)
            if ends:
                pair.agent.opened[0].end()
        elif ends:
            reader.stream.end()
        pair.pump()
        for end in (pair.agent, pair.edge):
            check_connection(end.connection)
            self.assertIs(end.connection.state, ConnectionState.OPEN)
        self.assertLessEqual(len(receiver.openings) + len(receiver.errors), 2)
        for error in receiver.errors:
            self.assertIsInstance(error, StreamError)

    @FUZZ
    @given(
        data=st.binary(max_size=100) | st.binary(max_size=40).map(lambda b: len(b).to_bytes(4, "big") + b),
        chunks=CHUNKS,
    )
    def test_messages(self, data: bytes, chunks: list[int]) -> None:
        """Bytes that are no messages raise protocol errors only."""
        reader = MessageReader(1000)
        try:
            for piece in pieces(data, chunks):
                list(reader.receive_data(piece))
        except RemoteProtocolError:
            return
        self.assertLessEqual(len(reader._buffer), 1004)


def _keep(reader: PreambleReader[int]) -> None:
    """The stream holds the reader."""


def end_receivers(end: End) -> list[RecordingReceiver]:
    """The receivers of the streams that an end opened itself."""
    receivers: list[RecordingReceiver] = end.__dict__.setdefault("own_receivers", [])
    return receivers


def act(action: str, receiver: RecordingReceiver, size: int) -> None:
    """Do something to a stream that a well-behaved user may do."""
    stream = receiver.stream
    assert stream is not None
    if action == "write" and stream.state.can_write and not stream.is_blocked:
        stream.write(b"x" * size)
    elif action == "end":
        stream.end()
    elif action == "reset":
        stream.reset()
    elif action == "consume":
        stream.consumed(min(size, stream.unread_bytes))
