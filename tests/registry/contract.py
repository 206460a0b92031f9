"""
What every registry store must do, as tests that each implementation's own test case takes over.

An implementation's test case mixes `StoreContract` in and defines `make_store`. A store over a network may need
`settle` to let events arrive.
"""

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.case import AsyncTestCase
from warp_twisted.registry.errors import Compacted, LeaseNotFound, RegistryError, TooLarge
from warp_twisted.registry.store import (
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    Delete,
    Event,
    Expect,
    LeaseId,
    Put,
    Store,
    Watch,
)


class Watcher:
    """Records what a watch says."""

    def __init__(self, store: Store, prefix: str, after_revision: int = 0) -> None:
        self.batches: list[list[Event]] = []
        self.errors: list[RegistryError] = []
        self.watch: Watch = store.watch(prefix, after_revision, self.changed, self.errors.append)

    def changed(self, events: Sequence[Event]) -> None:
        """Note one call."""
        self.batches.append(list(events))

    @property
    def seen(self) -> list[tuple[str, bytes | None]]:
        """Keys and values in the order told; None for a removed key."""
        return [(event.key, event.item.value if event.item else None) for batch in self.batches for event in batch]


class StoreContract(AsyncTestCase):
    """The tests. Import this module, not the class from it: trial would run the class where it is a name."""

    clock: Clock
    store: Store

    def make_store(self) -> Store:
        """Return an empty store whose time is `self.clock`."""
        raise NotImplementedError

    def settle(self) -> Deferred[None] | None:
        """Let what the store has to say arrive."""
        self.clock.advance(0)
        return None

    async def prepare(self) -> None:
        """Begin with an empty store."""
        self.clock = Clock()
        self.store = await self.begin()
        self.addCleanup(self.finish)

    async def begin(self) -> Store:
        """Return an empty store that can be used."""
        return self.make_store()

    async def finish(self) -> None:
        """Close it."""
        await self.store.close()

    async def wait(self) -> None:
        """Await `settle`."""
        settled = self.settle()
        if settled is not None:
            await settled

    async def values(self, prefix: str) -> dict[str, bytes]:
        """Return what is under a prefix."""
        return {item.key: item.value for item in (await self.store.range(prefix)).items}

    async def test_insist(self) -> None:
        """What is insisted on is done and told like any change, and written where that is possible."""
        await self.store.put("a/1", b"x")
        watcher = Watcher(self.store, "a/", (await self.store.range("a/")).revision)
        self.assertTrue(await self.store.insist([Delete("a/1"), Put("a/2", b"y")]))
        self.settle()
        self.assertEqual(watcher.seen, [("a/1", None), ("a/2", b"y")])

    async def test_absent_key(self) -> None:
        """A key that was never put is None."""
        self.assertIsNone(await self.store.get("a/1"))

    async def test_put_and_get(self) -> None:
        """A value is read back as it was put, with its revisions."""
        revision = await self.store.put("a/1", b"x")
        item = await self.store.get("a/1")
        assert item is not None
        self.assertEqual((item.value, item.created, item.modified), (b"x", revision, revision))

    async def test_put_again_keeps_created(self) -> None:
        """A second put moves `modified` and leaves `created`."""
        first = await self.store.put("a/1", b"x")
        second = await self.store.put("a/1", b"y")
        item = await self.store.get("a/1")
        self.assertGreater(second, first)
        assert item is not None
        self.assertEqual((item.value, item.created, item.modified), (b"y", first, second))

    async def test_range_is_by_prefix_and_ordered(self) -> None:
        """A range holds exactly the keys under its prefix, in order."""
        for key in ("a/2", "b/1", "a/1", "a"):
            await self.store.put(key, b"")
        listing = await self.store.range("a/")
        self.assertEqual([item.key for item in listing.items], ["a/1", "a/2"])

    async def test_delete(self) -> None:
        """Deleting says whether the key was there, and removes it."""
        await self.store.put("a/1", b"x")
        self.assertTrue(await self.store.delete("a/1"))
        self.assertFalse(await self.store.delete("a/1"))
        self.assertIsNone(await self.store.get("a/1"))

    async def test_transaction_when_expectations_hold(self) -> None:
        """All operations of a transaction happen, at one revision."""
        first = await self.store.put("a/1", b"x")
        done = await self.store.transact(
            [Expect("a/1", first), Expect("a/2")], [Put("a/1", b"y"), Put("a/2", b"z"), Delete("a/3")]
        )
        self.assertTrue(done)
        one, two = (await self.store.range("a/")).items
        self.assertEqual((one.value, two.value, one.modified), (b"y", b"z", two.modified))

    async def test_transaction_when_one_expectation_fails(self) -> None:
        """Nothing of a transaction happens when one expectation is false."""
        first = await self.store.put("a/1", b"x")
        await self.store.put("a/1", b"y")
        self.assertFalse(await self.store.transact([Expect("a/1", first)], [Put("a/2", b"z")]))
        self.assertFalse(await self.store.transact([Expect("a/1")], [Put("a/2", b"z")]))
        self.assertFalse(await self.store.transact([Expect("a/9", 1)], [Put("a/2", b"z")]))
        self.assertEqual(await self.values("a/"), {"a/1": b"y"})

    async def test_lease_runs_out(self) -> None:
        """A key vanishes when its lease does, and not before."""
        lease = await self.store.grant(30)
        await self.store.put("a/1", b"x", lease)
        await self.store.put("a/2", b"stays")
        self.clock.advance(29)
        await self.wait()
        self.assertIsNotNone(await self.store.get("a/1"))
        self.clock.advance(2)
        await self.wait()
        self.assertEqual(await self.values("a/"), {"a/2": b"stays"})

    async def test_lease_kept_alive(self) -> None:
        """Keeping a lease alive gives it its full time again."""
        lease = await self.store.grant(30)
        await self.store.put("a/1", b"x", lease)
        for _ in range(5):
            self.clock.advance(20)
            await self.store.keep_alive(lease)
        self.clock.advance(29)
        await self.wait()
        self.assertIsNotNone(await self.store.get("a/1"))

    async def test_lease_revoked(self) -> None:
        """Revoking a lease removes all its keys at one revision; doing it twice is no error."""
        lease = await self.store.grant(30)
        await self.store.put("a/1", b"x", lease)
        await self.store.put("a/2", b"y", lease)
        watcher = Watcher(self.store, "a/", (await self.store.range("a/")).revision)
        await self.store.revoke(lease)
        await self.store.revoke(lease)
        await self.wait()
        self.assertEqual(await self.values("a/"), {})
        self.assertEqual(sorted(watcher.seen), [("a/1", None), ("a/2", None)])
        self.assertEqual(len({event.revision for batch in watcher.batches for event in batch}), 1)

    async def test_ended_lease_cannot_be_used(self) -> None:
        """A lease that is gone, or never was, can neither be kept alive nor carry a key."""
        lease = await self.store.grant(30)
        await self.store.revoke(lease)
        for unusable in (lease, LeaseId(987654321)):
            with self.assertRaises(LeaseNotFound):
                await self.store.keep_alive(unusable)
            with self.assertRaises(LeaseNotFound):
                await self.store.put("a/1", b"x", unusable)
            with self.assertRaises(LeaseNotFound):
                await self.store.transact([], [Put("a/2", b"y"), Put("a/1", b"x", unusable)])
        self.assertEqual(await self.values("a/"), {})

    async def test_key_moves_between_leases(self) -> None:
        """A key belongs to the lease of its last put only."""
        first, second = await self.store.grant(30), await self.store.grant(60)
        await self.store.put("a/1", b"x", first)
        await self.store.put("a/1", b"y", second)
        await self.store.put("a/2", b"x", first)
        await self.store.put("a/2", b"kept")
        self.clock.advance(31)
        await self.wait()
        self.assertEqual(await self.values("a/"), {"a/1": b"y", "a/2": b"kept"})
        self.clock.advance(31)
        await self.wait()
        self.assertEqual(await self.values("a/"), {"a/2": b"kept"})

    async def test_durable_key_put_under_a_lease(self) -> None:
        """A key that was to stay goes with its lease once it is put under one."""
        await self.store.put("a/1", b"x")
        await self.store.put("a/1", b"y", await self.store.grant(30))
        self.clock.advance(31)
        await self.wait()
        self.assertEqual(await self.values("a/"), {})

    async def test_watch_tells_changes_in_order(self) -> None:
        """A watch hears every change under its prefix in order, and nothing else."""
        watcher = Watcher(self.store, "a/")
        await self.store.put("a/1", b"x")
        await self.store.put("b/1", b"-")
        await self.store.put("a/1", b"y")
        await self.store.delete("a/1")
        await self.wait()
        self.assertEqual(watcher.seen, [("a/1", b"x"), ("a/1", b"y"), ("a/1", None)])
        revisions = [event.revision for batch in watcher.batches for event in batch]
        self.assertEqual(revisions, sorted(revisions))

    async def test_watch_begins_in_the_past(self) -> None:
        """A watch that begins after an earlier revision is first told what it missed, once."""
        revision = await self.store.put("a/1", b"x")
        await self.store.put("a/2", b"y")
        await self.store.delete("a/1")
        watcher = Watcher(self.store, "a/", revision)
        await self.store.put("a/3", b"z")
        await self.wait()
        self.assertEqual(watcher.seen, [("a/2", b"y"), ("a/1", None), ("a/3", b"z")])

    async def test_range_then_watch_misses_nothing(self) -> None:
        """Watching from a listing's revision tells exactly what came after the listing."""
        await self.store.put("a/1", b"x")
        listing = await self.store.range("a/")
        await self.store.put("a/2", b"y")
        watcher = Watcher(self.store, "a/", listing.revision)
        await self.wait()
        self.assertEqual(watcher.seen, [("a/2", b"y")])

    async def test_transaction_is_told_at_once(self) -> None:
        """The events of one transaction come in one call."""
        watcher = Watcher(self.store, "a/")
        await self.store.transact([], [Put("a/1", b"x"), Put("a/2", b"y")])
        await self.wait()
        self.assertEqual([[event.key for event in batch] for batch in watcher.batches], [["a/1", "a/2"]])

    async def test_lease_end_is_told(self) -> None:
        """A watch hears that a key went with its lease."""
        watcher = Watcher(self.store, "a/")
        await self.store.put("a/1", b"x", await self.store.grant(30))
        self.clock.advance(31)
        await self.wait()
        self.assertEqual(watcher.seen, [("a/1", b"x"), ("a/1", None)])

    async def test_cancelled_watch_is_silent(self) -> None:
        """A watch that was cancelled hears nothing more, and cancelling twice is no error."""
        watcher = Watcher(self.store, "a/")
        await self.store.put("a/1", b"x")
        await self.wait()
        watcher.watch.cancel()
        watcher.watch.cancel()
        await self.store.put("a/2", b"y")
        await self.wait()
        self.assertEqual((watcher.seen, watcher.errors), ([("a/1", b"x")], []))

    async def test_deleting_nothing_is_not_told(self) -> None:
        """Deleting an absent key makes no event."""
        watcher = Watcher(self.store, "a/")
        await self.store.delete("a/1")
        await self.store.transact([], [Delete("a/2")])
        await self.wait()
        self.assertEqual(watcher.seen, [])

    async def test_limits(self) -> None:
        """Keys and values over their limits are refused, and nothing of the transaction happens."""
        for operation in (Put("k" * (MAX_KEY_BYTES + 1), b""), Put("", b""), Put("a/1", b"v" * (MAX_VALUE_BYTES + 1))):
            with self.assertRaises(TooLarge):
                await self.store.transact([], [Put("a/2", b""), operation])
        await self.store.put("k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES)
        self.assertEqual(await self.values("a/"), {})


class CompactionContract(StoreContract):
    """For stores that keep a bounded history: `make_forgetful_store` returns one that keeps three events."""

    def make_forgetful_store(self) -> Store:
        """Return an empty store that keeps three events."""
        raise NotImplementedError

    async def test_watch_from_too_long_ago(self) -> None:
        """A watch from before what is kept is lost at once, with `Compacted`."""
        self.store = self.make_forgetful_store()
        first = await self.store.put("a/0", b"")
        for number in range(1, 6):
            await self.store.put(f"a/{number}", b"")
        watcher = Watcher(self.store, "a/", first)
        await self.wait()
        self.assertEqual([type(error) for error in watcher.errors], [Compacted])
        self.assertEqual(watcher.seen, [])
