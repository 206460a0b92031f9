"""Certificates that live for seconds."""

from tests.case import until
from tests.system.edge.live import HOST
from tests.system.members.beside import BesideTestCase

LIFE_SECONDS = 6.0


class ShortLifeTests(BesideTestCase):
    """An edge that issues agents' certificates for six seconds."""

    sections = {"ca": {"agent_lifetime": LIFE_SECONDS}}

    async def test_renewed_in_time(self) -> None:
        """An agent renews again and again, and its tunnels stay, for longer than any of its certificates lives."""
        machine = await self.machine("short")
        await self.serve(machine)
        before = self.tunnels
        await until(lambda: machine.log.count("the certificate was renewed") >= 4, 60)
        self.assertEqual((self.tunnels, (await self.ask()).status), (before, 200))
        self.assertNotIn("is down", machine.log)
        self.assertEqual({tunnel.address for tunnel in self.node.parts.tunnels.registrations.by_id.values()}, {HOST})
