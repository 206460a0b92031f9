"""
The life of a stream, as a table: which event leads from which state to which.

All that decides whether a stream may still send or receive is here. The table does not know which side of the
tunnel it serves; spec.md §3 shows it in words.
"""

from enum import Enum


class StreamState(Enum):
    """Which directions of a stream still carry data."""

    OPEN = "open"
    LOCAL_ENDED = "local ended"  # we sent FIN; the peer may still send
    REMOTE_ENDED = "remote ended"  # the peer sent FIN; we may still send
    CLOSED = "closed"


class StreamEvent(Enum):
    """What may happen to a stream, after it was opened by SYN."""

    LOCAL_END = "FIN sent"
    REMOTE_END = "FIN received"
    CUT = "RST sent or received, or the tunnel lost"


TRANSITIONS: dict[tuple[StreamState, StreamEvent], StreamState] = {
    (StreamState.OPEN, StreamEvent.LOCAL_END): StreamState.LOCAL_ENDED,
    (StreamState.OPEN, StreamEvent.REMOTE_END): StreamState.REMOTE_ENDED,
    (StreamState.OPEN, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, StreamEvent.REMOTE_END): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, StreamEvent.LOCAL_END): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, StreamEvent.CUT): StreamState.CLOSED,
}
