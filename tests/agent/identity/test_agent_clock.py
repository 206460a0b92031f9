"""Tests of `warp_twisted.agent.identity.agent_clock`: what happens when the clock is set, and who is told."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from warp_twisted.agent.identity.agent_clock import AgentClock
from warp_twisted.clock_steps import LOOK_SECONDS


class AgentClockTests(SynchronousTestCase):
    """One clock that is set."""

    def test_steps(self) -> None:
        """After a step the edges' time is not known any more, and the agent hears of it; after the end nothing is."""
        clock = Clock()
        wall = SettableWallClock(1.8e9, clock)
        told: list[object] = []
        agent_clock = AgentClock(clock, wall, told.append, lambda: told.append("stepped"))
        agent_clock.start()
        agent_clock.edge_accepted(2.0e9)
        clock.advance(LOOK_SECONDS)
        self.assertEqual((agent_clock.edge_time.now(), told, agent_clock.suspicion), (2.0e9 + LOOK_SECONDS, [], ""))
        wall.offset -= 3600
        clock.advance(LOOK_SECONDS)
        self.assertEqual((agent_clock.edge_time.now(), told), (wall.now(), ["stepped"]))
        agent_clock.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
