"""
One end of a tunnel, without the tunnel: bytes in, calls to streams' receivers out; calls in, bytes out.

Decides what each frame of the peer means and whether it was allowed. Knows no transport, no clock and no log: whoever
owns a `Connection` moves its bytes, pings when it likes, and calls `lost` when the transport is gone. Rules: spec.md.

`receive_data` is the hot path. The common frame, whole DATA without flags (or with ACK alone) for an open stream
within its window, costs one `unpack_from`, one dict look-up, one slice and one call. Everything else goes through
`_frame`. A DATA frame is never gathered: what has arrived of it is passed on at once, so the only bytes kept are those
of a header cut in two.
(The module is long because the rules of all frames share the tables of one object; splitting it would cost calls.)
"""

from collections.abc import Callable

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
    TooManyPings,
    TooManyStreams,
    WindowExceeded,
    WireError,
)
from warp_twisted.wire.frames import (
    ACK,
    ALL_FLAGS,
    FIN,
    GO_AWAY_WORD,
    HEADER,
    HEADER_BYTES,
    MAX_STREAM_ID,
    PING_WORD,
    RST,
    SYN,
    WINDOW_UPDATE_WORD,
    FrameType,
    Role,
    encode_header,
)
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.outbox import Outbox
from warp_twisted.wire.states import CONNECTION_TRANSITIONS, ConnectionEvent, ConnectionState
from warp_twisted.wire.streams import Stream, StreamReceiver
from warp_twisted.wire.windows import WindowGrowth

# Which frames carry nothing, spec.md §5.
SMALL_CREDIT = 1024
SMALL_PAYLOAD = 64
LARGE_CREDIT = 32 * 1024
MAX_USEFUL_CREDIT = 4 * 1024 * 1024
CROSSING_FRAMES = 4  # of a stream that has just ended: credit for what it had sent, and its own end


def _ignore(value: object) -> None:
    """Default callback: does nothing."""


def _sleep_on() -> None:
    """Nothing is sent any more."""


def _nothing() -> int:
    """What a peer is granted without a clock."""
    return 0


