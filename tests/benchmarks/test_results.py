"""`benchmarks.results`: figures, their rounds and their shares."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.results import NotMeasured, Results


class ResultsTests(SynchronousTestCase):
    """What is noted can be looked up."""

    def setUp(self) -> None:
        """Note three rounds of a peer that has two programs."""
        self.results = Results()
        self.results.add(
            "keepalive",
            "32 connections",
            "Warp",
            {names.REQUESTS: [100, 90, 120], names.ERRORS: 0},
            {names.CPU_PER_REQUEST: {"edge": [10, 20, 30], "agent": [3, 2, 1]}},
        )

    def _value(self, metric: str, program: str = "") -> float:
        return self.results.value("keepalive", "32 connections", "Warp", metric, program)

    def test_median(self) -> None:
        """A figure is the median of its rounds."""
        self.assertEqual(self._value(names.REQUESTS), 100)

    def test_shares(self) -> None:
        """A peer's figure is the sum of its programs', round by round; each program's own is kept."""
        self.assertEqual(self._value(names.CPU_PER_REQUEST), 22)
        self.assertEqual(self._value(names.CPU_PER_REQUEST, "edge"), 20)

    def test_spread(self) -> None:
        """The spread is half the range of the rounds; a single round has none."""
        figures = {figure.metric: figure for figure in self.results.figures if not figure.program}
        self.assertEqual(figures[names.REQUESTS].spread_percent, 15)
        self.assertEqual(figures[names.ERRORS].spread_percent, 0)

    def test_missing(self) -> None:
        """A figure that was not measured is said to be missing, with its name."""
        self.assertIn("ssh", str(self.assertRaises(NotMeasured, self._value, names.CPU_PER_REQUEST, "ssh")))
