"""
An upgraded connection: bytes of the visitor go to the origin and back, unread.

Begins after the 101 went out and ends when both sides have ended; each direction ends by itself (`SpliceState`), as on
the TCP connection that it stands for. It takes the place of the exchange at the visitor's connection and at the stream,
with the same rules for backpressure, and goes on at its pace.
"""

from collections.abc import Callable

from warp_twisted.edge.exchange.interfaces import Visitor
from warp_twisted.edge.exchange.pacing import Pacing
from warp_twisted.edge.exchange.states import SPLICE_TRANSITIONS, Outcome, SpliceEvent, SpliceState
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.wire.errors import WireError

Ended = Callable[[Outcome, int, int], None]

_ENDED = SpliceState.ENDED


class Splice:
    """
    Both directions of one upgraded connection.

    :param origin: a stream that is borrowed; it is not used for anything else afterwards.
    :param ended: called once, with the bytes that went to the origin and to the visitor.
    :param pacing: how fast bytes pass; None if nothing limits that.
    """

    wants_data = True
    has_more = False

    def __init__(self, visitor: Visitor, origin: OriginStream, ended: Ended, pacing: Pacing | None = None) -> None:
        self._visitor = visitor
        self._visitors = visitor.visitors
        self._origin = origin
        self._stream = origin.stream
        self._ended = ended
        self._pacing = pacing
        self._held = b""  # of the visitor's bytes, by a limit of bytes
        self._is_ending = False  # when what of the origin's bytes waits has passed
        self._owed = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._state = SpliceState.BOTH

    def begin(self) -> None:
        """Take over; bytes that the visitor sent already go first."""
        visitor = self._visitor
        visitor.hand_over(self)
        self._stream.receiver = self
        if self._pacing is not None:
            self._pacing.paced = self
        self._touch()
        visitor.resume_reading()
        held = visitor.take_held()
        if held:
            self.request_received(held)
        if visitor.has_ended:
            self.visitor_ended()

    def _touch(self) -> None:
        timeouts = self._visitors.timeouts
        self._visitor.wait(timeouts.half_closed if self._state is SpliceState.TO_ORIGIN else timeouts.upgraded)

    # What the visitor's connection says.

    def request_received(self, data: bytes) -> bytes:
        """Pass the visitor's bytes on; nothing is left."""
        if self._pacing is None:
            self._send(data)
            return b""
        data = self._held + data
        admitted = self._pacing.admit(len(data))
        self._held = data[admitted:]
        if admitted:
            self._send(data[:admitted])
        if self._held and self._state is not _ENDED:
            self._visitor.pause_reading()
            self._count_kept()
        return b""

    def _send(self, data: bytes) -> None:
        self._bytes_in += len(data)
        self._touch()
        if not self._stream.write(data) and self._state is not _ENDED:
            self._visitor.pause_reading()
            self._count_kept(len(data))

    def _count_kept(self, least: int = 0) -> None:
        """Count what is kept here, and of what was written just now as much as the tunnel may keep."""
        kept = max(least, self._stream.queued_bytes)
        if self._pacing is not None:
            kept += len(self._held) + self._pacing.waiting_bytes
        self._visitor.count_kept(kept)

    def request_due(self) -> None:
        """More of the visitor's bytes may pass, as far as limits of bytes are asked."""
        if self._state is not _ENDED:
            if self._held:
                self.request_received(b"")
                if self._visitor.has_ended:
                    self.visitor_ended()
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        """Read the visitor again, if both the stream and the limits of bytes take more."""
        if not self._held and not self._stream.is_blocked and self._state is not _ENDED:
            self._count_kept()
            self._visitor.resume_reading()

    @property
    def is_blocked(self) -> bool:
        """Whether the stream takes no more now."""
        return self._stream.is_blocked

    def take_turn(self) -> None:
        """Nothing waits for a turn."""

    def visitor_drained(self) -> None:
        """The visitor's transport took everything; so credit goes back."""
        owed, self._owed = self._owed, 0
        if owed:
            self._stream.consumed(owed)
        self._touch()
        if self._state is SpliceState.TO_ORIGIN:
            self._visitor.end_sending()

    def visitor_ended(self) -> bool:
        """The visitor sends no more: tell the origin, behind what a limit of bytes holds back; it may go on."""
        if not self._held and (self._state, SpliceEvent.VISITOR_ENDED) in SPLICE_TRANSITIONS:
            self._advance(SpliceEvent.VISITOR_ENDED)
            if self._state is _ENDED:
                self._let_end()
            else:
                self._stream.end()
        return True

    def visitor_lost(self) -> None:
        """The visitor left: let what it sent last reach the origin, then end."""
        if self._state is not _ENDED:
            self._advance(SpliceEvent.CUT)
            if self._held:
                self._send(self._held)  # as nobody can send more behind it
            self._let_end()

    def _let_end(self) -> None:
        """Let go of the stream behind what was written to it."""
        self._visitors.let_end(self._origin)
        self._ended(Outcome.UPGRADE_ENDED, self._bytes_in, self._bytes_out)

    def timed_out(self) -> None:
        """Nothing moved for too long, unless it may not."""
        if self._pacing is not None and self._pacing.is_waiting and not self._visitor.is_clogged:
            self._visitor.wait(self._visitors.timeouts.visitor_stall)
            return
        self._end(Outcome.UPGRADE_CUT if self._visitor.is_clogged else Outcome.UPGRADE_ENDED)

    # What the stream says.

    def data_received(self, data: bytes) -> None:
        """Pass the origin's bytes on."""
        if self._pacing is not None:
            data = self._pacing.take(data)
            self._count_kept()
            if not data:
                return
        visitor = self._visitor
        self._bytes_out += len(data)
        visitor.write(data)
        if visitor.is_clogged:
            self._owed += len(data)
        else:
            self._stream.consumed(len(data))
            self._touch()
            if self._pacing is not None and self._pacing.waiting_bytes:
                visitor.wait(self._visitors.timeouts.visitor_stall)  # as of who reads slowly: see `Exchange._passed_on`

    def answer_due(self) -> None:
        """More of the origin's bytes may pass, as far as limits of bytes are asked."""
        if self._state is _ENDED:
            return
        self.data_received(b"")
        if self._is_ending and self._pacing is not None and not self._pacing.waiting_bytes:
            self._is_ending = False
            self._origin_ended()

    def end_received(self) -> None:
        """The origin sends no more: tell the visitor, behind what a limit of bytes holds back; it may go on."""
        if self._pacing is not None and self._pacing.waiting_bytes:
            self._is_ending = True
        else:
            self._origin_ended()

    def _origin_ended(self) -> None:
        if self._state is SpliceState.TO_VISITOR:
            self._end(Outcome.UPGRADE_ENDED, SpliceEvent.ORIGIN_ENDED)
            return
        self._advance(SpliceEvent.ORIGIN_ENDED)
        if not self._visitor.is_clogged:  # else when what waits is gone: see `visitor_drained`
            self._touch()
            self._visitor.end_sending()

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        self._visitor.count_kept(0)
        self._go_on_reading()

    def stream_lost(self, error: WireError) -> None:
        """The origin cut its connection, or the tunnel is gone."""
        self._end(Outcome.UPGRADE_CUT)

    def _end(self, outcome: Outcome, event: SpliceEvent = SpliceEvent.CUT) -> None:
        if self._state is _ENDED:
            return
        self._advance(event)
        self._origin.discard()
        self._ended(outcome, self._bytes_in, self._bytes_out)

    def _advance(self, event: SpliceEvent) -> None:
        self._state = SPLICE_TRANSITIONS[self._state, event]
