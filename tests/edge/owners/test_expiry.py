"""Tests of hostnames that nobody serves: since when, and when they are free."""

from twisted.internet.defer import Deferred, fail

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import NOW, AgentEnd
from warp_base.slices import Slices
from warp_twisted.edge.owners.expiry import BATCH, SWEEP_SECONDS, WAIT_SECONDS, NameExpiry
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.model import AGENTS, Owner, encode
from warp_twisted.wire.control import Accepted

APP = "app.warp.example"
DAY = 86400.0


class NameExpiryTests(ControlTestCase):
    """An agent goes, and its hostname with it, in time."""

    async def prepare(self) -> None:
        """Start an edge, whose expiry sweeps when it is told to."""
        await super().prepare()
        control = self.control
        self.expiry = NameExpiry(
            control.store, control.mirror, control.holdings, control.tunnels.registrations, control.clock, control.wall,
            lambda: control.settings, Slices(control.clock),
        )  # fmt: skip

    async def sweep(self, times: int = 1) -> None:
        """Sweep; the look through the registry takes turns."""
        for _ in range(times):
            sweeping = Deferred.fromCoroutine(self.expiry.sweep())
            self.control.clock.advance(0)
            await sweeping

    def serve(self, slot: int = 0) -> AgentEnd:
        """Let the agent serve its hostname."""
        agent = self.control.connect("a-1")
        agent.hello(APP, slot=slot)
        agent.answer(Accepted)
        return agent

    def away(self, agent: AgentEnd) -> None:
        """Let it go."""
        agent.pair.agent.close()
        agent.pair.pump()

    @property
    def away_since(self) -> float:
        """Since when nobody serves the hostname, as the registry has it."""
        return self.control.mirror.owners[APP].away_since

    async def test_away_and_back(self) -> None:
        """Since when it is away is noted at the second look, and forgotten when it is back."""
        agent = self.serve()
        await self.sweep(2)
        self.assertEqual(self.away_since, 0)
        self.away(agent)
        await self.sweep()
        self.assertEqual(self.away_since, 0)
        await self.sweep()
        self.assertEqual(self.away_since, NOW)
        self.serve()
        await self.sweep()
        self.assertEqual(self.away_since, 0)

    async def test_away_for_too_long(self) -> None:
        """A hostname is free when its group has not served it for the time that it is held, and not before."""
        self.away(self.serve())
        await self.sweep(2)
        self.control.wall.set(NOW + 7 * DAY - 1)
        await self.sweep()
        self.control.clock.advance(WAIT_SECONDS)
        self.control.wall.set(NOW + 7 * DAY - 1)
        await self.sweep()
        self.assertIn(APP, self.control.mirror.owners)
        self.control.wall.set(NOW + 7 * DAY)
        await self.sweep()
        self.assertIn(APP, self.control.mirror.owners)
        self.control.clock.advance(WAIT_SECONDS)
        await self.sweep()
        self.assertEqual(self.control.mirror.owners, {})

    async def test_clock_that_is_ahead(self) -> None:
        """A wall clock that is years ahead for some hours frees nothing, and what it noted is put right."""
        agent = self.serve()
        self.control.wall.set(NOW + 900 * DAY)
        self.away(agent)
        await self.sweep(2)
        self.assertEqual(self.away_since, NOW + 900 * DAY)
        self.control.wall.set(NOW)
        await self.sweep()
        self.assertEqual(self.away_since, NOW)
        self.control.wall.set(NOW + 900 * DAY)
        await self.sweep()
        self.control.clock.advance(WAIT_SECONDS - 1)
        await self.sweep()
        self.assertIn(APP, self.control.mirror.owners)

    async def test_edge_that_was_down(self) -> None:
        """Whoever was away together with the edge has its whole time from when the edge is back."""
        owner = Owner(hostname=APP, group="blue", since=NOW - 30 * DAY, agents=("a-1",))
        await self.control.store.put(owner.key, encode(owner))
        await self.sweep(2)
        self.assertEqual(self.away_since, NOW)

    async def test_group_without_an_agent(self) -> None:
        """What a group had whose agents are all gone is free, once nobody serves it."""
        agent = self.serve()
        await self.control.store.delete(AGENTS + "a-1")  # as if the edge had been killed before it freed the hostname
        agent.pair.pump()
        await self.sweep(2)
        self.assertEqual(self.control.mirror.owners, {})

    async def test_what_was_not_written(self) -> None:
        """What the registry did not take when it was away is written when it is back."""
        with_disk = self.control.store.transact
        self.control.store.transact = lambda *anything: fail(StoreBroken("full"))  # type: ignore[method-assign]
        self.serve()
        await self.sweep()
        self.assertEqual((self.control.mirror.owners, list(self.control.holdings.unwritten)), ({}, [APP]))
        self.control.store.transact = with_disk  # type: ignore[method-assign]
        await self.sweep()
        self.assertEqual(self.control.mirror.owners[APP].group, "blue")
        self.assertEqual(self.control.holdings.unwritten, {})

    async def test_back_in_the_last_moment(self) -> None:
        """A hostname that is served again while the registry is asked stays with its group."""
        self.away(self.serve())
        await self.sweep(2)
        self.control.wall.set(NOW + 8 * DAY)
        await self.sweep()
        self.control.clock.advance(WAIT_SECONDS)
        get = self.control.store.get

        def late(key: str) -> object:
            self.control.store.get = get  # type: ignore[method-assign]
            self.serve(slot=1)
            return get(key)

        self.control.store.get = late  # type: ignore[assignment, method-assign]
        await self.sweep()
        self.assertEqual(self.control.mirror.owners[APP].group, "blue")

    async def test_batches(self) -> None:
        """One sweep writes so many owners and leaves the others to the next."""
        for number in range(BATCH + 5):
            owner = Owner(hostname=f"n{number}.warp.example", group="blue")
            await self.control.store.put(owner.key, encode(owner))
        await self.sweep(2)
        noted = [owner for owner in self.control.mirror.owners.values() if owner.away_since]
        self.assertEqual(len(noted), BATCH)
        await self.sweep()
        self.assertTrue(all(owner.away_since for owner in self.control.mirror.owners.values()))

    async def test_by_itself(self) -> None:
        """It looks every minute, until it is stopped."""
        self.away(self.serve())
        self.expiry.start()
        self.control.clock.pump([SWEEP_SECONDS, 0, SWEEP_SECONDS, 0])
        self.assertGreater(self.away_since, 0)
        self.expiry.stop()
