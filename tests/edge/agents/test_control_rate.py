"""Tests of how many control messages an agent may send, and how many names it may have changed."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.agents.control_rate import (
    MESSAGES_BURST,
    MESSAGES_PER_SECOND,
    NAMES_BURST,
    NAMES_PER_SECOND,
    ControlRate,
    names_touched,
)
from warp_twisted.wire.control import OriginHealth, RenewRequest

HEALTH = OriginHealth(route_id=0, healthy=True)
RENEW = RenewRequest(csr_pem="")


class ControlRateTests(SynchronousTestCase):
    """Buckets of two agents."""

    def setUp(self) -> None:
        """Begin with full buckets."""
        self.rate = ControlRate()

    def test_burst_and_refill(self) -> None:
        """After a burst a message is allowed as fast as the bucket fills, and never more than a burst is kept."""
        burst = int(MESSAGES_BURST)
        self.assertEqual(sum(self.rate.allows("a", HEALTH, 0.0) for _ in range(burst + 10)), burst)
        allowed = sum(self.rate.allows("a", HEALTH, 2.0) for _ in range(burst))
        self.assertEqual(allowed, 2 * MESSAGES_PER_SECOND)
        self.assertEqual(sum(self.rate.allows("a", HEALTH, 4096.0) for _ in range(burst + 10)), burst)

    def test_agents_apart(self) -> None:
        """One agent's messages take nothing from another's bucket."""
        while self.rate.allows("a", RENEW, 0.0):
            pass
        self.assertTrue(self.rate.allows("b", RENEW, 0.0))

    def test_prices(self) -> None:
        """What costs the edge more is allowed less often."""
        self.assertEqual(sum(self.rate.allows("a", RENEW, 0.0) for _ in range(1000)), MESSAGES_BURST // 40)

    def test_names(self) -> None:
        """Names are paid for by number; who has none left is told how long to wait, and messages are another matter."""
        self.assertEqual(self.rate.seconds_until_published("a", int(NAMES_BURST), 0.0), 0.0)
        self.assertEqual(self.rate.seconds_until_published("a", 50, 0.0), 50 / NAMES_PER_SECOND)
        self.assertEqual(self.rate.seconds_until_published("a", 50, 50 / NAMES_PER_SECOND), 0.0)
        self.assertEqual(self.rate.seconds_until_published("a", 0, 0.0), 0.0)
        self.assertTrue(self.rate.allows("a", HEALTH, 0.0))

    def test_names_touched(self) -> None:
        """Only hostnames that come or go count, each with its own names and one for each label."""
        self.assertEqual(names_touched((), ("a", "b"), 0), 14)
        self.assertEqual(names_touched(("a", "b", "c"), ("c", "b", "d"), 2), 18)
        self.assertEqual(names_touched(("a", "b"), ("b", "a", "a"), 32), 0)

    def test_long_names_and_patterns(self) -> None:
        """Each level of a long hostname costs more, as a pattern may be repeated at it; so does a pattern."""
        self.assertEqual(names_touched((), ["a.b.warp.example"], 0), 7)
        self.assertEqual(names_touched((), ["a." * 120 + "b.warp.example"], 0), 7 + 2 * 119)
        self.assertEqual(names_touched((), ["*.b.warp.example"], 0), 57)
