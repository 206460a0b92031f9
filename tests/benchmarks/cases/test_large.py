"""`benchmarks.cases.large`: CPU time within stretches of time."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.large import CpuTrace


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
