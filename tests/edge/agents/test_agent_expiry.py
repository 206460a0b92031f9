"""Tests of forgetting agents that cannot come back."""

from dataclasses import replace

from twisted.internet.defer import Deferred

from tests.case import AsyncTestCase
from tests.edge.control import CA, NOW, Control, make_settings
from warp_base.slices import Slices
from warp_twisted.ca.issue import new_key, new_request
from warp_twisted.ca.tokens import parse_token
from warp_twisted.edge.agents.agent_expiry import BATCH, KEPT_SECONDS, SWEEP_SECONDS, WAIT_SECONDS, AgentExpiry
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Agent, GivenName, encode
from warp_twisted.wire.control import Enrolled, EnrollRequest, RenewRequest

DAY = 86400.0


class AgentExpiryTests(AsyncTestCase):
    """Records of agents, as the months pass."""

    async def prepare(self) -> None:
        """Start an edge."""
        self.control = Control(ca={**CA, "agent_absence": 86400})
        await self.control.start()
        self.addCleanup(self.control.stop)
        self.mirror = self.control.mirror
        self.expiry = AgentExpiry(
            self.control.store,
            self.mirror,
            self.control.clock,
            self.control.wall,
            lambda: self.control.settings,
            Slices(self.control.clock),
        )

    async def sweep(self) -> None:
        """Sweep once; the look through the registry takes turns."""
        sweeping = Deferred.fromCoroutine(self.expiry.sweep())
        self.control.clock.advance(0)
        await sweeping

    async def sweep_later(self) -> None:
        """Sweep, and again when what is old has been so for long enough."""
        await self.sweep()
        self.control.clock.advance(WAIT_SECONDS)
        await self.sweep()

    async def known(self, agent: str, expires_at: float) -> None:
        """Make an agent known whose last certificate ended or will end."""
        record = Agent(id=agent, hostnames=("*.warp.example",), expires_at=expires_at)
        await self.control.store.put(record.key, encode(record))

    async def test_old_records_go(self) -> None:
        """A record goes 30 days after the agent's certificate ended, with the name that was made up for it."""
        await self.known("a-old", NOW - KEPT_SECONDS)
        await self.known("a-late", NOW - KEPT_SECONDS + 1)
        for agent in ("a-old", "a-late"):
            name = GivenName(hostname=Hostname(f"{agent}.warp.example"), agent=agent)
            await self.control.store.put(name.key, encode(name))
        await self.sweep_later()
        self.assertEqual(list(self.mirror.agents), ["a-late"])
        self.assertEqual(list(self.mirror.given_names), ["a-late.warp.example"])

    async def test_who_may_return_is_known(self) -> None:
        """A record is kept for as long as its agent may return, if that is longer."""
        self.control.settings = make_settings(ca={**CA, "agent_absence": 90 * DAY})
        await self.known("a-gone", NOW - 90 * DAY)
        await self.known("a-away", NOW - 90 * DAY + 1)
        await self.sweep_later()
        self.assertEqual(list(self.mirror.agents), ["a-away"])

    async def test_clock_that_is_ahead(self) -> None:
        """While the wall clock is years ahead for some hours, nobody is forgotten; nor when it is ahead once more."""
        await self.known("a-1", NOW)
        for _ in range(2):
            self.control.wall.set(NOW + 900 * DAY)
            await self.sweep()
            self.control.clock.advance(WAIT_SECONDS - 1)
            await self.sweep()
            self.control.wall.set(NOW)
            await self.sweep()
            self.control.clock.advance(1)
        self.assertIn("a-1", self.mirror.agents)

    async def test_agent_that_is_here(self) -> None:
        """An agent that has a tunnel stays, whatever its record says."""
        await self.known("a-1", NOW - 2 * KEPT_SECONDS)
        end = self.control.connect("a-1")
        end.hello("app.warp.example")
        await self.sweep()
        self.assertIn("a-1", self.mirror.agents)
        self.assertIsNone(end.ending)

    async def test_revocations_stay(self) -> None:
        """A revocation is kept for good."""
        await self.known("a-1", NOW)
        await self.control.enrollment.revoke_agent("a-1")
        self.control.wall.set(NOW + 400 * DAY)
        await self.sweep()
        self.assertIn("a-1", self.mirror.revocations)

    async def test_batches(self) -> None:
        """A sweep removes a bounded number, the next ones the rest."""
        for number in range(BATCH + 5):
            await self.known(f"a-{number}", 1.0)
        await self.sweep_later()
        self.assertEqual(len(self.mirror.agents), 5)
        await self.sweep()
        self.assertEqual(self.mirror.agents, {})

    async def test_end_that_is_not_known(self) -> None:
        """A record without an end, of an older edge, is given the latest one that is possible."""
        await self.known("a-1", 0.0)
        await self.sweep_later()
        self.assertEqual(self.mirror.agents["a-1"].expires_at, NOW + WAIT_SECONDS + DAY)

    async def test_record_that_changes(self) -> None:
        """A record that is not what it was when it was judged stays."""
        await self.known("a-1", 1.0)
        seen = self.mirror.agents["a-1"]
        await self.known("a-1", NOW)
        self.mirror.agents["a-1"] = seen
        await self.sweep_later()
        self.assertIsNotNone(await self.control.store.get(seen.key))

    async def test_registry_away(self) -> None:
        """A sweep that cannot be done is left to the next one."""
        await self.known("a-1", 1.0)
        before = dict(self.mirror.agents)
        await self.control.store.close()
        await self.sweep()
        self.assertEqual(self.mirror.agents, before)

    async def test_now_and_then(self) -> None:
        """It sweeps by itself until it is stopped."""
        await self.known("a-1", 1.0)
        self.expiry.start()
        self.control.clock.pump([SWEEP_SECONDS] * (1 + round(WAIT_SECONDS / SWEEP_SECONDS)))
        self.assertEqual(self.mirror.agents, {})
        self.expiry.stop()
        await self.known("a-2", 1.0)
        self.control.clock.advance(SWEEP_SECONDS)
        self.assertEqual(list(self.mirror.agents), ["a-2"])

    async def test_end_is_written_down(self) -> None:
        """Enrollment and renewal write down when the certificate ends; a record that went is not brought back."""
        enrollment = self.control.enrollment
        _, text = await enrollment.create_token(
            edges=["192.0.2.1:7844"], hostnames=["*.warp.example"], labels={}, uses=1, ttl_seconds=60
        )
        token = parse_token(text)
        csr = new_request(new_key())
        answer = await enrollment.enroll(EnrollRequest(token_id=token.id, secret=token.secret, csr_pem=csr))
        assert isinstance(answer, Enrolled)
        self.assertEqual(self.mirror.agents[answer.agent_id].expires_at, NOW + DAY)
        agent = self.control.connect(answer.agent_id)
        agent.hello("app.warp.example")
        self.control.clock.advance(10)
        agent.send(RenewRequest(csr_pem=csr))
        record = self.mirror.agents[answer.agent_id]
        self.assertEqual(record.expires_at, NOW + DAY + 10)
        await self.control.store.delete(record.key)
        self.mirror.agents[record.id] = replace(record)
        enrollment.renew(record.id, csr)
        self.assertIsNone(await self.control.store.get(record.key))
