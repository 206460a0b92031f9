"""Tests of `warp_twisted.registry.etcd.image`."""

from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.copy import WRITE_SECONDS, EtcdCopy
from warp_twisted.registry.etcd.identity import ABOUT, About, encode_about
from warp_twisted.registry.etcd.image import LOOK, SLICE, EtcdImage
from warp_twisted.registry.etcd.messages import Change
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.model import NUMBERING
from warp_twisted.registry.store import Event, Put

KEPT = "warp/revocations/"
HERE = Change(ABOUT, encode_about(About(registry="here")), 2)


class EtcdImageTests(SynchronousTestCase):
    """`EtcdImage`."""

    def setUp(self) -> None:
        """Make an image with a copy."""
        self.clock = Clock()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.batches: list[list[str]] = []
        self.image, self.memory = self.make()

    def make(self) -> tuple[EtcdImage, MemoryStore]:
        """Return an image, as of a process that begins, and its memory."""
        memory = MemoryStore(self.clock)
        self.copy = EtcdCopy(self.directory, self.clock, execute)
        memory.watch("", 0, self.note, lambda error: None)
        return EtcdImage(memory, self.clock, self.copy, (KEPT,)), memory

    def note(self, events: "tuple[Event, ...] | object") -> None:
        """Note which keys were told together."""
        assert isinstance(events, tuple)
        self.batches.append([event.key for event in events])

    def replace(self, changes: list[Change], revision: int) -> None:
        """Have a snapshot applied to its end."""
        done = Deferred.fromCoroutine(self.image.replace(changes, revision))
        while not done.called:
            self.clock.advance(0)
        self.successResultOf(done)

    def keys(self) -> list[str]:
        """Return the keys that are known."""
        return [item.key for item in self.successResultOf(self.memory.range("")).items]

    def test_slices(self) -> None:
        """A snapshot is applied so many keys at a time, in turns of their own; what is known already is not told."""
        changes = [HERE, *(Change(f"a/{number:04}", b"x", 3) for number in range(3 * SLICE))]
        done = Deferred.fromCoroutine(self.image.replace(changes, 9))
        self.assertEqual([len(each) for each in self.batches], [SLICE])
        self.assertNoResult(done)
        for _ in range(3):
            self.clock.advance(0)
        self.successResultOf(done)
        self.assertEqual([len(each) for each in self.batches], [SLICE] * 3)
        self.replace(changes, 10)
        self.assertEqual(len(self.batches), 3)
        self.assertEqual(len(self.keys()), 3 * SLICE)

    def test_long_looks_are_sliced(self) -> None:
        """Looking for what differs among many keys takes several turns too."""
        changes = [Change(f"a/{number:05}", b"x", 3) for number in range(LOOK + 1)]
        self.replace(changes, 9)
        done = Deferred.fromCoroutine(self.image.replace(changes, 9))
        self.assertNoResult(done)
        self.clock.advance(0)
        self.successResultOf(done)

    def test_whom_to_refuse_comes_first(self) -> None:
        """Revocations are applied before anything else."""
        self.replace([HERE, Change("warp/agents/1", b"x", 3), Change(KEPT + "1", b"y", 4)], 9)
        self.assertEqual(self.batches, [[KEPT + "1", "warp/agents/1"]])

    def test_gone(self) -> None:
        """What etcd has no more is gone here, too."""
        self.replace([HERE, Change("a/1", b"x", 3), Change("a/2", b"x", 3)], 9)
        self.replace([HERE, Change("a/2", b"x", 3)], 12)
        self.assertEqual((self.keys(), self.image.modified), (["a/2"], {"a/2": 3}))

    def test_restored_backup_forgets_no_revocation(self) -> None:
        """An etcd that is older than what is known here loses what came later, but not revocations: they are owed."""
        self.successResultOf(Deferred.fromCoroutine(self.copy.take()))
        self.replace([HERE, Change("a/1", b"x", 3), Change(KEPT + "1", b"y", 4)], 9)
        self.replace([HERE], 5)
        self.assertEqual(self.keys(), [KEPT + "1"])
        self.assertEqual(self.image.owed, {KEPT + "1": Put(KEPT + "1", b"y")})

    def test_revocation_that_was_taken_back(self) -> None:
        """In an etcd that went on, a revocation that is no more is no more here."""
        self.replace([HERE, Change(KEPT + "1", b"y", 4)], 9)
        self.replace([HERE], 10)
        self.assertEqual((self.keys(), self.image.owed), ([], {}))

    def test_another_registry(self) -> None:
        """Another registry, none, and half a copy leave everything as it is."""
        self.replace([HERE, Change("a/1", b"x", 3)], 9)
        for changes in (
            [Change(ABOUT, encode_about(About(registry="there")), 20)],
            [Change(ABOUT, encode_about(About(registry="here", is_complete=False)), 20)],
            [],
        ):
            self.failureResultOf(Deferred.fromCoroutine(self.image.replace(changes, 20)), StoreBroken)
            self.assertEqual(self.keys(), ["a/1"])
        with self.assertRaises(StoreBroken):
            self.image.change([Change(ABOUT, None, 20)], 20)

    def test_what_changes_every_second(self) -> None:
        """Who numbers the zone is known, and told, and is not written to disk with each beat."""
        self.successResultOf(Deferred.fromCoroutine(self.copy.take()))
        self.replace([HERE, Change("a/1", b"x", 3)], 9)
        self.clock.advance(WRITE_SECONDS)
        for revision in range(10, 15):
            self.image.change([Change(NUMBERING + "warp.example", b"%d" % revision, revision)], revision)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.keys(), ["a/1", NUMBERING + "warp.example"])
        self.image.change([Change("a/2", b"y", 15)], 15)
        self.clock.advance(WRITE_SECONDS)
        kept = self.successResultOf(Deferred.fromCoroutine(self.copy.read()))
        assert kept is not None
        self.assertEqual([item.key for item in kept.items], ["a/1", "a/2"])

    def test_begins_with_its_copy(self) -> None:
        """A process that begins knows what the one before did: values, revisions, what is owed, which registry."""
        self.successResultOf(Deferred.fromCoroutine(self.copy.take()))
        self.replace([HERE, Change("a/1", b"x", 3), Change("a/2", b"x", 4)], 9)
        self.image.change([Change("a/3", b"z", 10)], 10)
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(self.image.owe([Put("a/2", b"revoked")]))))
        self.clock.advance(WRITE_SECONDS)
        self.successResultOf(Deferred.fromCoroutine(self.copy.close()))
        self.image, self.memory = self.make()
        kept = self.successResultOf(Deferred.fromCoroutine(self.copy.read()))
        assert kept is not None
        self.successResultOf(Deferred.fromCoroutine(self.image.load(kept)))
        self.assertEqual((self.image.registry, self.image.revision), ("here", 10))
        self.assertEqual(self.image.modified, {"a/1": 3, "a/2": 4, "a/3": 10})
        item = self.successResultOf(self.memory.get("a/2"))
        assert item is not None
        self.assertEqual(item.value, b"revoked")
        self.image.paid(["a/2"])
        self.assertEqual(self.image.owed, {})
