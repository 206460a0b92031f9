"""Tests of the counting of operations."""

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations


class OperationsTests(SynchronousTestCase):
    """Python code is counted by its instructions."""

    def test_growth_is_seen(self) -> None:
        """A loop over more items counts for more, in a comprehension too, and the same call counts the same."""

        def add_up(count: int) -> int:
            return count_operations(lambda: [each + 1 for each in range(count)])

        self.assertGreater(add_up(1000), 50 * add_up(10))
        self.assertEqual(add_up(10), add_up(10))
