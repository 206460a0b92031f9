"""Tests of the registry's file on disks that take nothing, of a real file system."""

import os
import shutil
from pathlib import Path
from unittest import SkipTest

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.disks import SmallDisk
from warp_twisted.registry.errors import StoreBroken, StoreInUse
from warp_twisted.registry.sqlite import RETRY_SECONDS, SqliteStore
from warp_twisted.registry.sqlite_file import FILE, RegistryFile
from warp_twisted.registry.store import NO_LEASE, Delete, Item, Put

KEPT = "warp/agents/a-1"
GONE = "warp/agents/a-2"


class UnwritableDiskTests(SynchronousTestCase):
    """A store on a small disk, as a killed or a stopped edge left it."""

    def setUp(self) -> None:
        """Mount the disk."""
        if os.geteuid() != 0:
            raise SkipTest("only root may mount")
        path = Path(self.mktemp())
        path.mkdir()
        self.disk = SmallDisk(path)
        self.addCleanup(self.disk.unmount)
        self.directory = path / "state"
        self.clock = Clock()

    def write(self, *, is_killed: bool) -> None:
        """Leave a registry in which one key is kept, and another was put and removed."""
        store = SqliteStore(self.directory, self.clock)
        for operation in (Put(KEPT, b"kept"), Put(GONE, b"gone"), Delete(GONE)):
            self.successResultOf(store.transact([], [operation]))
        if is_killed:  # what a process that is killed leaves is there before the store is closed
            left = self.directory.with_name("left")
            shutil.copytree(self.directory, left)
            self.successResultOf(store.close())
            shutil.rmtree(self.directory)
            left.rename(self.directory)
        else:
            self.successResultOf(store.close())

    def keys(self, store: SqliteStore) -> list[str]:
        """Return what a store has."""
        return [item.key for item in self.successResultOf(store.range("warp/")).items]

    def serves_and_heals(self, wreck: str) -> None:
        """Start on a wrecked disk, be refused, have it mended, and find after another start what was changed."""
        getattr(self.disk, wreck)()
        store = SqliteStore(self.directory, self.clock)
        self.assertEqual(self.keys(store), [KEPT])
        self.assertTrue(store.problem)
        refused = self.failureResultOf(store.put("warp/agents/a-3", b"x"), StoreBroken)
        self.assertIn("the registry cannot be written: ", refused.getErrorMessage())
        self.assertFalse(self.successResultOf(store.insist([Delete(KEPT), Put("warp/revoked", b"x")])))
        self.assertEqual(self.keys(store), ["warp/revoked"])
        self.clock.advance(RETRY_SECONDS)
        self.assertTrue(store.problem)
        self.disk.mend()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(store.problem, "")
        self.successResultOf(store.put("warp/agents/a-4", b"x"))
        self.successResultOf(store.close())
        store = SqliteStore(self.directory, self.clock)
        self.assertEqual((store.problem, self.keys(store)), ("", ["warp/agents/a-4", "warp/revoked"]))
        self.successResultOf(store.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_read_only_after_a_stop(self) -> None:
        """A file without a log is read from a disk that became read-only."""
        self.write(is_killed=False)
        self.serves_and_heals("make_read_only")

    def test_read_only_after_a_kill(self) -> None:
        """So is one whose last changes are in the log only: none of them is overlooked."""
        self.write(is_killed=True)
        self.assertTrue((self.directory / f"{FILE}-wal").stat().st_size)
        self.serves_and_heals("make_read_only")

    def test_read_only_without_the_shared_index(self) -> None:
        """So is one after a crash of the machine, where SQLite's shared index was lost."""
        self.write(is_killed=True)
        (self.directory / f"{FILE}-shm").unlink()
        self.serves_and_heals("make_read_only")

    def test_full_after_a_stop(self) -> None:
        """A disk that has no room for a log is no reason not to start either."""
        self.write(is_killed=False)
        self.serves_and_heals("fill")

    def test_full_without_the_shared_index(self) -> None:
        """Where there is a log, and no room for the index, the log is read, and still there for the next."""
        self.write(is_killed=True)
        (self.directory / f"{FILE}-shm").unlink()
        self.serves_and_heals("fill")

    def test_full_while_it_runs(self) -> None:
        """A store whose disk fills up goes on, and what failed is not there after it was mended and started again."""
        self.write(is_killed=False)
        store = SqliteStore(self.directory, self.clock)
        self.disk.fill()
        large = [Put(f"warp/large/{number}", bytes(60_000)) for number in range(3)]
        self.failureResultOf(store.transact([], large), StoreBroken)
        self.assertTrue(store.problem)
        self.disk.mend()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((store.problem, self.keys(store)), ("", [KEPT]))
        self.successResultOf(store.close())
        store = SqliteStore(self.directory, self.clock)
        self.assertEqual(self.keys(store), [KEPT])
        self.successResultOf(store.close())

    def test_full_before_there_was_any(self) -> None:
        """A registry that cannot be made is an empty one, and made when there is room."""
        self.directory.mkdir()
        self.disk.fill()
        store = SqliteStore(self.directory, self.clock)
        self.assertEqual((self.keys(store), bool(store.problem)), ([], True))
        self.disk.mend()
        self.clock.advance(RETRY_SECONDS)
        self.successResultOf(store.put(KEPT, b"x"))
        self.successResultOf(store.close())

    def test_one_process(self) -> None:
        """Where no lock file can be made there is still one process at a time, and the lock file comes later."""
        self.write(is_killed=False)
        lock = self.directory / f"{FILE}.lock"
        lock.unlink()
        self.disk.make_read_only()
        store = SqliteStore(self.directory, self.clock)
        with self.assertRaises(StoreInUse):
            SqliteStore(self.directory, self.clock)
        self.disk.mend()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((store.problem, lock.exists()), ("", True))
        with self.assertRaises(StoreInUse):
            SqliteStore(self.directory, self.clock)
        self.successResultOf(store.close())

    def test_another_file(self) -> None:
        """Nothing is written to a file that is not the one that was read, such as one below a mount that came late."""
        self.write(is_killed=False)
        self.disk.make_read_only()
        store = SqliteStore(self.directory, self.clock)
        self.disk.mend()
        (self.directory / FILE).rename(self.directory / "aside")
        (self.directory / FILE).write_bytes((self.directory / "aside").read_bytes())
        self.clock.advance(RETRY_SECONDS)
        self.assertIn("is not the file that was read at the start", store.problem)
        self.successResultOf(store.close())


class FailedWriteTests(SynchronousTestCase):
    """A write of which nobody knows what of it is on the disk."""

    def setUp(self) -> None:
        """Make a file."""
        self.directory = Path(self.mktemp())
        self.file = RegistryFile(self.directory)

    def test_opened_again(self) -> None:
        """The file is closed after a write that failed, and opened by the next."""
        item = Item(KEPT, b"x", NO_LEASE, 1, 1)
        too_large = Item(GONE, b"x", NO_LEASE, 2**64, 1)
        self.assertRaises(OverflowError, self.file.write, [(KEPT, item), (GONE, too_large)])
        self.assertTrue(self.file.problem)
        self.file.write([(KEPT, item)])
        self.assertEqual((self.file.problem, self.file.read()), ("", [item]))
        self.file.close()
