"""Tests of the store in memory: the contract, and its own limits."""

from collections.abc import Sequence
from typing import Any

from tests.registry import contract
from tests.registry.contract import Watcher
from warp_twisted.registry.errors import Compacted, StoreClosed, TooLarge
from warp_twisted.registry.memory import HISTORY_BYTES, MemoryStore
from warp_twisted.registry.store import MAX_VALUE_BYTES, Event


def fail_at_once(events: Sequence[Event]) -> None:
    """Fail, as a watcher with a bug would."""
    raise ZeroDivisionError


class MemoryStoreTests(contract.CompactionContract):
    """The contract, and what only this store promises."""

    def make_store(self) -> MemoryStore:
        """See `StoreContract`."""
        return MemoryStore(self.clock)

    def make_forgetful_store(self) -> MemoryStore:
        """See `CompactionContract`."""
        return MemoryStore(self.clock, history=3)

    async def test_number_of_keys_is_limited(self) -> None:
        """A new key over the limit is refused; keys that exist can still be changed."""
        store = MemoryStore(self.clock, max_keys=2)
        await store.put("a/1", b"")
        await store.put("a/2", b"")
        with self.assertRaises(TooLarge):
            await store.put("a/3", b"")
        await store.put("a/2", b"changed")

    async def test_number_of_leases_is_limited(self) -> None:
        """A lease over the limit is refused."""
        store = MemoryStore(self.clock, max_keys=1)
        await store.grant(30)
        with self.assertRaises(TooLarge):
            await store.grant(30)

    async def test_number_of_watches_is_limited(self) -> None:
        """A watch over the limit is lost at once, and one that ends makes room."""
        store = MemoryStore(self.clock, max_watches=1)
        first = Watcher(store, "a/")
        second = Watcher(store, "a/")
        self.clock.advance(0)
        self.assertEqual([type(error) for error in second.errors], [TooLarge])
        first.watch.cancel()
        third = Watcher(store, "a/")
        await store.put("a/1", b"x")
        self.clock.advance(0)
        self.assertEqual((third.errors, third.seen), ([], [("a/1", b"x")]))

    async def test_bytes_of_the_history_are_limited(self) -> None:
        """Large values leave it sooner, so that changing one again and again does not fill the memory."""
        first = await self.store.put("a/0", b"")
        for _ in range(HISTORY_BYTES // MAX_VALUE_BYTES):
            await self.store.put("a/1", b"x" * MAX_VALUE_BYTES)
        kept = Watcher(self.store, "a/", first)
        await self.store.put("a/2", b"x")
        lost = Watcher(self.store, "a/", first)
        self.clock.advance(0)
        self.assertEqual((kept.errors, [type(error) for error in lost.errors]), ([], [Compacted]))

    async def test_watcher_may_write(self) -> None:
        """What a watcher writes while it is told comes after, to every watcher in the same order."""
        store = MemoryStore(self.clock)

        def answer(events: Any) -> None:
            if events[0].key == "a/1":
                store.put("a/2", b"answer")

        store.watch("a/", 0, answer, self.fail)
        watcher = Watcher(store, "a/")
        await store.put("a/1", b"question")
        self.assertEqual(watcher.seen, [("a/1", b"question"), ("a/2", b"answer")])

    async def test_failing_watcher_harms_nobody(self) -> None:
        """An exception in one watcher is logged, and the others still hear."""
        store = MemoryStore(self.clock)
        store.watch("a/", 0, fail_at_once, self.fail)
        watcher = Watcher(store, "a/")
        await store.put("a/1", b"x")
        self.assertEqual(watcher.seen, [("a/1", b"x")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_closed_store(self) -> None:
        """A closed store refuses everything, and its leases no longer tick."""
        store = MemoryStore(self.clock)
        await store.grant(30)
        await store.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for operation in (store.get("a"), store.range("a"), store.put("a", b""), store.grant(3)):
            with self.assertRaises(StoreClosed):
                await operation
