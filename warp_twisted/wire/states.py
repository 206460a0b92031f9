"""
The life of a stream and of a connection, as tables: which event leads from which state to which.

All that decides whether a stream may still send or receive, and whether a connection takes or opens streams, is here.
The tables do not know which side of the tunnel they serve; spec.md §3 and §5 show in words what is seen on the wire.
`Stream.credit` and `Stream.receive_credit` are -1 where the state allows no more bytes in that direction: copies of it
for the hot path, which then compares numbers only. `wire.invariants` checks that they agree.
"""

from enum import Enum


class StreamState(Enum):
    """
    Which directions of a stream still carry data.

    :ivar can_write: whether the user of the stream may write.
    :ivar can_send: whether frames with data or FIN may still be sent.
    :ivar can_receive: whether the peer may still send data or FIN.
    """

    can_write: bool
    can_send: bool
    can_receive: bool

    def __new__(cls, value: str, can_write: bool, can_send: bool, can_receive: bool) -> "StreamState":
        state = object.__new__(cls)
        state._value_ = value
        state.can_write = can_write
        state.can_send = can_send
        state.can_receive = can_receive
        return state

    OPEN = ("open", True, True, True)
    LOCAL_ENDING = ("local ending", False, True, True)  # our FIN waits behind bytes that wait for credit
    LOCAL_ENDED = ("local ended", False, False, True)  # we sent FIN; the peer may still send
    REMOTE_ENDED = ("remote ended", True, True, False)  # the peer sent FIN; we may still send
    REMOTE_ENDED_LOCAL_ENDING = ("remote ended, local ending", False, True, False)
    CLOSED = ("closed", False, False, False)


class StreamEvent(Enum):
    """What may happen to a stream, after it was opened by SYN."""

    LOCAL_END_QUEUED = "end asked for, bytes are queued"
    LOCAL_END = "FIN sent"
    REMOTE_END = "FIN received"
    CUT = "RST sent or received, or the tunnel lost"


STREAM_TRANSITIONS: dict[tuple[StreamState, StreamEvent], StreamState] = {
    (StreamState.OPEN, StreamEvent.LOCAL_END_QUEUED): StreamState.LOCAL_ENDING,
    (StreamState.OPEN, StreamEvent.LOCAL_END): StreamState.LOCAL_ENDED,
    (StreamState.OPEN, StreamEvent.REMOTE_END): StreamState.REMOTE_ENDED,
    (StreamState.OPEN, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.LOCAL_ENDING, StreamEvent.LOCAL_END): StreamState.LOCAL_ENDED,
    (StreamState.LOCAL_ENDING, StreamEvent.REMOTE_END): StreamState.REMOTE_ENDED_LOCAL_ENDING,
    (StreamState.LOCAL_ENDING, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, StreamEvent.REMOTE_END): StreamState.CLOSED,
    (StreamState.LOCAL_ENDED, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, StreamEvent.LOCAL_END_QUEUED): StreamState.REMOTE_ENDED_LOCAL_ENDING,
    (StreamState.REMOTE_ENDED, StreamEvent.LOCAL_END): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED, StreamEvent.CUT): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED_LOCAL_ENDING, StreamEvent.LOCAL_END): StreamState.CLOSED,
    (StreamState.REMOTE_ENDED_LOCAL_ENDING, StreamEvent.CUT): StreamState.CLOSED,
}


class ConnectionState(Enum):
    """
    Who of the two sides takes new streams.

    :ivar can_accept: whether streams that the peer opens are taken.
    :ivar is_draining: whether we said that none are taken any more.
    :ivar can_receive: whether frames are still obeyed.
    """

    can_accept: bool
    is_draining: bool
    can_receive: bool

    def __new__(cls, value: str, can_accept: bool, is_draining: bool, can_receive: bool) -> "ConnectionState":
        state = object.__new__(cls)
        state._value_ = value
        state.can_accept = can_accept
        state.is_draining = is_draining
        state.can_receive = can_receive
        return state

    OPEN = ("open", True, False, True)  # the only state in which streams can be opened
    DRAINING = ("draining", False, True, True)  # we said that we take no new streams
    PEER_DRAINING = ("peer draining", True, False, True)  # the peer said so
    BOTH_DRAINING = ("both draining", False, True, True)
    FAILED = ("failed", False, False, False)  # a frame or a receiver failed; only the reason is still sent
    LOST = ("lost", False, False, False)  # the transport is gone


class ConnectionEvent(Enum):
    """What may happen to a connection."""

    DRAIN = "go-away sent"
    PEER_DRAIN = "go-away received"
    FAILURE = "a frame or a receiver failed"
    LOSS = "the transport is gone"


CONNECTION_TRANSITIONS: dict[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (ConnectionState.OPEN, ConnectionEvent.DRAIN): ConnectionState.DRAINING,
    (ConnectionState.OPEN, ConnectionEvent.PEER_DRAIN): ConnectionState.PEER_DRAINING,
    (ConnectionState.OPEN, ConnectionEvent.FAILURE): ConnectionState.FAILED,
    (ConnectionState.OPEN, ConnectionEvent.LOSS): ConnectionState.LOST,
    (ConnectionState.DRAINING, ConnectionEvent.DRAIN): ConnectionState.DRAINING,
    (ConnectionState.DRAINING, ConnectionEvent.PEER_DRAIN): ConnectionState.BOTH_DRAINING,
    (ConnectionState.DRAINING, ConnectionEvent.FAILURE): ConnectionState.FAILED,
    (ConnectionState.DRAINING, ConnectionEvent.LOSS): ConnectionState.LOST,
    (ConnectionState.PEER_DRAINING, ConnectionEvent.DRAIN): ConnectionState.BOTH_DRAINING,
    (ConnectionState.PEER_DRAINING, ConnectionEvent.PEER_DRAIN): ConnectionState.PEER_DRAINING,
    (ConnectionState.PEER_DRAINING, ConnectionEvent.FAILURE): ConnectionState.FAILED,
    (ConnectionState.PEER_DRAINING, ConnectionEvent.LOSS): ConnectionState.LOST,
    (ConnectionState.BOTH_DRAINING, ConnectionEvent.DRAIN): ConnectionState.BOTH_DRAINING,
    (ConnectionState.BOTH_DRAINING, ConnectionEvent.PEER_DRAIN): ConnectionState.BOTH_DRAINING,
    (ConnectionState.BOTH_DRAINING, ConnectionEvent.FAILURE): ConnectionState.FAILED,
    (ConnectionState.BOTH_DRAINING, ConnectionEvent.LOSS): ConnectionState.LOST,
    (ConnectionState.FAILED, ConnectionEvent.DRAIN): ConnectionState.FAILED,
    (ConnectionState.FAILED, ConnectionEvent.PEER_DRAIN): ConnectionState.FAILED,
    (ConnectionState.FAILED, ConnectionEvent.FAILURE): ConnectionState.FAILED,
    (ConnectionState.FAILED, ConnectionEvent.LOSS): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.DRAIN): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.PEER_DRAIN): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.FAILURE): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.LOSS): ConnectionState.LOST,
}
