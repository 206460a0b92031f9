"""Tests of `warp_base.wall_clock`: which things are one."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.wall_clock import WallClock


class WallClockTests(SynchronousTestCase):
    """The interface, and what it is not."""

    def test_clocks_for_tests_and_machines(self) -> None:
        """The machine's and the tests' clocks are wall clocks; a reactor is not, so it is never taken for one."""
        clocks: list[WallClock] = [MACHINE_WALL_CLOCK, SettableWallClock(5.0)]
        self.assertGreater(clocks[0].now(), clocks[1].now())
        self.assertFalse(hasattr(Clock(), "now"))

    def test_set(self) -> None:
        """The tests' clock goes with a reactor's, and jumps when it is set."""
        clock = Clock()
        wall = SettableWallClock(100.0, clock)
        clock.advance(10)
        self.assertEqual(wall.now(), 110.0)
        wall.set(50.0)
        clock.advance(1)
        self.assertEqual((wall.now(), clock.seconds()), (51.0, 11.0))
