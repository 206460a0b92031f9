"""Why a tunnel could not be set up; what goes wrong in one that exists is `wire.errors`."""

from warp_twisted.errors import WarpError


class TunnelError(WarpError):
    """The tunnel could not be set up."""


class HandshakeFailed(TunnelError):
    """The TLS handshake failed."""


class HandshakeTimedOut(TunnelError):
    """The TLS handshake took too long."""


class PeerNotTrusted(TunnelError):
    """The peer's certificate is not from our CA, has run out, or is for another name."""


class PeerNotValidNow(PeerNotTrusted):
    """The peer's certificate is not valid yet, or no longer, by this machine's clock."""


class NoCertificate(TunnelError):
    """The agent showed no certificate."""


class NoCommonProtocol(TunnelError):
    """The peers speak no common protocol version."""


class TooBusy(TunnelError):
    """Too many connections are being set up."""


class EnrollmentFailed(TunnelError):
    """The edge did not answer the enrollment as the protocol asks."""
