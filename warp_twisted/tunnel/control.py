"""
The control stream: control messages over stream 1, in both directions.

Decides nothing about their meaning; the delegate of the tunnel does. If the stream ends or breaks, so does the tunnel.
"""

from collections.abc import Callable, Collection

from warp_twisted.wire.control import Accepted, ControlMessage, Hello, MessageReader, encode_message
from warp_twisted.wire.errors import CannotOpenStream, ConnectionLost, WireError
from warp_twisted.wire.releases import may_send
from warp_twisted.wire.streams import Stream


class ControlChannel:
    """
    Receiver of the control stream.

    :param received: called with each message.
    :param ended: called when the stream is over and the tunnel still there.
    """

    __slots__ = ("_ended", "_known", "_reader", "_received", "_stream")

    def __init__(self, received: Callable[[ControlMessage], None], ended: Callable[[WireError], None]) -> None:
        self._received = received
        self._ended = ended
        self._reader = MessageReader()
        self._stream: Stream | None = None
        self._known: Collection[str] = ()

    def attach(self, stream: Stream) -> None:
        """Use a stream, opened by either side, as the control stream."""
        self._stream = stream
        stream.receiver = self

    def send(self, message: ControlMessage) -> bool:
        """
        Send a message; if the peer does not read and its credit and the queue are used up, the tunnel ends.

        :returns: whether it was sent: one of a kind that the peer has not said it knows is not (spec.md §9).
        :raises CannotOpenStream: if the control stream has not been opened.
        """
        if self._stream is None:
            raise CannotOpenStream("the control stream is not open")
        if not may_send(message, self._known):
            return False
        self._stream.write(encode_message(message))
        return True

    def close(self) -> None:
        """Let go of the stream and of who listens; the tunnel is over."""
        self._stream = None
        self._received = self._ended = _ignore

    def data_received(self, data: bytes) -> None:
        """Pass on every message that is complete."""
        for message in self._reader.receive_data(data):
            if isinstance(message, Hello | Accepted):
                self._known = message.knows
            self._received(message)
        if self._stream is not None:
            self._stream.consumed(len(data))

    def end_received(self) -> None:
        """The peer has nothing more to say, so the tunnel is over."""
        self._ended(ConnectionLost("the peer ended the control stream"))

    def credit_received(self) -> None:
        """Messages are queued by the stream; nobody waits."""

    def stream_lost(self, error: WireError) -> None:
        """The peer cut the control stream, or the tunnel is gone."""
        self._ended(error)


def _ignore(what: object) -> None:
    """Nobody listens any more."""
