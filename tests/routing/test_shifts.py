"""Tests of `warp_twisted.routing.shifts`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.shifts import further, part_at


class ShiftTests(SynchronousTestCase):
    """What a share gets at an instant."""

    def test_at_once(self) -> None:
        """Without a length of time a shift is where it goes."""
        self.assertEqual(part_at(1_000, 2_500, 50.0, 0.0, 10.0), 2_500)

    def test_over_time(self) -> None:
        """It goes there evenly, up or down, and stays; a clock that was set back shows the beginning."""
        for start, target, half in ((1_000, 2_500, 1_750), (9_000, 0, 4_500)):
            found = [part_at(start, target, 100.0, 600.0, now) for now in (0.0, 100.0, 400.0, 700.0, 1e9)]
            self.assertEqual(found, [start, start, half, target, target])

    def test_never_back(self) -> None:
        """Of two moments the later part is the one that is nearer to the end."""
        self.assertEqual((further(0, 10, 3, 5), further(10, 0, 3, 5), further(5, 5, 5, 5)), (5, 3, 5))
