"""Tests of `warp_twisted.demo.agent`, in a demo's fleet."""

from tests.case import reactor
from tests.system.demo.fleet_case import DemoFleetCase
from warp_twisted.cli.errors import DemoFailed
from warp_twisted.demo.fleet import HOSTNAME
from warp_twisted.demo.visitor import Visitor


class DemoAgentTests(DemoFleetCase):
    """The agent of the demo's application."""

    async def test_drained_agent(self) -> None:
        """An agent that was drained has taken its name out of DNS, and can be started again."""
        fleet = self.fleet
        await fleet.start_edge()
        await fleet.agent.application.start()
        await fleet.agent.enroll()
        await fleet.agent.connect()
        await fleet.agent.drain()
        self.assertIsNone(fleet.agent.service)
        visitor = Visitor(reactor, fleet.ports.dns, fleet.root_file.read_text())
        self.clean_up_with(visitor.leave)
        self.assertEqual(await visitor.lookup(HOSTNAME), [])

    async def test_agent_before_it_is_enrolled(self) -> None:
        """An agent without an identity is not started."""
        with self.assertRaisesRegex(DemoFailed, "the agent was not enrolled"):
            await self.fleet.agent.connect()
