"""Tests of how many requests may be sent a second time."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.retry_budget import MOST, PART, RESERVE, RetryBudget


def spend_all(budget: RetryBudget, sent: int) -> int:
    """Retry as often as is allowed, and return how often."""
    spent = 0
    while budget.allows(sent):
        budget.spend()
        spent += 1
    return spent


class RetryBudgetTests(SynchronousTestCase):
    """`RetryBudget`."""

    def test_new_hostname(self) -> None:
        """A hostname that has had no requests has a few retries, as its first tunnel may be the one that fails."""
        self.assertEqual(spend_all(RetryBudget(), 0), RESERVE)

    def test_a_fifth(self) -> None:
        """Five requests save one retry."""
        budget = RetryBudget()
        spend_all(budget, 0)
        self.assertFalse(budget.allows(4))
        self.assertTrue(budget.allows(5))
        self.assertEqual(spend_all(budget, 55), 11)

    def test_not_counted_until_spent(self) -> None:
        """To ask costs nothing: there may be nobody to send a request to."""
        budget = RetryBudget()
        for _ in range(100):
            self.assertTrue(budget.allows(0))
        self.assertEqual(spend_all(budget, 0), RESERVE)

    def test_most_at_once(self) -> None:
        """A million good requests do not pay for a storm."""
        self.assertEqual(spend_all(RetryBudget(), 1_000_000), MOST)

    @given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 500)), max_size=30))
    def test_never_more_than_a_fifth(self, steps: list[tuple[int, int]]) -> None:
        """However requests and failures come, the extra load stays below a fifth of them and the reserve."""
        budget, sent, retried = RetryBudget(), 0, 0
        for requests, failures in steps:
            sent += requests
            for _ in range(failures):
                if budget.allows(sent):
                    budget.spend()
                    retried += 1
            self.assertLessEqual(retried, sent * PART + RESERVE + 1e-6)
