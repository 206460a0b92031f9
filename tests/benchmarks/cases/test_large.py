"""`benchmarks.cases.large`: CPU time within stretches of time, and the longest turn between two counts."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.large import CpuTrace, _longest_ms


class CpuTraceTests(SynchronousTestCase):
    """What was used between two instants."""

    def test_between_points(self) -> None:
        """Between two points the use is taken to be even."""
        trace = CpuTrace([(10.0, 1.0), (11.0, 2.0), (13.0, 2.5)])
        self.assertAlmostEqual(trace.used(10.5, 11.0), 0.5)
        self.assertAlmostEqual(trace.used(10.5, 12.0), 0.75)

    def test_beyond(self) -> None:
        """Before the first point and after the last nothing is known to be used."""
        trace = CpuTrace([(10.0, 1.0), (11.0, 2.0)])
        self.assertAlmostEqual(trace.used(0.0, 99.0), 1.0)


class LongestTurnTests(SynchronousTestCase):
    """What the edge's histogram says of the turns in between."""

    def test_interval(self) -> None:
        """The longest turn took no longer than the bound of the last interval that has more of them."""
        before = {0.001: 5, 0.005: 8, 0.01: 9, float("inf"): 9}
        self.assertEqual(_longest_ms(before, {0.001: 7, 0.005: 10, 0.01: 11, float("inf"): 11}), 1.0)
        self.assertEqual(_longest_ms(before, {0.001: 7, 0.005: 11, 0.01: 12, float("inf"): 12}), 5.0)
        self.assertEqual(_longest_ms(before, {0.001: 7, 0.005: 11, 0.01: 12, float("inf"): 13}), float("inf"))

    def test_edge_that_does_not_say(self) -> None:
        """An edge without such a histogram has no longest turn."""
        self.assertEqual(_longest_ms({}, {}), 0.0)
