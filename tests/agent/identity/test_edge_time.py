"""Tests of `warp_twisted.agent.identity.edge_time`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.agent.identity.edge_time import EdgeTime


class EdgeTimeTests(SynchronousTestCase):
    """Whose time it is."""

    def test_whose(self) -> None:
        """This machine's until an edge told its own, which then goes on by itself, until it is forgotten."""
        clock = Clock()
        wall = SettableWallClock(1000.0, clock)
        time = EdgeTime(clock, wall)
        time.heard(None)
        self.assertEqual(time.now(), 1000.0)
        time.heard(5000.0)
        clock.advance(10)
        wall.set(0.0)
        self.assertEqual(time.now(), 5010.0)
        time.forget()
        self.assertEqual(time.now(), 0.0)
