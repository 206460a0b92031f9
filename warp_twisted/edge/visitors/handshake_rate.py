"""
How many TLS handshakes a network may begin: `limits.visitor_handshakes_per_second`, in token buckets.

Decides by counts alone: instants are arguments. Whose handshakes are not counted is decided by whoever asks.
"""

from warp_base.token_buckets import TokenBuckets
from warp_twisted.edge.refusals import TOO_MANY_HANDSHAKES
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.http1.refusals import Refusal

UNTRUSTED_PRICE = 10.0  # of one whose visitor's certificate is refused: a chain costs 3 ms, another handshake one


class HandshakeRate:
    """The handshakes of all networks."""

    def __init__(self, limits: VisitorLimits) -> None:
        self._begun = TokenBuckets(1.0, 1.0)
        self._is_bounded = False
        self.follow(limits)

    def follow(self, limits: VisitorLimits) -> None:
        """Use other limits; what networks have begun stays counted."""
        self._is_bounded = limits.handshakes_per_second > 0
        self._begun.per_second = limits.handshakes_per_second or 1.0
        self._begun.burst = limits.handshake_burst

    def admit(self, network: str, now: float) -> Refusal | None:
        """Count a handshake, or say why there is to be none."""
        return TOO_MANY_HANDSHAKES if self._is_bounded and self._begun.take(network, now) else None

    def charge_untrusted(self, network: str, now: float) -> None:
        """Count a handshake that was admitted for several, as its visitor showed a certificate that is refused."""
        if self._is_bounded:
            self._begun.charge(network, now, UNTRUSTED_PRICE - 1.0)
