"""
An upgraded connection: bytes of the visitor go to the origin and back, unread.

Begins after the 101 went out and ends when either side does. It takes the place of the exchange at the visitor's
connection and at the stream, with the same rules for backpressure.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.wire.errors import WireError

if TYPE_CHECKING:
    from warp_twisted.edge.visitors.connection import VisitorConnection


class Splice:
    """
    Both directions of one upgraded connection.

    :param origin: a stream that is borrowed; it is not used for anything else afterwards.
    :param ended: called once with the bytes that went to the origin and to the visitor.
    """

    wants_data = True

    def __init__(self, visitor: "VisitorConnection", origin: OriginStream, ended: Callable[[int, int], None]) -> None:
        self._visitor = visitor
        self._visitors = visitor.visitors
        self._origin = origin
        self._stream = origin.stream
        self._ended = ended
        self._owed = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._is_over = False

    def begin(self) -> None:
        """Take over; bytes that the visitor sent already go first."""
        visitor = self._visitor
        visitor.exchange = self
        self._stream.receiver = self
        self._touch()
        visitor.resume_reading()
        held = visitor.take_held()
        if held:
            self.request_received(held)

    def _touch(self) -> None:
        self._visitor.wait(self._visitors.timeouts.upgraded)

    # What the visitor's connection says.

    def request_received(self, data: bytes) -> None:
        """Pass the visitor's bytes on."""
        self._bytes_in += len(data)
        self._touch()
        if not self._stream.write(data):
            self._visitor.pause_reading()

    def visitor_drained(self) -> None:
        """The visitor's transport took everything; so credit goes back."""
        owed, self._owed = self._owed, 0
        if owed:
            self._stream.consumed(owed)
        self._touch()

    def visitor_lost(self) -> None:
        """The visitor left: let what it sent last reach the origin, then end."""
        if not self._is_over:
            self._is_over = True
            self._visitors.let_end(self._origin)
            self._ended(self._bytes_in, self._bytes_out)

    def timed_out(self) -> None:
        """Nothing moved for too long."""
        self._over(must_abort=self._visitor.is_clogged)

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
        self._over(must_abort=False)

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        self._visitor.resume_reading()

    def stream_lost(self, error: WireError) -> None:
        """The origin cut its connection, or the tunnel is gone."""
        self._over(must_abort=True)

    def _over(self, *, must_abort: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._origin.discard()
        self._ended(self._bytes_in, self._bytes_out)
        self._visitor.exchange_failed(must_abort=must_abort)
