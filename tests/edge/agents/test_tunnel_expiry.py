"""Tests of closing tunnels whose certificate has ended."""

from dataclasses import replace
from datetime import timedelta

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import NOW, AgentEnd, Control
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.edge.agents.tunnel_expiry import CHECK_SECONDS
from warp_twisted.edge.peers.notices import Renewal
from warp_twisted.registry.model import encode
from warp_twisted.wire.control import Renewed, RenewRequest


class TunnelExpiryTests(ControlTestCase):
    """Certificates and their ends."""

    def pass_time(self, agent: AgentEnd, seconds: float) -> None:
        """Let time pass while both ends answer pings."""
        for _ in range(int(seconds)):
            self.control.clock.advance(1)
            agent.pair.pump()

    def test_certificate_that_ends(self) -> None:
        """A tunnel whose certificate ended without being renewed is closed."""
        agent = self.control.connect(lifetime=timedelta(seconds=120))
        agent.hello("app.warp.example")
        self.pass_time(agent, 100)
        self.assertIsNone(agent.ending)
        self.pass_time(agent, 20 + CHECK_SECONDS)
        self.assertEqual(agent.ending, ("NORMAL", "the agent's certificate has ended"))

    async def test_issuer_that_ends_first(self) -> None:
        """A renewed certificate lasts no longer than the edge's own, and the tunnel no longer than that."""
        control = Control(timedelta(seconds=100))
        await control.start()
        self.addCleanup(control.stop)
        await control.enrolled("a-1")
        agent = control.connect(lifetime=timedelta(seconds=60))
        agent.hello("app.warp.example")
        (tunnel,) = control.tunnels.registrations.by_id.values()
        self.assertEqual(tunnel.ends_at, control.clock.seconds() + 60)
        agent.send(RenewRequest(csr_pem=new_request(new_key())))
        self.assertIsInstance(agent.messages[-1], Renewed)
        self.assertEqual(tunnel.ends_at, control.clock.seconds() + 100)

    def test_renewed_agent_keeps_its_tunnels(self) -> None:
        """A renewal holds for all tunnels of the agent."""
        first = self.control.connect(lifetime=timedelta(seconds=120))
        first.hello("app.warp.example", slot=0)
        second = self.control.connect(lifetime=timedelta(seconds=120))
        second.hello("app.warp.example", slot=1)
        first.send(RenewRequest(csr_pem=new_request(new_key())))
        for _ in range(200):
            self.control.clock.advance(1)
            first.pair.pump()
            second.pair.pump()
        self.assertEqual((first.ending, second.ending), (None, None))

    def test_steps_of_the_clock(self) -> None:
        """However this machine's clock is set meanwhile, a tunnel lasts as long as its certificate did at the start."""
        agent = self.control.connect(lifetime=timedelta(seconds=120))
        agent.hello("app.warp.example")
        for at in (NOW + 2 * 86400, NOW - 55 * 366 * 86400):
            self.control.wall.set(at)
            self.pass_time(agent, CHECK_SECONDS + 1)
        self.assertIsNone(agent.ending)
        self.pass_time(agent, 60 + CHECK_SECONDS)
        self.assertEqual(agent.ending, ("NORMAL", "the agent's certificate has ended"))

    def test_renewed_at_another_edge(self) -> None:
        """A renewal that another edge tells of holds for the tunnels that are here, and shortens none."""
        agent = self.control.connect(lifetime=timedelta(seconds=120))
        agent.hello("app.warp.example")
        (tunnel,) = self.control.tunnels.registrations.by_id.values()
        record = replace(self.control.mirror.agents[tunnel.agent], key_sha256="a" * 64)
        self.control.store.put(record.key, encode(record))
        for expires_at in (NOW + 500, NOW + 90):
            self.control.renewals.hear(Renewal(agent=record.id, expires_at=expires_at, key_sha256="a" * 64))
            self.assertEqual(tunnel.ends_at, 500)
        self.pass_time(agent, 120 + CHECK_SECONDS)
        self.assertIsNone(agent.ending)

    def test_renewed_elsewhere(self) -> None:
        """A renewal through another process, which the registry says, holds for tunnels that are left here."""
        agent = self.control.connect(lifetime=timedelta(seconds=120))
        agent.hello("app.warp.example")
        (tunnel,) = self.control.tunnels.registrations.by_id.values()
        record = self.control.mirror.agents[tunnel.agent]
        for expires_at, ends_at in ((NOW + 500, 500), (0.0, 500), (NOW + 90, 500)):
            changed = replace(record, expires_at=expires_at)
            self.control.store.put(changed.key, encode(changed))
            self.assertEqual(tunnel.ends_at, ends_at)
