"""Tests of `warp_twisted.routing.latencies`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.latencies import BOUNDS, BUCKETS, STEP, bucket_of, quantile, slower_than


def counted(*seconds: float) -> list[int]:
    """Return counts of some lengths of time."""
    counts = [0] * BUCKETS
    for each in seconds:
        counts[bucket_of(each)] += 1
    return counts


class LatenciesTests(SynchronousTestCase):
    """Fine buckets."""

    def test_quantile(self) -> None:
        """The bound is at most a tenth above what was counted; of nothing, or beyond all bounds, there is none."""
        found = quantile(counted(*[0.01] * 99, 5.0), 0.99)
        assert found is not None
        self.assertTrue(0.01 <= found <= 0.01 * STEP)
        found = quantile(counted(*[0.01] * 98, 5.0, 5.0), 0.99)
        assert found is not None
        self.assertTrue(5.0 <= found <= 5.0 * STEP)
        self.assertIsNone(quantile(counted(), 0.99))
        self.assertIsNone(quantile(counted(600.0), 0.99))

    @given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.floats(0.01, 1))
    def test_any(self, seconds: list[float], part: float) -> None:
        """No quantile is below the true one; what is counted as slower is; and what is much slower is counted."""
        found = quantile(counted(*seconds), part)
        true = sorted(seconds)[max(0, -int(-part * len(seconds) // 1) - 1)]
        if found is not None:
            self.assertGreaterEqual(found * (1 + 1e-9), true)
        for limit in (0.0005, 0.02, 7.0, BOUNDS[30]):
            slower = slower_than(counted(*seconds), limit)
            self.assertLessEqual(slower, sum(each > limit for each in seconds))
            self.assertGreaterEqual(slower, sum(each > max(limit * STEP * STEP, BOUNDS[0]) for each in seconds))
