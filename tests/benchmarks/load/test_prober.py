"""`benchmarks.load.prober`: what visitors waited in a stretch of time."""

import math

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.load.prober import Waits

_ASKED = [(1.0, 0.1), (2.0, 5.0), (3.0, -0.2), (6.0, 0.3), (9.0, 0.1)]


class WaitsTests(SynchronousTestCase):
    """Those who asked in a stretch of time, or still waited in it."""

    def test_between(self) -> None:
        """Those who asked before and waited on count; those who were answered before or asked later do not."""
        waits = Waits.between(_ASKED, 2.5, 8.0)
        self.assertEqual((waits.seconds, waits.errors), ([0.3, 5.0], 1))

    def test_quantiles(self) -> None:
        """A quantile is a wait that was seen, the longest one at the end."""
        waits = Waits(seconds=[0.001 * number for number in range(1, 101)], errors=0)
        self.assertAlmostEqual(waits.quantile_ms(0.5), 50)
        self.assertAlmostEqual(waits.quantile_ms(0.99), 99)
        self.assertAlmostEqual(waits.quantile_ms(1), 100)

    def test_nobody(self) -> None:
        """Where nobody was answered there is no figure."""
        self.assertTrue(math.isnan(Waits.between([], 0, 1).quantile_ms(0.5)))
