"""Tests of what an edge makes of its agents' clocks."""

from typing import cast

from twisted.logger import ILogObserver, Logger, formatEvent

from tests.edge.agents.case import ControlTestCase
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.edge.agents import agent_clocks
from warp_twisted.wire.control import Accepted, RenewRequest


class AgentClocksTests(ControlTestCase):
    """What agents say of their clocks."""

    def setUp(self) -> None:
        """Keep what is logged."""
        self.lines: list[str] = []
        self.patch(
            agent_clocks,
            "_log",
            Logger(observer=cast(ILogObserver, lambda event: self.lines.append(formatEvent(event)))),
        )
        return super().setUp()

    def warnings(self) -> list[str]:
        """Return what was said of clocks."""
        return [line for line in self.lines if line.startswith("the clock")]

    def test_wrong_clock(self) -> None:
        """It is said once for each start of an agent, counted for each tunnel, until a renewal tells better."""
        now = self.control.wall.now()
        agents = [self.control.connect() for _ in range(2)]
        for slot, agent in enumerate(agents):
            agent.hello("app.warp.example", slot=slot, time=now - 7200)
            self.assertEqual(agent.answer(Accepted).time, now)
        self.assertEqual(len(self.warnings()), 1)
        self.assertIn("is 2 h behind ours", self.warnings()[0])
        registrations = self.control.tunnels.registrations
        self.assertEqual(registrations.wrong_clocks, 2)
        for agent in agents:
            agent.send(RenewRequest(csr_pem=new_request(new_key()), time=now + 1))
        differences = [each.clock_difference for each in registrations.of_agent("a-1")]
        self.assertEqual((registrations.wrong_clocks, differences), (0, [1.0, 1.0]))

    def test_good_clock(self) -> None:
        """A clock that is a little off, and an agent that does not tell, are no news."""
        for slot, time in enumerate((self.control.wall.now() - 5, None)):
            self.control.connect().hello("app.warp.example", slot=slot, time=time)
        self.assertEqual((self.warnings(), self.control.tunnels.registrations.wrong_clocks), ([], 0))
