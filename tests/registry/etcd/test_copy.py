"""Tests of `warp_twisted.registry.etcd.copy`: on a real disk, also one that takes nothing."""

import stat
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from warp_twisted.registry.errors import StoreBroken, StoreInUse
from warp_twisted.registry.etcd import copy as module
from warp_twisted.registry.etcd.copy import RETRY_SECONDS, WRITE_SECONDS, EtcdCopy, Kept, Perform, Standing
from warp_twisted.registry.store import Delete, Put

STANDING = Standing(registry="r", revision=7)


class EtcdCopyTests(TestCase):
    """`EtcdCopy`."""

    def setUp(self) -> None:
        """Make a directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.clock = Clock()
        self.room = -1  # calls of the disk that succeed; below 0 all
        self.copy = self.another(self.perform)

    def perform(self, function: Callable[[], None]) -> Deferred[None]:
        """Use a disk that is full at times."""
        if not self.room:
            return fail(OSError("no space left on device"))
        self.room -= 1
        return execute(function)

    def another(self, perform: Perform = execute) -> EtcdCopy:
        """Return the copy as another process has it."""
        copy = EtcdCopy(self.directory, self.clock, perform)
        self.addCleanup(lambda: Deferred.fromCoroutine(copy.close()))
        return copy

    async def kept(self) -> Kept:
        """Return what is on the disk."""
        found = await self.another().read()
        assert found is not None
        return found

    async def test_nothing_yet(self) -> None:
        """Without a file there is nothing, and looking makes none."""
        self.assertIsNone(await self.copy.read())
        self.assertEqual(list(self.directory.iterdir()), [])

    async def test_kept(self) -> None:
        """Changes are on the disk a moment later, with etcd's revisions and how far they go; nobody else may read."""
        await self.copy.take()
        self.copy.note([("a/1", b"x", 5), ("a/2", b"gone", 6)], Standing(registry="r", revision=6))
        self.copy.note([("a/2", None, 7)], STANDING)
        self.assertIsNone(await self.another().read())
        self.clock.advance(WRITE_SECONDS)
        found = await self.kept()
        self.assertEqual([(item.key, item.value, item.modified) for item in found.items], [("a/1", b"x", 5)])
        self.assertEqual((found.standing, found.owed), (STANDING, {}))
        self.assertEqual(stat.S_IMODE(self.copy.path.stat().st_mode), 0o600)

    async def test_half_of_it(self) -> None:
        """A file that was not filled to the end counts as none: how far it is comes with the last batch."""
        self.patch(module, "BATCH", 10)
        await self.copy.take()
        self.copy.note([(f"a/{number}", b"x", 5) for number in range(35)], STANDING)
        self.room = 2
        self.clock.advance(WRITE_SECONDS)
        self.assertIsNone(await self.another().read())
        self.room = -1
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len((await self.kept()).items), 35)

    async def test_owed(self) -> None:
        """What is owed is on the disk when that is said, until it is paid."""
        await self.copy.take()
        self.copy.note([], STANDING)
        self.assertTrue(await self.copy.owe([Put("a/1", b"revoked"), Delete("a/2")]))
        self.assertEqual((await self.kept()).owed, {"a/1": Put("a/1", b"revoked"), "a/2": Delete("a/2")})
        self.copy.paid(["a/1"])
        self.clock.advance(WRITE_SECONDS)
        self.assertEqual((await self.kept()).owed, {"a/2": Delete("a/2")})

    async def test_disk_takes_nothing(self) -> None:
        """It says so, keeps what is to be written, and tries again by itself."""
        await self.copy.take()
        self.copy.note([("a/1", b"x", 5)], STANDING)
        self.room = 0
        self.assertFalse(await self.copy.owe([Put("a/2", b"revoked")]))
        self.assertIn("no space left on device", self.copy.problem)
        self.room = -1
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.copy.problem, "")
        found = await self.kept()
        self.assertEqual([item.key for item in found.items], ["a/1"])
        self.assertEqual(list(found.owed), ["a/2"])

    async def test_one_process_after_the_other(self) -> None:
        """One process has it; the next takes it with what is owed, once it was released or its process is gone."""
        await self.copy.take()
        self.copy.note([("a/1", b"x", 5)], STANDING)
        await self.copy.owe([Put("a/2", b"revoked")])
        there = self.another()
        self.copy.note([("a/3", b"y", 7)], STANDING)
        with self.assertRaises(StoreInUse):
            await there.take()
        await self.copy.release()
        self.assertFalse(self.copy.is_taken)
        self.assertEqual(await there.take(), {"a/2": Put("a/2", b"revoked")})
        self.assertTrue(there.is_taken)
        self.assertEqual(sorted(item.key for item in (await self.kept()).items), ["a/1", "a/3"])

    async def test_not_released(self) -> None:
        """What cannot be written is not left to another process."""
        await self.copy.take()
        self.copy.note([("a/1", b"x", 5)], STANDING)
        self.room = 0
        with self.assertRaisesRegex(StoreBroken, "so it is not handed over: .*no space left"):
            await self.copy.release()
        self.assertTrue(self.copy.is_taken)
        self.room = -1

    async def test_damaged(self) -> None:
        """A file that cannot be read is named."""
        self.copy.path.write_bytes(b"no database" * 100)
        with self.assertRaisesRegex(StoreBroken, "etcd-copy.sqlite"):
            await self.copy.read()
