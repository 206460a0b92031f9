"""
The life of a tunnel as a table, and how one ended.

Whether streams may be opened is its connection's to know (`wire.states.ConnectionState`): a peer may announce its drain
and take streams for a moment longer. Whether the transport takes bytes now is no state of a tunnel's life. The second
table is that of a stream that serves as a transport.
"""

from dataclasses import dataclass
from enum import Enum

from warp_twisted.wire.errors import PeerWentAway, TunnelFailed, TunnelSilent, WireError
from warp_twisted.wire.frames import GoAwayCode


class TunnelState(Enum):
    """How far a tunnel is."""

    NEW = "new"  # the control stream is not known yet; the delegate has heard nothing
    OPEN = "open"
    PEER_DRAINING = "peer draining"  # open, and the delegate has heard that the peer drains
    ENDED = "ended"  # everybody has heard; the last bytes may still go out
    DISCONNECTED = "disconnected"


class TunnelEvent(Enum):
    """What may happen to a tunnel."""

    CONTROL_STREAM = "the control stream was opened"
    PEER_DRAIN = "the peer sent Drain or go-away NORMAL"
    END = "either side ends it, or the transport is lost"
    DISCONNECTION = "the transport is gone"


TUNNEL_TRANSITIONS: dict[tuple[TunnelState, TunnelEvent], TunnelState] = {
    (TunnelState.NEW, TunnelEvent.CONTROL_STREAM): TunnelState.OPEN,
    (TunnelState.NEW, TunnelEvent.PEER_DRAIN): TunnelState.NEW,
    (TunnelState.NEW, TunnelEvent.END): TunnelState.ENDED,
    (TunnelState.OPEN, TunnelEvent.PEER_DRAIN): TunnelState.PEER_DRAINING,
    (TunnelState.OPEN, TunnelEvent.END): TunnelState.ENDED,
    (TunnelState.PEER_DRAINING, TunnelEvent.PEER_DRAIN): TunnelState.PEER_DRAINING,
    (TunnelState.PEER_DRAINING, TunnelEvent.END): TunnelState.ENDED,
    (TunnelState.ENDED, TunnelEvent.DISCONNECTION): TunnelState.DISCONNECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How a tunnel ended.

    :ivar error: what the delegate and the streams hear; its text is the reason, for people.
    :ivar code: of the go-away frame that ended it (spec.md §5); None if the transport was lost without one.
    :ivar by_peer: whether the peer sent that frame.
    """

    error: WireError
    code: int | None = None
    by_peer: bool = False


def own_failure(exception: Exception) -> Outcome:
    """A receiver, a writer or the delegate raised: the tunnel ends, because nobody knows what is left of it."""
    error = TunnelFailed(f"the tunnel ended by an error of this side: {exception!r}")
    return Outcome(code=GoAwayCode.INTERNAL_ERROR, error=error)


def peers_end(code: int) -> Outcome:
    """The peer ended the tunnel; its code may be one of a newer release."""
    name = GoAwayCode(code).name if code in GoAwayCode.__members__.values() else f"code {code}"
    return Outcome(code=code, by_peer=True, error=PeerWentAway(f"the peer ended the tunnel: {name}"))


def silence(reason: str) -> Outcome:
    """The peer said too little, too late."""
    return Outcome(code=GoAwayCode.TIMED_OUT, error=TunnelSilent(reason))


class TransportState(Enum):
    """How far a stream that serves as a transport is."""

    OPEN = "open"
    LOSING = "losing"  # `loseConnection` was called while a producer still writes
    DISCONNECTING = "disconnecting"  # nothing more is written or delivered; what is queued still goes out
    LOST = "lost"  # the protocol has heard `connectionLost`


class TransportEvent(Enum):
    """What may happen to such a transport."""

    LOSE_AFTER_PRODUCER = "loseConnection, while a producer is registered"
    LOSE = "loseConnection, abortConnection, or the end of a peer whose protocol knows no half-close"
    LOSS = "everything was sent, or the stream was cut"


TRANSPORT_TRANSITIONS: dict[tuple[TransportState, TransportEvent], TransportState] = {
    (TransportState.OPEN, TransportEvent.LOSE_AFTER_PRODUCER): TransportState.LOSING,
    (TransportState.OPEN, TransportEvent.LOSE): TransportState.DISCONNECTING,
    (TransportState.OPEN, TransportEvent.LOSS): TransportState.LOST,
    (TransportState.LOSING, TransportEvent.LOSE_AFTER_PRODUCER): TransportState.LOSING,
    (TransportState.LOSING, TransportEvent.LOSE): TransportState.DISCONNECTING,
    (TransportState.LOSING, TransportEvent.LOSS): TransportState.LOST,
    (TransportState.DISCONNECTING, TransportEvent.LOSE_AFTER_PRODUCER): TransportState.DISCONNECTING,
    (TransportState.DISCONNECTING, TransportEvent.LOSE): TransportState.DISCONNECTING,
    (TransportState.DISCONNECTING, TransportEvent.LOSS): TransportState.LOST,
    (TransportState.LOST, TransportEvent.LOSE_AFTER_PRODUCER): TransportState.LOST,
    (TransportState.LOST, TransportEvent.LOSE): TransportState.LOST,
    (TransportState.LOST, TransportEvent.LOSS): TransportState.LOST,
}
