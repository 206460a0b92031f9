"""Tests of the embedded store: the contract, and that what lasts does."""

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.registry import contract
from warp_twisted.registry.errors import LeaseNotFound, StoreBroken, StoreInUse
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.sqlite_file import FILE
from warp_twisted.registry.store import Delete, Expect, Put


class SlowDisk:
    """Performs what the store asks only when told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], None], Deferred[None]]] = []

    def perform(self, function: Callable[[], None]) -> Deferred[None]:
        """Queue a function."""
        done: Deferred[None] = Deferred()
        self.waiting.append((function, done))
        return done

    def finish(self) -> None:
        """Perform the first of the queue."""
        function, done = self.waiting.pop(0)
        function()
        done.callback(None)


class SqliteStoreTests(contract.StoreContract):
    """The contract, and what only this store promises."""

    def make_store(self) -> SqliteStore:
        """See `StoreContract`."""
        self.directory = Path(self.mktemp())
        return SqliteStore(self.directory, self.clock)

    async def reopen(self) -> None:
        """Close the store and open the same file."""
        await self.store.close()
        self.store = SqliteStore(self.directory, self.clock)

    async def test_what_has_no_lease_lasts(self) -> None:
        """Keys without a lease are there after a restart, leased ones are not."""
        await self.store.put("a/1", b"lasts")
        await self.store.put("a/2", b"leased", await self.store.grant(1000))
        await self.reopen()
        self.assertEqual(await self.values("a/"), {"a/1": b"lasts"})

    async def test_delete_and_transaction_last(self) -> None:
        """What a transaction removed and put stays so after a restart."""
        revision = await self.store.put("a/1", b"x")
        await self.store.transact([Expect("a/1", revision)], [Delete("a/1"), Put("a/2", b"y"), Put("a/3", b"z")])
        await self.store.delete("a/3")
        await self.reopen()
        self.assertEqual(await self.values("a/"), {"a/2": b"y"})

    async def test_key_that_moved_under_a_lease_does_not_come_back(self) -> None:
        """A key that was durable and then leased is gone after a restart."""
        await self.store.put("a/1", b"x")
        await self.store.put("a/1", b"y", await self.store.grant(1000))
        await self.reopen()
        self.assertEqual(await self.values("a/"), {})

    async def test_revisions_go_on(self) -> None:
        """After a restart a change has a larger revision than any durable one before."""
        before = await self.store.put("a/1", b"x")
        await self.reopen()
        self.assertGreater(await self.store.put("a/2", b"y"), before)

    async def test_nobody_else_can_read_the_files(self) -> None:
        """Directory and files are for their owner only, whatever the umask."""
        await self.store.put("a/1", b"x")
        modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in self.directory.iterdir()}
        self.assertEqual(modes, {0})
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    async def test_no_room_for_the_shared_index(self) -> None:
        """Where SQLite cannot have the file that readers share, as on a full disk, it reads without."""
        await self.store.put("a/1", b"lasts")
        await self.store.close()
        (self.directory / f"{FILE}-shm").mkdir()
        self.store = SqliteStore(self.directory, self.clock)
        self.assertEqual(await self.values("a/"), {"a/1": b"lasts"})

    async def test_second_opener_is_refused(self) -> None:
        """A file that another store has open is refused, and free again after close."""
        with self.assertRaises(StoreInUse):
            SqliteStore(self.directory, self.clock)
        await self.reopen()

    async def test_not_a_database(self) -> None:
        """A file that is no database is refused with its name, and nothing stays locked."""
        await self.store.close()
        for path in self.directory.iterdir():
            os.remove(path)
        (self.directory / FILE).write_bytes(b"not a database at all" * 100)
        with self.assertRaises(StoreBroken) as caught:
            SqliteStore(self.directory, self.clock)
        self.assertIn(FILE, str(caught.exception))
        (self.directory / FILE).unlink()
        self.store = SqliteStore(self.directory, self.clock)

    async def test_newer_version(self) -> None:
        """A file of a version that is not known is refused rather than guessed at."""
        await self.store.close()
        connection = sqlite3.connect(self.directory / FILE)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with self.assertRaises(StoreBroken):
            SqliteStore(self.directory, self.clock)
        (self.directory / FILE).unlink()
        self.store = SqliteStore(self.directory, self.clock)

    async def test_nothing_is_told_before_it_is_saved(self) -> None:
        """A change is neither readable nor told to a watch before the disk has it."""
        disk = SlowDisk()
        store = SqliteStore(Path(self.mktemp()), self.clock, disk.perform)
        told: list[str] = []
        store.watch("a/", 0, lambda events: told.extend(event.key for event in events), self.fail)
        put = store.put("a/1", b"x")
        self.assertEqual((told, await store.get("a/1")), ([], None))
        disk.finish()
        await put
        self.assertEqual(told, ["a/1"])
        closing = store.close()
        disk.finish()
        await closing

    async def test_changes_wait_their_turn(self) -> None:
        """A transaction sees what the change before it did, even while that one waits for the disk."""
        disk = SlowDisk()
        store = SqliteStore(Path(self.mktemp()), self.clock, disk.perform)
        first = store.transact([Expect("a/1")], [Put("a/1", b"first")])
        second = store.transact([Expect("a/1")], [Put("a/1", b"second")])
        self.assertEqual(len(disk.waiting), 1)
        disk.finish()
        self.assertEqual((await first, await second), (True, False))
        closing = store.close()
        disk.finish()
        await closing

    async def test_no_lease_ends_while_the_disk_is_waited_for(self) -> None:
        """A lease that runs out during a write ends after it, and cannot be kept alive any more."""
        disk = SlowDisk()
        store = SqliteStore(Path(self.mktemp()), self.clock, disk.perform)
        lease = await store.grant(10)
        both = store.transact([], [Put("a/1", b"durable"), Put("a/2", b"leased", lease)])
        self.clock.advance(11)
        with self.assertRaises(LeaseNotFound):
            await store.keep_alive(lease)
        disk.finish()
        self.assertTrue(await both)
        self.assertEqual([item.key for item in (await store.range("a/")).items], ["a/1"])
        closing = store.close()
        disk.finish()
        await closing

    async def test_failed_write_changes_nothing(self) -> None:
        """When the disk refuses, the change fails, nothing is told, and the store goes on."""

        def refuse(function: Callable[[], None]) -> Deferred[None]:
            raise sqlite3.OperationalError("database or disk is full")

        disk = SlowDisk()
        store = SqliteStore(Path(self.mktemp()), self.clock, disk.perform)
        store._perform = refuse  # the disk fills up
        with self.assertRaises(StoreBroken):
            await store.put("a/1", b"x")
        self.assertIsNone(await store.get("a/1"))
        await store.put("a/2", b"leased ones need no disk", await store.grant(10))
        store._perform = disk.perform
        closing = store.close()
        disk.finish()
        await closing
