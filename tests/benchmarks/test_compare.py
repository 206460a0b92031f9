"""`benchmarks.compare`: two trees under the same loads."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.compare import Change, compare, comparison_table
from benchmarks.results import Results


def _changes(metric: str, before: list[float], now: list[float]) -> list[Change]:
    results = Results()
    results.add("keepalive", "32 connections", "before", {metric: before})
    results.add("keepalive", "32 connections", "Warp", {metric: now})
    return compare(results, "before")


class CompareTests(SynchronousTestCase):
    """Better, worse, or the same."""

    def _verdict(self, metric: str, before: list[float], now: list[float]) -> str:
        (change,) = _changes(metric, before, now)
        return change.verdict

    def test_ratio_of_rounds(self) -> None:
        """The ratio is taken round by round, so a slow round of both changes nothing."""
        (change,) = _changes(names.REQUESTS, [100, 50, 200], [110, 55, 220])
        self.assertEqual([round(ratio, 3) for ratio in change.ratios], [1.1, 1.1, 1.1])
        self.assertEqual(change.verdict, "better")

    def test_less_is_better(self) -> None:
        """More CPU, time and memory is worse; a smaller rate too."""
        self.assertEqual(self._verdict(names.CPU_PER_REQUEST, [10, 10], [11, 12]), "**worse**")
        self.assertEqual(self._verdict(names.CPU_PER_REQUEST, [10, 10], [9, 8]), "better")
        self.assertEqual(self._verdict(names.REQUESTS, [10, 10], [9, 8]), "**worse**")

    def test_noise(self) -> None:
        """A small difference is none, nor is one that some round contradicts."""
        self.assertEqual(self._verdict(names.CPU_PER_REQUEST, [10, 10, 10], [10.4, 10.4, 10.4]), "same")
        self.assertEqual(self._verdict(names.CPU_PER_REQUEST, [10, 10, 10], [12, 12, 9]), "same")

    def test_single_round(self) -> None:
        """One round alone has to differ by more, and its verdict says that it is one."""
        self.assertEqual(self._verdict(names.P99, [10], [11]), "same")
        self.assertEqual(self._verdict(names.P99, [10], [12]), "worse in one round")

    def test_left_out(self) -> None:
        """What says how a figure came about is no merit, and what only one tree has cannot be compared."""
        self.assertEqual(_changes(names.ERRORS, [1], [2]), [])
        results = Results()
        results.add("large", "at rest", "Warp", {names.IDLE_EDGE: 3})
        self.assertEqual(compare(results, "before"), [])

    def test_table(self) -> None:
        """The table shows both figures, the ratio, its range over the rounds, and the verdict."""
        row = comparison_table(_changes(names.P50, [1, 2], [2, 6]), "before").splitlines()[2]
        self.assertEqual(
            [cell.strip() for cell in row.split("|")[1:-1]],
            ["keepalive", "32 connections", "p50 ms", "1.50", "4", "2.50", "2.00 to 3.00", "**worse**"],
        )
