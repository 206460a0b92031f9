"""
One stream: what it may still send, what the peer may still send, and who uses it.

`Connection` owns every stream, feeds it the peer's frames and forgets it when it is closed. `write` and `consumed`
are the hot path: they touch the outbox directly and make no call in the common case. What cannot be sent at once waits
in the stream's own queue, each piece with the flags of the moment at which it was written. Rules: spec.md §3 and §4.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from warp_twisted.wire.errors import (
    QueueOverflow,
    RelayedTunnelLost,
    StreamEnded,
    StreamReset,
    TooMuchConsumed,
    WindowOverflow,
    WireError,
)
from warp_twisted.wire.frames import (
    FIN,
    HEADER,
    HEADER_BYTES,
    INITIAL_WINDOW_BYTES,
    MAX_CREDIT,
    RST,
    SYN,
    WINDOW_UPDATE_WORD,
    ResetReason,
)
from warp_twisted.wire.outbox import PREFERRED_BYTES, Outbox
from warp_twisted.wire.states import STREAM_TRANSITIONS, StreamEvent, StreamState

NO_CREDIT = -1  # allows nothing, not even a frame of no bytes: the state says that this direction is over

_pack = HEADER.pack


class StreamReceiver(Protocol):
    """Whoever uses a stream; each method is called synchronously while the connection receives data."""

    def data_received(self, data: bytes) -> None:
        """
        Take bytes from the peer, never empty.

        When they are passed on, call `Stream.consumed` with their count; until then the peer's credit shrinks.
        """

    def end_received(self) -> None:
        """The peer half-closed: no data follows."""

    def credit_received(self) -> None:
        """`Stream.write` had returned False, or the stream was ended with a queue, and now everything went out."""

    def stream_lost(self, error: WireError) -> None:
        """The peer reset the stream or the tunnel is gone. The last call, made once."""


class Discard:
    """The receiver of a stream that nobody uses: bytes are dropped, and their credit with them."""

    def data_received(self, data: bytes) -> None:
        """Drop the bytes."""

    def end_received(self) -> None:
        """Nobody needs to know."""

    def credit_received(self) -> None:
        """Nobody writes."""

    def stream_lost(self, error: WireError) -> None:
        """Nobody needs to know."""


DISCARD = Discard()


class StreamOwner(Protocol):
    """What a stream needs of its connection."""

    def stream_closed(self, stream: "Stream") -> None:
        """The stream is over; forget it."""

    def bytes_to_come(self, stream: "Stream") -> int:
        """Return how much of a DATA frame of the stream has not arrived, of which its receiver is just hearing."""

    def credit_returned(self, stream: "Stream") -> None:
        """The stream just returned half a window or more of credit."""


class Stream:
    """
    One logical byte pipe inside a tunnel; made by `Connection` only.

    :ivar id: odd if the agent opened it, even if the edge did.
    :ivar receiver: who hears of the peer's bytes; may be replaced at any time.
    :ivar state: see `wire.states`.
    :ivar credit: bytes that the peer still takes; `NO_CREDIT` when the state allows no sending.
    :ivar receive_credit: bytes the peer may still send; `NO_CREDIT` when the state allows no receiving.
    :ivar window: the size of the receive window, 256 KiB or grown.
    :ivar returned: bytes of credit returned over the stream's life, growth not counted.
    :ivar is_acknowledged: whether the peer acknowledged the stream that we opened.
    :ivar peer_heard: set when the peer says that it received bytes of ours before it sent what follows (spec.md §3);
        whoever wants to know whether that is so of its own bytes sets it to False before it writes them.
    :ivar flags: what the frame with the bytes that are written next carries.
    :ivar mark: ACK if the peer asked to hear the same of us, else 0.
    """

    __slots__ = (
        "_is_blocked",
        "_outbox",
        "_owed",
        "_owner",
        "_queue",
        "_queue_limit",
        "_queued",
        "_update_at",
        "credit",
        "flags",
        "id",
        "is_acknowledged",
        "mark",
        "peer_heard",
        "receive_credit",
        "receiver",
        "returned",
        "state",
        "window",
    )

    def __init__(self, stream_id: int, owner: StreamOwner, outbox: Outbox, queue_limit: int, flags: int) -> None:
        self.id = stream_id
        self.receiver: StreamReceiver = DISCARD
        self.state = StreamState.OPEN
        self.receive_credit = self.window = INITIAL_WINDOW_BYTES
        self.returned = 0
        self.is_acknowledged = False
        self.peer_heard = False
        self.mark = 0
        self._owner = owner
        self._outbox = outbox
        self.credit = INITIAL_WINDOW_BYTES
        self.flags = flags  # SYN, or ACK each time that bytes came, until a frame has carried it
        self._is_blocked = False
        self._owed = 0
        self._update_at = INITIAL_WINDOW_BYTES // 2
        self._queue: deque[tuple[int, bytes | memoryview]] | None = None  # flags and payload
        self._queue_limit = queue_limit
        self._queued = 0

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.state.value}>"

    @property
    def is_blocked(self) -> bool:
        """Whether `write` returned False and `credit_received` has not followed yet."""
        return self._is_blocked

    @property
    def unread_bytes(self) -> int:
        """Bytes delivered and not yet consumed."""
        return self.window - self.receive_credit - self._owed if self.state.can_receive else 0

    @property
    def queued_bytes(self) -> int:
        """Bytes written that wait for the peer's credit or for their turn among the tunnel's streams."""
        return self._queued

    @property
    def bytes_to_come(self) -> int:
        """While `data_received` is called: how much of the same DATA frame follows; 0 if that was its end."""
        return self._owner.bytes_to_come(self)

    def write(self, data: bytes) -> bool:
        """
        Send bytes, or queue them: without the peer's credit, or while others' bytes wait for their turn.

        :returns: False if the writer must stop until `credit_received`, also when the credit was just enough. A further
            write is still queued, until the stream's or the connection's limit is reached: then the stream is cut and
            its receiver hears `QueueOverflow`. Writing to a closed stream does nothing and returns False.
        :raises StreamEnded: after `end`.
        """
        size = len(data)
        if 0 < size <= self.credit:
            outbox = self._outbox
            waiting = outbox.size + size + HEADER_BYTES
            if waiting < outbox.direct_limit:
                self.credit = left = self.credit - size
                frames = outbox.frames
                if not frames:
                    outbox.wake()
                frames.append(_pack(self.flags, self.id, size))
                frames.append(data)
                self.flags = 0
                outbox.size = waiting
                if left:
                    return True
                self._is_blocked = True
                return False
        return self._write_slowly(data)

    def _write_slowly(self, data: bytes) -> bool:
        if self.state is StreamState.CLOSED:
            return False
        if not self.state.can_write:
            raise StreamEnded(f"stream {self.id} was ended; nothing more can be written")
        if not data:
            return not self._is_blocked
        if self._queued - self.credit >= self._queue_limit:
            self._overflow(f"stream {self.id} was cut: {self._queued - self.credit} bytes wait for credit")
            return False
        outbox = self._outbox
        if self._queue is None:
            self._queue = deque()
        if self.flags & SYN and outbox.size >= outbox.direct_limit:
            self.announce()  # whatever becomes of the queue, the peer must have heard of the stream
        self._queue.append((self.flags, data))
        self.flags = 0
        self._queued += len(data)
        outbox.queued += len(data)
        if outbox.size + outbox.queued > outbox.limit:
            self._overflow(f"stream {self.id} was cut: the tunnel holds {outbox.size + outbox.queued} unsent bytes")
            return False
        self._send_queued(is_preferred=self._queued <= PREFERRED_BYTES)
        self._is_blocked = bool(self._queued) or not self.credit
        return not self._is_blocked

    def _send_queued(self, *, is_preferred: bool) -> None:
        """Send what there is credit for, or wait for a turn where others wait already."""
        outbox = self._outbox
        room = outbox.direct_limit - outbox.size
        if room > 0 and self.credit:
            if not outbox.frames:
                outbox.wake()
            self.take_turn(room)
        if self._queued and self.credit:
            outbox.wait(self, is_preferred=is_preferred)

    def _overflow(self, reason: str) -> None:
        receiver = self.receiver
        self.reset()
        receiver.stream_lost(QueueOverflow(reason))

    def end(self) -> None:
        """Half-close: send FIN after what is queued. Does nothing the second time or on a closed stream."""
        if not self.state.can_write:
            return
        if self._queued:
            self._is_blocked = True
            self._advance(StreamEvent.LOCAL_END_QUEUED)
        else:
            self._send_end()

    def _send_end(self) -> None:
        self._outbox.put(_pack(self.flags | FIN, self.id, 0))
        self.flags = 0
        self._advance(StreamEvent.LOCAL_END)

    def reset(self, reason: ResetReason = ResetReason.NONE) -> None:
        """Cut the stream now: queued bytes are dropped, RST is sent, the receiver hears nothing more."""
        if self.state is StreamState.CLOSED:
            return
        self._outbox.put(_pack(WINDOW_UPDATE_WORD | self.flags | RST, self.id, reason))
        self.flags = 0
        self._advance(StreamEvent.CUT)

    def consumed(self, count: int) -> None:
        """
        Return credit for bytes that were passed on.

        Credit goes back in lumps of half a window, so small reads do not cost a frame each (spec.md §4).

        :param count: bytes of `data_received` passed on since the last call.
        :raises TooMuchConsumed: at the next lump, if more was returned than received.
        """
        self._owed = owed = self._owed + count
        if owed >= self._update_at:
            self._return_credit()

    def _return_credit(self) -> None:
        owed, self._owed = self._owed, 0
        if not self.state.can_receive:
            return
        if owed > self.window - self.receive_credit:
            raise TooMuchConsumed(f"stream {self.id}: {owed} bytes returned are more than it delivered")
        self._grant(owed)
        self.returned += owed
        self._owner.credit_returned(self)

    def grow(self, extra: int) -> None:
        """Enlarge the receive window, for `wire.windows`."""
        if self.state.can_receive:
            self.window += extra
            self._update_at = self.window // 2
            self._grant(extra)

    def _grant(self, credit: int) -> None:
        self.receive_credit += credit
        flags = self.flags
        if self._queue:
            flags = 0  # an ACK must not overtake bytes that were written before it was due (spec.md §7)
        else:
            self.flags = 0
        self._outbox.put(_pack(WINDOW_UPDATE_WORD | flags, self.id, credit))

    def announce(self) -> None:
        """Send SYN or ACK in a frame of its own, unless a frame has carried it."""
        if self.flags:
            self._outbox.put(_pack(WINDOW_UPDATE_WORD | self.flags, self.id, 0))
            self.flags = 0

    def credit_granted(self, credit: int) -> None:
        """
        Note the peer's window update.

        :raises WindowOverflow: if the sum is more than the protocol can count.
        """
        if not self.state.can_send:
            return
        self.credit += credit
        if self.credit > MAX_CREDIT:
            raise WindowOverflow(f"stream {self.id}: {self.credit} bytes of credit are too many")
        if self._queued:
            self._send_queued(is_preferred=False)
        self.turn_taken()

    def take_turn(self, most: int) -> int:
        """Put the next queued bytes into the outbox, as far as there is credit; see `outbox.Writer`."""
        queue = self._queue
        outbox = self._outbox
        taken = 0
        while queue and taken < most and self.credit > 0:
            flags, piece = queue.popleft()
            size = len(piece)
            room = min(self.credit, most - taken)
            if size > room:
                view = memoryview(piece)
                queue.appendleft((0, view[room:]))
                piece = view[:room]
                size = room
            taken += size
            self.credit -= size
            outbox.frames.append(_pack(flags, self.id, size))
            outbox.frames.append(piece)
            outbox.size += size + HEADER_BYTES
        self._queued -= taken
        outbox.queued -= taken
        if taken and not self._queued:
            self._queue = None
            if not self.state.can_write:
                self._send_end()
        return taken

    def turn_taken(self) -> None:
        """Tell the receiver that it may write again, unless bytes wait or the next ones would wait for credit."""
        if self._is_blocked and not self._queued and self.credit:
            self._is_blocked = False
            receiver = self.receiver
            if self.state is StreamState.CLOSED:
                self.receiver = DISCARD
            receiver.credit_received()

    def peer_ended(self) -> None:
        """Note the peer's FIN."""
        receiver = self.receiver
        self._advance(StreamEvent.REMOTE_END)
        receiver.end_received()

    def peer_reset(self, reason: int) -> None:
        """Note the peer's RST, for a `ResetReason` or one of a newer release."""
        kind = RelayedTunnelLost if reason == ResetReason.TUNNEL_LOST else StreamReset
        self.lose(kind(f"stream {self.id} was reset by the peer"))

    def lose(self, error: WireError) -> None:
        """Close without a word to the peer, and tell the receiver why."""
        receiver = self.receiver
        self._advance(StreamEvent.CUT)
        receiver.stream_lost(error)

    def _advance(self, event: StreamEvent) -> None:
        state = self.state = STREAM_TRANSITIONS[self.state, event]
        if not state.can_send:
            self.credit = NO_CREDIT
        if not state.can_receive:
            self.receive_credit = NO_CREDIT
        if state is StreamState.CLOSED:
            if event is not StreamEvent.LOCAL_END or not self._is_blocked:  # else `turn_taken` has still to tell it
                self.receiver = DISCARD
            self._outbox.queued -= self._queued
            self._queued = 0
            self._queue = None
            self._outbox.leave(self)
            self._owner.stream_closed(self)


StreamOpened = Callable[[Stream], None]
