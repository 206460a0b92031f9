"""Why a certificate is not issued. Each sentence is kept with the order and shown by `warp certificate status`."""

from warp_twisted.errors import WarpError


class AcmeError(WarpError):
    """The certificate could not be issued."""


class DoorRefused(AcmeError):
    """
    The edge did not do what it was asked over its admin socket.

    :ivar status: of the answer, or 0 if there was none.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class AuthorityFailed(AcmeError):
    """
    The authority refused, or gave an answer that cannot be used.

    :ivar kind: the problem's type without its prefix (RFC 8555, 6.7), such as `rateLimited`; empty for none.
    :ivar retry_seconds: what it said in Retry-After; 0 for nothing.
    :ivar identifiers: the names that it is about; none: all.
    """

    def __init__(
        self, reason: str, kind: str = "", retry_seconds: float = 0.0, identifiers: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.retry_seconds = retry_seconds
        self.identifiers = identifiers


class AuthorityAway(AuthorityFailed):
    """The authority was not reached, is too slow, or has an error of its own: it has counted nothing against us."""


class NotYet(AcmeError):
    """
    The order is not through, and will be looked at again: nothing is lost.

    :ivar retry_seconds: what the authority said in Retry-After; 0 for nothing.
    """

    def __init__(self, reason: str, retry_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds


class CannotOrder(AcmeError):
    """The certificate cannot be ordered with these settings."""


class UnusableCertificate(AcmeError):
    """What the authority issued is not the certificate that was ordered."""


class LockLost(AcmeError):
    """Another edge orders now."""


class EdgeGone(AcmeError):
    """The edge that started this process has ended, so the process ends as well."""
