"""Tests for `warp_twisted.policy.limiters`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.limiters import ConcurrencyLimiter, RateLimiter, follow, make_limiter


class RateLimiterTests(SynchronousTestCase):
    """`RateLimiter`."""

    def test_burst_then_rate(self) -> None:
        """A key spends its burst, then so much a second; other keys have their own."""
        limiter = make_limiter(Limit(name="a", rate="2/s", burst=3))
        assert isinstance(limiter, RateLimiter)
        self.assertEqual([limiter.take("k", 1.0, 0.0) for _ in range(4)], [0.0, 0.0, 0.0, 0.5])
        self.assertEqual(limiter.take("other", 1.0, 0.0), 0.0)
        limiter.give_back("k", 1.0)
        self.assertEqual(limiter.take("k", 1.0, 0.0), 0.5)
        self.assertAlmostEqual(limiter.charge("k", 2.0, 0.0), 1.0)

    def test_follow(self) -> None:
        """Another rate holds for what keys owe already."""
        limiter = RateLimiter(Limit(name="a", rate="1/m", burst=1))
        limiter.take("k", 1.0, 0.0)
        follow(limiter, RateLimiter(Limit(name="a", rate="1/s", burst=2)))
        self.assertGreater(limiter.take("k", 2.0, 0.0), 0.0)


class ConcurrencyLimiterTests(SynchronousTestCase):
    """`ConcurrencyLimiter`."""

    @given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=50))
    def test_never_more_than_most(self, most: int, events: list[tuple[str, bool]]) -> None:
        """However units are taken and given back, never more are in use, and nobody is refused below."""
        limiter = make_limiter(Limit(name="a", of="concurrent_requests", most=most))
        assert isinstance(limiter, ConcurrencyLimiter)
        in_use = {"a": 0, "b": 0}
        for key, takes in events:
            if takes:
                is_granted = limiter.take(key, 1.0, 0.0) == 0.0
                self.assertEqual(is_granted, in_use[key] < most)
                in_use[key] += is_granted
            elif in_use[key]:
                limiter.give_back(key, 1.0)
                in_use[key] -= 1
        self.assertEqual(len(limiter), sum(count > 0 for count in in_use.values()))

    def test_follow(self) -> None:
        """Another bound holds for what is in use already."""
        limiter = ConcurrencyLimiter(Limit(name="a", of="concurrent_requests", most=1))
        self.assertEqual(limiter.take("k", 1.0, 0.0), 0.0)
        self.assertGreater(limiter.take("k", 1.0, 0.0), 0.0)
        follow(limiter, ConcurrencyLimiter(Limit(name="a", of="concurrent_requests", most=2)))
        self.assertEqual(limiter.take("k", 1.0, 0.0), 0.0)
        self.assertGreater(limiter.take("k", 1.0, 0.0), 0.0)