class Connection:
    """
    One end of a tunnel.

    :param role: CLIENT for the agent, SERVER for the edge.
    :param limits: what this end accepts and holds.
    :param stream_opened: called with each stream the peer opens; it should set the stream's `receiver`.
    :param wake: called when there is something to send and there was nothing before.
    :param went_away: called with the code of the peer's go-away frame. `NORMAL` only says that it takes no new
        streams; any other code ends the tunnel.
    :param ponged: called with the value that `ping` returned when its answer comes.
    :param refill: called when the peer has used up its empty frames; returns how many more it is granted by now.
    :ivar state: see `wire.states`.
    :ivar is_behind: whether frames wait for `receive_more`.
    """

    __slots__ = (
        "_body_ends",
        "_body_left",
        "_body_stream",
        "_empty_frames_left",
        "_frames_at_once",
        "_growth",
        "_highest_peer_id",
        "_is_body_heard",
        "_limits",
        "_next_id",
        "_next_ping",
        "_outbox",
        "_partial",
        "_peer_parity",
        "_peer_streams",
        "_pings",
        "_ponged",
        "_refill",
        "_refusals",
        "_replies",
        "_stream_opened",
        "_streams",
        "_unacknowledged",
        "_went_away",
        "is_behind",
        "state",
    )

    def __init__(
        self,
        role: Role,
        limits: Limits,
        *,
        stream_opened: Callable[[Stream], None],
        wake: Callable[[], None],
        went_away: Callable[[int], None] = _ignore,
        ponged: Callable[[int], None] = _ignore,
        refill: Callable[[], int] = _nothing,
    ) -> None:
        self.state = ConnectionState.OPEN
        self._limits = limits
        self._stream_opened = stream_opened
        self._went_away = went_away
        self._ponged = ponged
        self._refill = refill
        self._empty_frames_left = limits.max_empty_frames
        self._frames_at_once = range(limits.frames_at_once)
        self.is_behind = False
        self._outbox = Outbox(limits.high_water_bytes, limits.max_queue_bytes, wake)
        self._growth = WindowGrowth(limits.max_window_bytes, limits.max_growth_bytes)
        self._streams: dict[int, Stream] = {}
        self._next_id = role.first_stream_id
        self._peer_parity = 1 - role.value
        self._highest_peer_id = 0
        self._peer_streams = 0
        self._unacknowledged = 0
        self._refusals = 0
        self._replies = 0
        self._pings: set[int] = set()
        self._next_ping = 0
        self._partial = b""
        self._body_left = 0
        self._body_stream: Stream | None = None
        self._body_ends = False
        self._is_body_heard = False

    @property
    def stream_count(self) -> int:
        """Streams that are not closed, both sides' together."""
        return len(self._streams)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the transport or for credit."""
        return self._outbox.size + self._outbox.queued

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_stream` would succeed now."""
        return (
            self.state is ConnectionState.OPEN
            and len(self._streams) < self._limits.max_streams
            and self._unacknowledged < self._limits.accept_backlog
            and self._next_id <= MAX_STREAM_ID
        )

    def data_to_send(self) -> bytes:
        """Return what `frames_to_send` does, joined."""
        return b"".join(self.frames_to_send())

    def frames_to_send(self) -> list[bytes | memoryview]:
        """
        Return queued frames in one or more pieces, and forget them; nothing if there are none.

        Not more than `Limits.high_water_bytes` of what waits for its turn; then `wake` is called again. Call it only
        when the transport takes bytes: each call makes room, and paused writers go on.
        """
        self._replies = 0
        return self._outbox.take()

    def last_data_to_send(self, code: int) -> bytes:
        """Return everything that may still be sent, and a go-away frame; the transport is closed after it."""
        data = self._outbox.take_all()
        self.go_away(code)
        return data + b"".join(self._outbox.take())

    def open_stream(self, receiver: StreamReceiver, data: bytes = b"") -> Stream:
        """
        Open a stream; the first bytes travel in the frame that opens it.

        :raises CannotOpenStream: when the tunnel is over, either side has gone away, or a limit is reached.
        """
        if not self.can_open_stream:
            raise CannotOpenStream(self._why_not())
        stream = Stream(self._next_id, self, self._outbox, self._limits.max_stream_queue_bytes, SYN)
        stream.receiver = receiver
        self._streams[stream.id] = stream
        self._next_id += 2
        self._unacknowledged += 1
        if data:
            stream.write(data)
        else:
            stream.announce()
        return stream

    def _why_not(self) -> str:
        if self.state is not ConnectionState.OPEN:
            return f"the tunnel is {self.state.value}"
        if self._next_id > MAX_STREAM_ID:
            return "the tunnel has used up its stream ids"
        if len(self._streams) >= self._limits.max_streams:
            return f"the tunnel has {len(self._streams)} streams already"
        return f"the peer has not acknowledged the last {self._unacknowledged} streams"

    def ping(self) -> int:
        """
        Ask the peer for a sign of life.

        :returns: the value that `ponged` will be called with.
        :raises TooManyPings: if too many pings have not been answered.
        """
        if len(self._pings) >= self._limits.max_pings:
            raise TooManyPings(f"{len(self._pings)} pings have not been answered")
        value = self._send_ping()
        self._pings.add(value)
        return value

    def _send_ping(self) -> int:
        value = self._next_ping
        self._next_ping = (value + 1) & 0xFFFF_FFFF
        self._outbox.put(HEADER.pack(PING_WORD | SYN, 0, value))
        return value

    def go_away(self, code: int) -> None:
        """
        Tell the peer that this end takes no new streams (`NORMAL`) or why it ends the tunnel (any other code).

        The streams that are open go on until the transport is closed.
        """
        self._advance(ConnectionEvent.DRAIN)
        self._outbox.put(encode_header(FrameType.GO_AWAY, 0, 0, code))

    def _advance(self, event: ConnectionEvent) -> None:
        self.state = CONNECTION_TRANSITIONS[self.state, event]

    def lost(self, error: WireError) -> None:
        """
        The transport is gone: every stream hears `stream_lost`, and nothing more is sent or received.

        If a receiver raises, the others are still told; then the first exception is raised. The functions given at the
        start are forgotten, so that no reference cycle is left for the garbage collector.
        """
        self._advance(ConnectionEvent.LOSS)
        self._outbox.discard()
        first: Exception | None = None
        while self._streams:
            stream = next(iter(self._streams.values()))
            try:
                stream.lose(error)
            except Exception as exception:
                first = first or exception
        self._outbox.discard()
        self._outbox.wake = _sleep_on
        self._stream_opened = self._went_away = self._ponged = _ignore
        self._refill = _nothing
        self._body_stream = None
        if first is not None:
            raise first

    def receive_data(self, data: bytes) -> None:
        """
        Take bytes from the peer and call the receivers of the streams they belong to.

        Only `Limits.frames_at_once` are obeyed. If there are more `is_behind` is then True: the caller takes no more
        bytes from the peer, and calls `receive_more` in turns with other work until it is False.

        An exception of a receiver passes through; the connection is then over, because the rest of the bytes is lost.

        :raises RemoteProtocolError: if the peer broke a rule or a limit. Send `go_away` with its `go_away_code`,
            close the transport and call `lost`.
        """
        if not self.state.can_receive:
            return
        if self.is_behind:
            self._partial += data
            return
        try:
            self._receive(data)
        except BaseException:
            self._advance(ConnectionEvent.FAILURE)
            raise

    def receive_more(self) -> None:
        """
        Obey the next frames of those that wait.

        :raises RemoteProtocolError: as `receive_data` does.
        """
        self.is_behind = False
        self.receive_data(b"")

    def _receive(self, data: bytes) -> None:
        at = 0
        if self._body_left:
            at = self._body(data, 0)
        elif self._partial:
            data = self._partial + data
            self._partial = b""
        size = len(data)
        last = size - HEADER_BYTES
        streams = self._streams
        unpack_from = HEADER.unpack_from
        for _ in self._frames_at_once:
            if at > last:
                break
            word, stream_id, length = unpack_from(data, at)
            at += HEADER_BYTES
            if not word or word == ACK:
                stream = streams.get(stream_id)
                end = at + length
                if stream is not None and 0 < length <= stream.receive_credit and end <= size:
                    if word:
                        self._acknowledged(stream)
                    stream.receive_credit -= length
                    stream.flags = stream.mark
                    stream.receiver.data_received(data[at:end])
                    at = end
                    continue
            if not self.state.can_receive:
                return  # a receiver ended the tunnel
            self._frame(word, stream_id, length)
            if self._body_left:
                at = self._body(data, at)
        else:
            self.is_behind = at <= last
        if at < size:
            self._partial = data[at:]

    def _body(self, data: bytes, at: int) -> int:
        """Pass on what has arrived of a DATA frame's payload; return where the next frame begins."""
        stream = self._body_stream
        left = self._body_left
        arrived = len(data) - at
        if left > arrived:
            self._body_left = left - arrived
            if stream is not None and arrived:
                self._hear(stream)
                stream.receiver.data_received(data[at:] if at else data)
            return len(data)
        self._body_left = 0
        self._body_stream = None
        if stream is not None:
            end = at + left
            self._hear(stream)
            stream.receiver.data_received(data[at:end] if at or end != len(data) else data)
            if self._body_ends:
                self._peer_ended(stream)
        return at + left

    def _hear(self, stream: Stream) -> None:
        """Note that a frame was heard of, once for each: an ACK for its end would seem to be for the next one."""
        if not self._is_body_heard:
            self._is_body_heard = True
            stream.flags = stream.mark

    def _frame(self, word: int, stream_id: int, length: int) -> None:
        """Obey one frame's header, and prepare for its payload if it has one."""
        flags = word & 0xFFFF
        kind = word - flags
        if kind >> 24:
            raise BadVersion(f"the peer sent a frame of version {kind >> 24}; 0 is expected")
        if flags & ~ALL_FLAGS:
            raise BadFlags(f"the peer sent unknown flags {flags:#06x}")
        if kind == WINDOW_UPDATE_WORD:
            self._window_update(flags, stream_id, length)
        elif not kind:
            self._data_frame(flags, stream_id, length)
        elif kind == PING_WORD:
            self._ping_frame(flags, stream_id, length)
        elif kind == GO_AWAY_WORD:
            if stream_id or flags:
                raise BadStreamId("a go-away frame belongs to stream 0 and has no flags")
            if self.state is not ConnectionState.OPEN:
                self._carries_nothing()
            self._advance(ConnectionEvent.PEER_DRAIN)
            self._went_away(length)
        else:
            raise BadFrameType(f"the peer sent a frame of type {kind >> 16}")

    def _window_update(self, flags: int, stream_id: int, credit: int) -> None:
        if credit < SMALL_CREDIT and self._says_nothing(flags, stream_id):
            self._carries_nothing()
        stream = self._stream_of(flags, stream_id, credit)
        if stream is None:
            self._carries_nothing()  # of a stream that is closed; one that this frame closed has made up for it
            return
        stream.credit_granted(credit)
        if stream.credit > MAX_USEFUL_CREDIT or not stream.state.can_send:
            self._carries_nothing()
        elif credit >= LARGE_CREDIT:
            self._make_up_for(1)
        if flags & FIN:
            self._peer_ended(stream)

    def _data_frame(self, flags: int, stream_id: int, length: int) -> None:
        if length > self._limits.max_frame_bytes:
            raise FrameTooLarge(f"the peer announced a frame of {length} bytes; {self._limits.max_frame_bytes} is most")
        if not length and self._says_nothing(flags, stream_id):
            self._carries_nothing()
        stream = self._stream_of(flags, stream_id)
        self._body_left = length
        self._is_body_heard = False
        self._body_stream = None
        if stream is None:
            if length < SMALL_PAYLOAD:
                self._carries_nothing()
            return
        if length:
            if not stream.state.can_receive:
                raise DataAfterEnd(f"the peer sent data on stream {stream_id} after its end")
            if length > stream.receive_credit:
                raise WindowExceeded(
                    f"the peer sent {length} bytes on stream {stream_id}; {stream.receive_credit} were allowed"
                )
            stream.receive_credit -= length
            self._body_stream = stream
            self._body_ends = bool(flags & FIN)
        elif flags & FIN:
            self._peer_ended(stream)

    def _says_nothing(self, flags: int, stream_id: int) -> bool:
        """Return whether a frame's flags say nothing of an open stream that was not said before."""
        if flags & ~ACK:
            return False
        stream = self._streams.get(stream_id)
        return stream is not None and (not flags or (stream.is_acknowledged and stream.peer_heard))

    def _make_up_for(self, count: int) -> None:
        """Allow for frames that carry nothing, which follow from useful ones."""
        if self._empty_frames_left < self._limits.max_empty_frames:
            self._empty_frames_left += count

    def _carries_nothing(self) -> None:
        """Count a frame that carries nothing; each costs time, and the peer has a right to some."""
        self._empty_frames_left -= 1
        if self._empty_frames_left < 0:
            most = self._limits.max_empty_frames
            self._empty_frames_left = min(self._empty_frames_left + self._refill(), most)
            if self._empty_frames_left < 0:
                raise Flood(f"the peer sent more than {most} frames that carry nothing")

    def _peer_ended(self, stream: Stream) -> None:
        if stream.id not in self._streams:
            return  # cut by its receiver a moment ago
        if not stream.state.can_receive:
            raise DataAfterEnd(f"the peer ended stream {stream.id} twice")
        stream.peer_ended()

    def _stream_of(self, flags: int, stream_id: int, reason: int = 0) -> Stream | None:
        """Return the stream a frame belongs to, opening or cutting it as the flags say; None if it is closed."""
        if flags & SYN:
            if flags & (ACK | RST):
                raise BadFlags(f"the peer opened stream {stream_id} with flags {flags:#06x}")
            return self._open(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None:
            is_peers = stream_id & 1 == self._peer_parity
            if stream_id == 0 or stream_id >= (self._highest_peer_id + 1 if is_peers else self._next_id):
                raise StreamNeverOpened(f"the peer sent a frame for stream {stream_id}, which nobody opened")
            return None
        if flags & ACK:
            self._acknowledged(stream)
        if flags & RST:
            stream.peer_reset(reason)
            return None
        return stream

    def _open(self, stream_id: int) -> Stream | None:
        if stream_id == 0 or stream_id & 1 != self._peer_parity:
            raise BadStreamId(f"the peer may not open stream {stream_id}")
        if stream_id in self._streams:
            raise DuplicateStream(f"the peer opened stream {stream_id} twice")
        # Not required to grow: hashicorp/yamux numbers streams before it sends them, from several threads.
        self._highest_peer_id = max(self._highest_peer_id, stream_id)
        limits = self._limits
        if (
            not self.state.can_accept
            or self._peer_streams >= limits.max_peer_streams
            or len(self._streams) >= limits.max_streams
        ):
            self._refusals += 1
            if self._refusals > limits.max_refusals:
                raise TooManyStreams(f"the peer opened {self._refusals} streams after being refused")
            self._reply(HEADER.pack(WINDOW_UPDATE_WORD | RST, stream_id, 0))
            return None
        stream = Stream(stream_id, self, self._outbox, limits.max_stream_queue_bytes, ACK)
        stream.is_acknowledged = True
        self._streams[stream_id] = stream
        self._peer_streams += 1
        self._refusals = 0
        self._stream_opened(stream)
        if stream.id not in self._streams:
            return None
        stream.announce()
        return stream

    def _ping_frame(self, flags: int, stream_id: int, value: int) -> None:
        if stream_id:
            raise BadStreamId("a ping belongs to stream 0")
        if flags == SYN:
            self._carries_nothing()
            self._reply(HEADER.pack(PING_WORD | ACK, 0, value))
        elif flags == ACK:
            if value in self._pings:
                self._pings.discard(value)
                self._ponged(value)
            elif not self._growth.answered(value):
                self._carries_nothing()
        else:
            raise BadFlags(f"the peer sent a ping with flags {flags:#06x}")

    def _reply(self, frame: bytes) -> None:
        self._replies += 1
        if self._replies > self._limits.max_replies:
            raise Flood(f"{self._replies} answers to the peer wait for it to read")
        self._outbox.put(frame)

    def _acknowledged(self, stream: Stream) -> None:
        """Note an ACK: the first acknowledges the stream, the others say that the peer received bytes on it."""
        if stream.is_acknowledged:
            stream.peer_heard = True
        else:
            stream.is_acknowledged = True
            self._unacknowledged -= 1

    def stream_closed(self, stream: Stream) -> None:
        """Forget a stream; called by the stream."""
        del self._streams[stream.id]
        if stream.id & 1 == self._peer_parity:
            self._peer_streams -= 1
        elif not stream.is_acknowledged:
            self._acknowledged(stream)
        self._make_up_for(CROSSING_FRAMES)
        self._growth.stream_closed(stream)

    def bytes_to_come(self, stream: Stream) -> int:
        """Return how much of a stream's DATA frame has not arrived; called by the stream."""
        return self._body_left if stream is self._body_stream else 0

    def credit_returned(self, stream: Stream) -> None:
        """Consider a larger window; called by the stream."""
        if self._growth.wants_probe(stream) and self.state.can_receive:
            self._growth.probe_sent(self._send_ping(), stream)


__all__ = ["Connection", "RemoteProtocolError"]
