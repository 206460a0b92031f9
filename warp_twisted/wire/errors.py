"""
Everything that can go wrong on the wire, sorted by whose fault it is.

`RemoteProtocolError`: the peer broke the protocol; the tunnel ends with the error's `go_away_code`.
`LocalProtocolError`: our own code asked for something impossible; the tunnel is unharmed.
`StreamError`: one stream is over, the tunnel goes on. `ConnectionLost` and its kin: the tunnel is over.
"""

from typing import ClassVar

from warp_twisted.errors import TunnelLost, WarpError
from warp_twisted.wire.frames import GoAwayCode


class WireError(WarpError):
    """Something went wrong inside a tunnel."""


class LocalProtocolError(WireError):
    """The tunnel was asked for something that the protocol does not allow."""


class StreamEnded(LocalProtocolError):
    """Data was written to a stream after its end."""


class TooMuchConsumed(LocalProtocolError):
    """More bytes were returned as consumed than the stream delivered."""


class TooManyPings(LocalProtocolError):
    """Too many pings wait for an answer."""


class CannotOpenStream(LocalProtocolError):
    """The tunnel takes no new stream now: it is closing, full, or the peer has not acknowledged the last ones."""


class MessageTooLarge(LocalProtocolError):
    """A control message, preamble or reply is larger than the protocol allows."""


class RemoteProtocolError(WireError):
    """The peer broke the tunnel protocol."""

    go_away_code: ClassVar[GoAwayCode] = GoAwayCode.PROTOCOL_ERROR


class BadVersion(RemoteProtocolError):
    """The peer sent a frame of another protocol version."""


class BadFrameType(RemoteProtocolError):
    """The peer sent a frame of unknown type."""


class BadFlags(RemoteProtocolError):
    """The peer sent flags that do not exist or do not go together."""


class BadStreamId(RemoteProtocolError):
    """The peer used a stream id that is not its own to open, or that belongs to no stream."""


class DuplicateStream(RemoteProtocolError):
    """The peer opened a stream that is open already."""


class StreamNeverOpened(RemoteProtocolError):
    """The peer sent a frame for a stream that nobody opened."""


class DataAfterEnd(RemoteProtocolError):
    """The peer sent data or another end on a stream that it had ended."""


class WindowExceeded(RemoteProtocolError):
    """The peer sent more than the stream's window allows."""

    go_away_code = GoAwayCode.FLOW_CONTROL_ERROR


class WindowOverflow(RemoteProtocolError):
    """The peer granted more credit than the protocol can count."""

    go_away_code = GoAwayCode.FLOW_CONTROL_ERROR


class FrameTooLarge(RemoteProtocolError):
    """The peer announced a frame larger than any window."""

    go_away_code = GoAwayCode.FRAME_TOO_LARGE


class TooManyStreams(RemoteProtocolError):
    """The peer kept opening streams after being refused."""

    go_away_code = GoAwayCode.TOO_MANY_STREAMS


class Flood(RemoteProtocolError):
    """The peer asks for answers faster than it reads them, or sends too many frames that carry nothing."""

    go_away_code = GoAwayCode.FLOOD


class BadControlMessage(RemoteProtocolError):
    """The peer sent a control message that cannot be read."""

    go_away_code = GoAwayCode.CONTROL_ERROR


class ControlMessageTooLarge(RemoteProtocolError):
    """The peer announced a control message above the size limit."""

    go_away_code = GoAwayCode.CONTROL_ERROR


class StreamError(WireError):
    """One stream of the tunnel ended early."""


class StreamReset(StreamError):
    """The peer cut the stream."""


class RelayedTunnelLost(StreamReset):
    """The peer, an edge, cut the stream, as it lost the tunnel that it was joined to."""


class BadPreamble(StreamError):
    """The stream did not begin with a preamble of a known version."""


class BadOpeningReply(StreamError):
    """The answer to the stream's preamble cannot be read."""


class QueueOverflow(StreamError):
    """More was written to the stream than may wait for credit, so it was cut."""


class ConnectionLost(WireError, TunnelLost):
    """The tunnel's connection was lost."""


class PeerWentAway(ConnectionLost):
    """The peer ended the tunnel."""


class TunnelClosed(ConnectionLost):
    """The tunnel was closed by this side."""


class TunnelFailed(ConnectionLost):
    """The tunnel ended by an error of this side."""


class TunnelSilent(ConnectionLost):
    """The peer answered no ping for too long."""
