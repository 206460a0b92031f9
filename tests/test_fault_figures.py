"""Tests for what the table of faults makes of samples (`tests.fleet.faults.measure`)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.faults.measure import Sample, figures, is_calm
from tests.fleet.faults.table import FAULTS


def visit(began_at: float, seconds: float = 0.1, wrong: str = "") -> Sample:
    """Return a request."""
    return Sample(whom="edge 192.0.2.1", began_at=began_at, seconds=seconds, wrong=wrong)


def query(began_at: float, wrong: str = "") -> Sample:
    """Return a query."""
    return Sample(whom="dns 192.0.2.1", began_at=began_at, seconds=0.01, wrong=wrong)


class FiguresTests(SynchronousTestCase):
    """Tests for `figures`."""

    def test_nothing_was_noticed(self) -> None:
        """A fault that nobody notices costs nothing; what ended before it does not count."""
        found = figures([visit(1, wrong="502"), visit(12), query(12)], 10.0, 10.0)
        self.assertEqual((found.requests, found.failed, found.failed_queries, found.back_seconds), (1, 0, 0, 0.0))
        self.assertEqual(found.what, {})

    def test_failed_and_slow(self) -> None:
        """Service is back when the last one began that failed or had to wait."""
        samples = [visit(9.5, 1.0, "cut"), visit(11, 4.0), query(13, "no answer"), visit(16)]
        found = figures(samples, 10.0, 10.0)
        self.assertEqual((found.requests, found.failed, found.failed_queries), (3, 1, 1))
        self.assertEqual((found.longest_seconds, found.back_seconds), (4.0, 3.0))
        self.assertEqual(found.what, {"edge: cut": 1, "dns: no answer": 1})

    def test_from_the_mend(self) -> None:
        """What fails while the cause is there counts as failed, and not against the time until service is back."""
        found = figures([visit(11, wrong="503"), visit(21, wrong="503"), visit(23)], 10.0, 20.0)
        self.assertEqual((found.failed, found.back_seconds), (2, 1.0))
        self.assertEqual(figures([visit(11, wrong="503"), visit(23)], 10.0, 20.0).back_seconds, 0.0)


class CalmTests(SynchronousTestCase):
    """Tests for `is_calm`."""

    def test_calm(self) -> None:
        """Everybody has answered lately, well and soon."""
        self.assertTrue(is_calm([visit(1, wrong="cut"), visit(8), query(9)], 10.0, 3.0))
        self.assertFalse(is_calm([visit(8), query(9), visit(9, wrong="cut")], 10.0, 3.0))
        self.assertFalse(is_calm([visit(6, 3.0), query(9)], 10.0, 3.0))

    def test_silence_is_not_calm(self) -> None:
        """A server of which nothing is heard may be about to fail everything."""
        self.assertFalse(is_calm([query(1), visit(8)], 10.0, 3.0))
        self.assertFalse(is_calm([], 10.0, 3.0))


class TableTests(SynchronousTestCase):
    """The rows."""

    def test_a_fault_that_is_mended_is_there_before(self) -> None:
        """A cause that is taken away has lasted for a while; the command line can name each row."""
        for name, fault in FAULTS.items():
            self.assertTrue(fault.mend is None or fault.hold_seconds >= 10, name)
            self.assertRegex(name, r"\A[a-z]+[-+0-9a-z]*\Z")
