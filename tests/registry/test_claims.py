"""Tests of claims: values that stay in the registry as long as this process stands behind them."""

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.model import Edge, encode
from warp_twisted.registry.store import LeaseId

EDGE = Edge(name="edge1", addresses=("192.0.2.1",))
TTL = 30


class ClaimTests(TestCase):
    """One claim's life."""

    def setUp(self) -> None:
        """Begin with nothing claimed."""
        self.clock = Clock()
        self.store = FlakyStore(self.clock)
        self.claims = Claims(self.store, self.clock, TTL)
        self.claims.start()
        self.addCleanup(self.finish)

    async def finish(self) -> None:
        """Leave no call behind."""
        self.store.is_away = False
        await self.claims.stop()

    async def there(self) -> bytes | None:
        """Return what the store holds for the edge."""
        item = await self.store.get(EDGE.key)
        return item.value if item else None

    async def test_claimed_value_is_there(self) -> None:
        """A claimed value is in the store at once."""
        claim, settled = self.claims.put(EDGE)
        await settled
        self.assertEqual(await self.there(), encode(EDGE))
        self.assertTrue(claim.is_settled)

    async def test_claim_is_kept_alive(self) -> None:
        """A claim outlives its lease's time many times over, at three keep-alives for each."""
        self.claims.put(EDGE)
        self.clock.pump([1] * TTL * 4)
        self.assertEqual(await self.there(), encode(EDGE))
        self.assertIn(self.store.keep_alives, range(11, 14))

    async def test_claim_of_a_dead_process(self) -> None:
        """When nobody keeps it alive, a claim's value goes after its time."""
        self.claims.put(EDGE)
        self.claims._sweep.stop()
        self.clock.advance(TTL + 1)
        self.assertIsNone(await self.there())
        self.claims.start()

    async def test_update(self) -> None:
        """An updated claim holds the new value, under the same lease."""
        claim, _ = self.claims.put(EDGE)
        await claim.update(replace(EDGE, draining=True))
        self.assertEqual(await self.there(), encode(replace(EDGE, draining=True)))
        self.clock.pump([1] * TTL * 2)
        self.assertIsNotNone(await self.there())

    async def test_release(self) -> None:
        """A released claim's value is gone at once, and nothing is kept alive for it any more."""
        claim, _ = self.claims.put(EDGE)
        await claim.release()
        self.assertIsNone(await self.there())
        self.clock.pump([1] * TTL)
        self.assertEqual(self.store.keep_alives, 0)

    async def test_lost_lease_is_replaced(self) -> None:
        """If the lease is lost all the same, the value comes back at the next keep-alive."""
        self.claims.put(EDGE)
        await self.store.revoke(LeaseId(1))
        self.assertIsNone(await self.there())
        self.clock.pump([1] * 11)
        self.assertEqual(await self.there(), encode(EDGE))

    async def test_lease_lost_before_an_update(self) -> None:
        """An update whose lease is lost is put under a new one."""
        claim, _ = self.claims.put(EDGE)
        await self.store.revoke(LeaseId(1))
        await claim.update(replace(EDGE, weight=1))
        self.assertEqual(await self.there(), encode(replace(EDGE, weight=1)))

    async def test_store_away_at_the_claim(self) -> None:
        """A claim made while the store is away settles when it is back."""
        self.store.is_away = True
        claim, settled = self.claims.put(EDGE)
        await settled
        self.assertFalse(claim.is_settled)
        self.assertTrue(self.claims.is_failing)
        self.store.is_away = False
        self.clock.pump([1] * 11)
        self.assertEqual(await self.there(), encode(EDGE))
        self.assertFalse(self.claims.is_failing)

    async def test_store_away_at_the_release(self) -> None:
        """A release while the store is away is made good when it is back."""
        claim, _ = self.claims.put(EDGE)
        self.store.is_away = True
        await claim.release()
        self.store.is_away = False
        self.clock.pump([1] * 11)
        self.assertIsNone(await self.there())

    async def test_store_away_for_a_while(self) -> None:
        """Keep-alives that fail are tried again before the lease is over."""
        self.claims.put(EDGE)
        self.clock.pump([1] * 9)
        self.store.is_away = True
        self.clock.pump([1] * 15)
        self.store.is_away = False
        self.clock.pump([1] * TTL)
        self.assertEqual(await self.there(), encode(EDGE))

    async def test_stop_releases_everything(self) -> None:
        """Stopping takes every value out."""
        self.claims.put(EDGE)
        self.claims.put(replace(EDGE, name="edge2"))
        await self.claims.stop()
        self.assertEqual((await self.store.range("warp/")).items, ())

    async def test_keep_alives_are_spread(self) -> None:
        """Claims made over time are kept alive over time, not all in one turn."""
        for number in range(10):
            self.claims.put(replace(EDGE, name=f"e{number}"))
            self.clock.advance(1)
        self.store.keep_alives = 0
        most = 0
        for _ in range(20):
            before = self.store.keep_alives
            self.clock.advance(1)
            most = max(most, self.store.keep_alives - before)
        self.assertLessEqual(most, 2)
