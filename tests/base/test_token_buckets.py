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
        """However many keys come, at most twice `max_keys` are known, and a key in use is not forgotten."""
        buckets = TokenBuckets(0.001, 3.0, max_keys=100)
        for number in range(1000):
            buckets.take(number, 0.0)
            self.assertLessEqual(buckets.known(), 200)
        buckets = TokenBuckets(0.001, 2.0, max_keys=100)
        buckets.take("in use", 0.0)
        for number in range(99):
            buckets.take(number, 0.0)
        buckets.take("in use", 0.0)
        for number in range(200, 299):
            buckets.take(number, 0.0)
        self.assertGreater(buckets.take("in use", 0.0), 0.0)

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
