"""Tests of `warp_twisted.clock_steps`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.clock_steps import LOOK_SECONDS, ClockSteps


class ClockStepsTests(SynchronousTestCase):
    """A wall clock that is set now and then."""

    def setUp(self) -> None:
        """Begin to watch."""
        self.clock = Clock()
        self.wall = SettableWallClock(1.8e9, self.clock)
        self.steps: list[float] = []
        self.watch = ClockSteps(self.clock, self.wall, self.steps.append)
        self.watch.start()

    def test_steps(self) -> None:
        """Each step is told once, within a second, with its length; NTP's small corrections are none."""
        for step in (-3600.0, 0.0, 86400.0, 0.4, -0.4):
            self.wall.offset += step
            self.clock.advance(LOOK_SECONDS)
        self.assertEqual([round(step) for step in self.steps], [-3600, 86400])

    def test_late_look(self) -> None:
        """A busy machine that looks late sees no step."""
        self.clock.advance(100)
        self.assertEqual(self.steps, [])

    def test_stop(self) -> None:
        """Nothing is left on the clock."""
        self.watch.stop()
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
