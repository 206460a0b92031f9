"""Tests of how many control messages an agent may send."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.agents.control_rate import BURST, PER_SECOND, ControlRate
from warp_twisted.wire.control import OriginHealth, RenewRequest

HEALTH = OriginHealth(route_id=0, healthy=True)
RENEW = RenewRequest(csr_pem="")


class ControlRateTests(SynchronousTestCase):
    """One purse."""

    def test_burst_and_refill(self) -> None:
        """After a burst a message is allowed as fast as the purse fills, and never more than a burst is kept."""
        rate = ControlRate(0.0)
        self.assertEqual(sum(rate.allows(HEALTH, 0.0) for _ in range(int(BURST) + 10)), BURST)
        self.assertEqual(sum(rate.allows(HEALTH, 2.0) for _ in range(100)), 2 * PER_SECOND)
        self.assertEqual(sum(rate.allows(HEALTH, 1e9) for _ in range(int(BURST) + 10)), BURST)

    def test_prices(self) -> None:
        """What costs the edge more is allowed less often."""
        rate = ControlRate(0.0)
        self.assertEqual(sum(rate.allows(RENEW, 0.0) for _ in range(100)), BURST // 40)

    def test_clock_set_back(self) -> None:
        """A clock that goes back takes nothing away."""
        rate = ControlRate(100.0)
        self.assertTrue(rate.allows(HEALTH, 50.0))
