"""
An upgraded connection: bytes of the visitor go to the origin and back, unread.

Begins after the 101 went out and ends when either side does. It takes the place of the exchange at the visitor's
connection and at the stream, with the same rules for backpressure.
"""

from collections.abc import Callable

from warp_twisted.edge.exchange.interfaces import Visitor
from warp_twisted.edge.exchange.states import Outcome
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.wire.errors import WireError

Ended = Callable[[Outcome, int, int], None]


class Splice:
    """
    Both directions of one upgraded connection.

    :param origin: a stream that is borrowed; it is not used for anything else afterwards.
    :param ended: called once, with the bytes that went to the origin and to the visitor.
    """

    wants_data = True
    has_more = False

    def __init__(self, visitor: Visitor, origin: OriginStream, ended: Ended) -> None:
        self._visitor = visitor
        self._visitors = visitor.visitors
        self._origin = origin
        self._stream = origin.stream
        self._ended = ended
        self._owed = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._has_ended = False

    def begin(self) -> None:
        """Take over; bytes that the visitor sent already go first."""
        visitor = self._visitor
        visitor.hand_over(self)
        self._stream.receiver = self
        self._touch()
        visitor.resume_reading()
        held = visitor.take_held()
        if held:
            self.request_received(held)

    def _touch(self) -> None:
        self._visitor.wait(self._visitors.timeouts.upgraded)

    # What the visitor's connection says.

    def request_received(self, data: bytes) -> bytes:
        """Pass the visitor's bytes on; nothing is left."""
        self._bytes_in += len(data)
        self._touch()
        if not self._stream.write(data) and not self._has_ended:
            self._visitor.pause_reading()
            self._visitor.count_kept(max(len(data), self._stream.queued_bytes))
        return b""

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

    def visitor_lost(self) -> None:
        """The visitor left: let what it sent last reach the origin, then end."""
        if not self._has_ended:
            self._has_ended = True
            self._visitors.let_end(self._origin)
            self._ended(Outcome.UPGRADE_ENDED, self._bytes_in, self._bytes_out)

    def timed_out(self) -> None:
        """Nothing moved for too long."""
        self._end(Outcome.UPGRADE_CUT if self._visitor.is_clogged else Outcome.UPGRADE_ENDED)

    # What the stream says.

    def data_received(self, data: bytes) -> None:
        """Pass the origin's bytes on."""
        visitor = self._visitor
        self._bytes_out += len(data)
        visitor.write(data)
        if visitor.is_clogged:
            self._owed += len(data)
        else:
            self._stream.consumed(len(data))
            self._touch()

    def end_received(self) -> None:
        """The origin is done; so is the visitor, after what it was sent."""
        self._end(Outcome.UPGRADE_ENDED)

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        self._visitor.count_kept(0)
        self._visitor.resume_reading()

    def stream_lost(self, error: WireError) -> None:
        """The origin cut its connection, or the tunnel is gone."""
        self._end(Outcome.UPGRADE_CUT)

    def _end(self, outcome: Outcome) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._origin.discard()
        self._ended(outcome, self._bytes_in, self._bytes_out)
