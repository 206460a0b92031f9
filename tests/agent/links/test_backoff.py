"""Tests of `warp_twisted.agent.links.backoff`."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.links.backoff import (
    FIRST_SECONDS,
    HASTEN_SECONDS,
    PATIENCE_SECONDS,
    QUICK_SECONDS,
    SLOW_SECONDS,
    Backoff,
)


class BackoffTests(SynchronousTestCase):
    """How long a link waits."""

    @settings(deadline=None, max_examples=50)
    @given(st.integers())
    def test_grows_to_its_limits(self, seed: int) -> None:
        """Quick while the loss is young, so that five seconds suffice; slow after that; never in step."""
        backoff = Backoff(Random(seed), now=0.0)
        first = backoff.next_delay(0.0)
        self.assertTrue(FIRST_SECONDS / 2 <= first <= FIRST_SECONDS)
        young = [backoff.next_delay(PATIENCE_SECONDS - 1) for _ in range(20)]
        self.assertTrue(QUICK_SECONDS / 2 <= max(young) <= QUICK_SECONDS)
        old = [backoff.next_delay(PATIENCE_SECONDS) for _ in range(20)]
        self.assertTrue(SLOW_SECONDS / 2 <= max(old) <= SLOW_SECONDS)
        self.assertGreater(len(set(young[5:])), 1)

    def test_refusals(self) -> None:
        """What an edge refuses is tried again at growing intervals from the first minute on."""
        backoff = Backoff(Random(1), now=0.0)
        delays = [backoff.next_delay(0.0, is_refusal=True) for _ in range(12)]
        self.assertLessEqual(delays[0], FIRST_SECONDS)
        self.assertTrue(SLOW_SECONDS / 2 <= delays[-1] <= SLOW_SECONDS)

    def test_begins_anew(self) -> None:
        """After a success and a loss the first delay is short again."""
        backoff = Backoff(Random(1), now=0.0)
        for _ in range(100):
            backoff.next_delay(1000.0)
        backoff.succeeded()
        backoff.lost(2000.0)
        self.assertLessEqual(backoff.next_delay(2000.0), FIRST_SECONDS)

    def test_hasty(self) -> None:
        """When there is hope, the wait is short."""
        self.assertTrue(0 <= Backoff(Random(1), now=0.0).hasty_delay() <= HASTEN_SECONDS)
