"""Tests of `warp_twisted.routing.shifts`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.shifts import further, guarded_part, part_at


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

    def test_guarded(self) -> None:
        """It goes as far as its guard vouched for; what has nothing gets a percent, as it could not be judged else."""
        found = [guarded_part(1_000, 2_500, progress, 600.0) for progress in (0.0, 300.0, 600.0, 9_000.0)]
        self.assertEqual(found, [1_000, 1_750, 2_500, 2_500])
        self.assertEqual([guarded_part(0, target, 0.0, 600.0) for target in (5_000, 50)], [100, 50])
        self.assertEqual([guarded_part(10_000, target, 0.0, 600.0) for target in (5_000, 9_950)], [9_900, 9_950])
