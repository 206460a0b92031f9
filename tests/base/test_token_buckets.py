"""Tests for `warp_base.token_buckets`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_base.token_buckets import TokenBuckets


class TakeTests(SynchronousTestCase):
    """`TokenBuckets.take`."""

    def test_burst_then_rate(self) -> None:
        """A full bucket gives its burst at once, then says how long to wait, and keeps its word."""
        buckets = TokenBuckets(2.0, 4.0)
        self.assertEqual([buckets.take("a", 10.0) for _ in range(4)], [0.0] * 4)
        self.assertAlmostEqual(buckets.take("a", 10.0), 0.5)
        self.assertGreater(buckets.take("a", 10.49), 0.0)
        self.assertEqual(buckets.take("a", 10.5), 0.0)

    def test_keys_are_apart(self) -> None:
        """One key's bucket says nothing about another's."""
        buckets = TokenBuckets(1.0, 1.0)
        self.assertEqual(buckets.take("a", 0.0), 0.0)
        self.assertGreater(buckets.take("a", 0.0), 0.0)
        self.assertEqual(buckets.take("b", 0.0), 0.0)

    def test_refused_costs_nothing(self) -> None:
        """Who asks too early and too often does not wait longer for it."""
        buckets = TokenBuckets(1.0, 1.0)
        buckets.take("a", 0.0)
        for _ in range(100):
            self.assertGreater(buckets.take("a", 0.5), 0.0)
        self.assertEqual(buckets.take("a", 1.0), 0.0)

    def test_price_above_the_burst(self) -> None:
        """Such a price is granted to a full bucket and paid off afterwards."""
        buckets = TokenBuckets(1.0, 5.0)
        self.assertEqual(buckets.take("a", 0.0, 20.0), 0.0)
        self.assertAlmostEqual(buckets.take("a", 0.0, 1.0), 16.0)
        self.assertEqual(buckets.take("a", 16.0, 1.0), 0.0)

    def test_settings_change(self) -> None:
        """A new rate and burst hold at once."""
        buckets = TokenBuckets(1.0, 1.0)
        buckets.take("a", 0.0)
        buckets.burst = 3.0
        self.assertEqual([buckets.take("a", 0.0), buckets.take("a", 0.0)], [0.0, 0.0])
        self.assertGreater(buckets.take("a", 0.0), 0.0)

    def test_memory_is_bounded(self) -> None:
        """However many keys come, at most `max_keys` are known; those that owe nothing go before others."""
        buckets = TokenBuckets(1.0, 3.0, max_keys=100)
        for number in range(1000):
            buckets.take(str(number), number * 0.1)
            self.assertLess(buckets.known(), 30)  # each owes for 1 second, in which 10 others come
        for number in range(1000):
            buckets.take(str(number), 100.0)
            self.assertLessEqual(buckets.known(), 100)

    def test_a_debt_is_never_forgotten(self) -> None:
        """No number of other keys gives a key that is refused, or a new one, more than its bucket holds."""
        buckets = TokenBuckets(0.001, 2.0, max_keys=100)
        self.assertEqual([buckets.take("early", 0.0), buckets.take("early", 0.0)], [0.0, 0.0])
        for number in range(1000):
            buckets.take(str(number), 0.0)
        self.assertGreater(buckets.take("early", 0.0), 0.0)
        granted = sum(not buckets.take("late", 0.0) for _ in range(10))
        self.assertEqual(granted, 2)
        granted = sum(not buckets.take("late", 3000.0) for _ in range(10))
        self.assertEqual(granted, 2)

    def test_keys_that_share_slots_are_seldom_refused(self) -> None:
        """While ten times as many keys owe as fit, all but a few new ones find a full bucket."""
        buckets = TokenBuckets(0.001, 1.0, max_keys=100)
        refused = sum(buckets.take(str(number), 0.0) > 0 for number in range(1_100))
        self.assertLess(refused, 20)  # 1,000 in two rows of 32,768: one in a thousand meets others in both
        self.assertEqual(buckets.take("later", 1e7), 0.0)

    def test_forgive(self) -> None:
        """A key that is forgiven has a full bucket; others still owe."""
        buckets = TokenBuckets(0.001, 1.0)
        for key in ("a", "b"):
            buckets.take(key, 0.0)
        buckets.forgive("a")
        self.assertEqual([buckets.take(key, 0.0) > 0 for key in ("a", "b")], [False, True])

    def test_charge(self) -> None:
        """What has happened is paid in any case, and says when the debt is paid off."""
        buckets = TokenBuckets(10.0, 20.0)
        self.assertEqual(buckets.charge("a", 0.0, 15.0), 0.0)
        self.assertAlmostEqual(buckets.charge("a", 0.0, 15.0), 1.0)
        self.assertAlmostEqual(buckets.charge("a", 1.0, 10.0), 1.0)
        self.assertGreater(buckets.take("a", 1.0), 0.0)
        self.assertEqual(buckets.take("b", 1.0, 20.0), 0.0)
        self.assertAlmostEqual(buckets.charge("b", 1.0, 10.0), 1.0)

    def test_refund(self) -> None:
        """What was charged and not used is there for the next one; of a key that nobody knows nothing happens."""
        buckets = TokenBuckets(10.0, 20.0)
        buckets.charge("a", 0.0, 40.0)
        buckets.refund("a", 15.0)
        self.assertAlmostEqual(buckets.charge("a", 0.0, 5.0), 1.0)
        buckets.refund("nobody", 5.0)
        self.assertEqual(buckets.known(), 1)

    @given(st.floats(0.1, 100), st.floats(1, 50), st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 60)), max_size=60))
    def test_never_more_than_burst_and_rate(self, rate: float, burst: float, tries: list[tuple[float, float]]) -> None:
        """Over any stretch of time no more is granted than the burst, the rate times the stretch, and one debt."""
        buckets = TokenBuckets(rate, burst)
        now = granted = 0.0
        for pause, price in tries:
            now += pause
            wait = buckets.take("a", now, price)
            self.assertGreaterEqual(wait, 0.0)
            if not wait:
                granted += price
                self.assertLessEqual(granted, burst + rate * now + max(0.0, price - burst) + 1e-6)
