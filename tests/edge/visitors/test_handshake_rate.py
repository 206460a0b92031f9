"""Tests of how many handshakes a network may begin."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.refusals import TOO_MANY_HANDSHAKES
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.handshake_rate import UNTRUSTED_PRICE, HandshakeRate

NETWORK = "192.0.2.7"


class HandshakeRateTests(SynchronousTestCase):
    """`HandshakeRate`."""

    def admitted(self, rate: HandshakeRate, now: float, network: str = NETWORK) -> int:
        """Return how many handshakes are admitted at once, of 50."""
        return [rate.admit(network, now) for _ in range(50)].count(None)

    def test_rate(self) -> None:
        """A burst, then the rate; each network for itself."""
        rate = HandshakeRate(VisitorLimits(handshakes_per_second=2.0, handshake_burst=5))
        self.assertEqual([self.admitted(rate, now) for now in (0.0, 1.0, 1.1)], [5, 2, 0])
        self.assertIs(rate.admit(NETWORK, 1.1), TOO_MANY_HANDSHAKES)
        self.assertEqual(self.admitted(rate, 1.1, "192.0.2.8"), 5)

    def test_untrusted(self) -> None:
        """One whose certificate is refused counts for several, also beyond the burst."""
        rate = HandshakeRate(VisitorLimits(handshakes_per_second=2.0, handshake_burst=12))
        self.assertIsNone(rate.admit(NETWORK, 0.0))
        rate.charge_untrusted(NETWORK, 0.0)
        self.assertEqual(self.admitted(rate, 0.0), 12 - UNTRUSTED_PRICE)
        rate.charge_untrusted(NETWORK, 0.0)
        self.assertEqual([self.admitted(rate, now) for now in (4.4, 5.0)], [0, 1])

    def test_other_limits(self) -> None:
        """They hold at once; without a bound nothing is counted."""
        rate = HandshakeRate(VisitorLimits(handshakes_per_second=2.0, handshake_burst=5))
        self.admitted(rate, 0.0)
        rate.follow(VisitorLimits(handshakes_per_second=0.0))
        rate.charge_untrusted(NETWORK, 0.0)
        self.assertEqual(self.admitted(rate, 0.0), 50)
        rate.follow(VisitorLimits(handshakes_per_second=2.0, handshake_burst=8))
        self.assertEqual(self.admitted(rate, 0.0), 3)
