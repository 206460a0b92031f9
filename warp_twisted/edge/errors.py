"""Why the edge does not do what an agent or an operator asks."""

from warp_twisted.errors import WarpError


class EdgeError(WarpError):
    """The edge could not do what was asked."""


class OfferRefused(EdgeError):
    """
    What an agent offers is not served.

    :param code: as in `wire.control.Refused`.
    :param retry: whether the same offer may succeed later.
    """

    def __init__(self, code: str, reason: str, retry: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry = retry


class ReturnRefused(EdgeError):
    """
    An agent whose certificate has ended is not let back in.

    :param code: as in `wire.control.EnrollRefused`, and `retry_seconds`, too.
    """

    def __init__(self, code: str, reason: str, retry_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_seconds = retry_seconds


class AgentUnknown(EdgeError):
    """No such agent is enrolled, and there can be none."""


class NameNotHeld(EdgeError):
    """The hostname belongs to nobody."""


class TokenNotFound(EdgeError):
    """No such join token exists."""


class PolicyVersionUnknown(EdgeError):
    """No such version of the policy is kept."""


class CertificateUnknown(EdgeError):
    """No such certificate was ordered."""


class CannotShift(EdgeError):
    """The share cannot be given another part."""


class NotShifted(EdgeError):
    """The hostname's split is as the policy has it."""


class EdgeUnknown(EdgeError):
    """The fleet has no such edge."""


class EdgeAlive(EdgeError):
    """The edge runs, so that it cannot be removed."""


class PeerRefused(EdgeError):
    """A connection that is not taken for that of another edge."""


class BadPeerMessage(EdgeError):
    """Another edge said what it may not; the link ends, and begins anew."""


def as_refusal(error: EdgeError) -> OfferRefused:
    """Return the refusal that an agent hears for an error."""
    return error if isinstance(error, OfferRefused) else OfferRefused("not_allowed", str(error))
