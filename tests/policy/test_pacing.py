"""Tests for `warp_twisted.policy.pacing`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.limiters import ConcurrencyLimiter, RateLimiter
from warp_twisted.policy.pacing import MAX_PIECE, MIN_PIECE, Pacer
from warp_twisted.policy.verdict import Held


def held(rate: str, burst: str, name: str = "l", key: str = "k", limiter: RateLimiter | None = None) -> Held:
    """Return a limit of bytes."""
    limit = Limit(name=name, of="bytes", rate=rate, burst=burst)
    return Held(limit, limiter if limiter is not None else RateLimiter(limit), key, "r")


class PacerTests(SynchronousTestCase):
    """`Pacer`."""

    def test_burst_then_rate(self) -> None:
        """What fits into the burst waits for nothing, then each piece waits until it is paid for."""
        pacer = Pacer([held("1000B/s", "5000B")])
        self.assertEqual(pacer.pay(5_000, 0.0), 0.0)
        self.assertAlmostEqual(pacer.pay(1_000, 0.0), 1.0)
        self.assertAlmostEqual(pacer.pay(1_000, 0.5), 1.5)
        self.assertEqual(pacer.pay(5_000, 100.0), 0.0)

    def test_refund(self) -> None:
        """What did not pass is there for whoever comes next."""
        pacer = Pacer([held("1000B/s", "1000B")])
        pacer.pay(1_000, 0.0)
        pacer.pay(4_000, 0.0)
        pacer.refund(4_000)
        self.assertAlmostEqual(pacer.pay(1_000, 0.0), 1.0)

    def test_the_longest_wait(self) -> None:
        """Of several limits the one that takes longest holds, and is named."""
        pacer = Pacer([held("1000B/s", "1000B", "fast"), held("100B/s", "1000B", "slow")])
        pacer.pay(1_000, 0.0)
        self.assertAlmostEqual(pacer.pay(1_000, 0.0), 10.0)
        self.assertEqual(pacer.place, ("r", "slow"))

    def test_a_shared_key(self) -> None:
        """Who shares a key waits behind what others took before."""
        limiter = RateLimiter(Limit(name="l", of="bytes", rate="1000B/s", burst="1000B"))
        first, second = (Pacer([held("1000B/s", "1000B", limiter=limiter)]) for _ in range(2))
        self.assertEqual(first.pay(1_000, 0.0), 0.0)
        self.assertAlmostEqual(second.pay(1_000, 0.0), 1.0)
        self.assertAlmostEqual(first.pay(1_000, 0.0), 2.0)

    def test_pieces(self) -> None:
        """A piece is half a second's worth, no more than the burst, and neither tiny nor larger than one write."""
        for rate, burst, wanted in (
            ("100kB/s", "1MB", 50_000),
            ("100kB/s", "20kB", 20_000),
            ("1B/s", "1B", MIN_PIECE),
            ("1GB/s", "1GB", MAX_PIECE),
            ("1MB/s", "1B", 10_000),
        ):
            self.assertEqual(Pacer([held(rate, burst)]).piece_bytes, wanted, (rate, burst))

    def test_what_is_not_of_bytes(self) -> None:
        """Limits of anything else pace nothing."""
        limit = Limit(name="l", of="concurrent_requests", most=1)
        self.assertFalse(Pacer([Held(limit, ConcurrencyLimiter(limit), "k", "r")]))
        self.assertTrue(Pacer([held("1B/s", "1B")]))

    @given(
        st.integers(1, 10_000),
        st.integers(1, 20_000),
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5_000), st.floats(0, 2)), max_size=60),
    )
    def test_never_more_than_burst_and_rate(self, rate: int, burst: int, tries: list[tuple[int, int, float]]) -> None:
        """However pieces of some requests are paid for, no more has passed at any instant than burst and rate allow."""
        limiter = RateLimiter(Limit(name="l", of="bytes", rate=f"{rate}B/s", burst=f"{burst}B"))
        pacers = [Pacer([held(f"{rate}B/s", f"{burst}B", limiter=limiter)]) for _ in range(3)]
        now, passes = 0.0, list[tuple[float, int]]()
        for who, count, pause in tries:
            now += pause
            passes.append((now + pacers[who].pay(count, now), count))
        passed = 0
        for at, count in sorted(passes):
            passed += count
            self.assertLessEqual(passed, burst + rate * at + 0.1 * rate * 1e-4 + 1e-3)
