"""Tests of reading what another process writes to the registry's file."""

import errno
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.errors import StoreBroken, StoreHandedOver, StoreInUse
from warp_twisted.registry.sqlite import APPLIED_AT_ONCE, FOLLOW_SECONDS, RETRY_SECONDS, SqliteStore
from warp_twisted.registry.sqlite_file import FILE, RegistryFile
from warp_twisted.registry.sqlite_reader import ONE_BY_ONE, RegistryReader
from warp_twisted.registry.store import NO_LEASE, Delete, Event, Item, Operation, Put

KEYS = [f"warp/agents/a-{number}" for number in range(4)]


def item(key: str, revision: int, value: bytes = b"x") -> Item:
    """Return an item as the file has it."""
    return Item(key, value, NO_LEASE, revision, revision)


class ReaderTests(SynchronousTestCase):
    """One process writes, another reads."""

    def setUp(self) -> None:
        """Make a file and a reader of it."""
        self.directory = Path(self.mktemp())
        self.file: RegistryFile | None = RegistryFile(self.directory)
        self.reader = RegistryReader(self.directory)
        self.addCleanup(self.reader.close)

    def tearDown(self) -> None:
        """Close the file, unless a test has."""
        if self.file is not None:
            self.file.close()

    def write(self, changes: list[tuple[str, Item | None]]) -> None:
        """Write as the process does that has the file."""
        assert self.file is not None
        self.file.write(changes)

    def test_each_change_once(self) -> None:
        """What was put, changed and removed since the last look is told, once."""
        self.write([(KEYS[0], item(KEYS[0], 1)), (KEYS[1], item(KEYS[1], 1))])
        self.assertEqual(dict(self.reader.changes()), {KEYS[0]: item(KEYS[0], 1), KEYS[1]: item(KEYS[1], 1)})
        self.assertEqual(self.reader.changes(), [])
        self.write([(KEYS[0], item(KEYS[0], 2, b"y")), (KEYS[1], None), (KEYS[2], item(KEYS[2], 2))])
        self.assertEqual(
            dict(self.reader.changes()),
            {KEYS[0]: Item(KEYS[0], b"y", NO_LEASE, 1, 2), KEYS[1]: None, KEYS[2]: item(KEYS[2], 2)},
        )
        self.assertEqual(self.reader.changes(), [])

    def test_many_at_once(self) -> None:
        """Thousands of changes are read together, and are told once as well."""
        keys = [f"warp/x/{number}" for number in range(ONE_BY_ONE + 1)]
        self.write([(key, item(key, 1)) for key in keys])
        self.assertEqual(dict(self.reader.changes()), {key: item(key, 1) for key in keys})
        self.write([(keys[0], None)])
        self.assertEqual(self.reader.changes(), [(keys[0], None)])

    def test_no_file_yet(self) -> None:
        """Before the first edge has made its file there is nothing, and the reader makes nothing."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.assertEqual(RegistryReader(directory).changes(), [])
        (directory / FILE).touch()
        self.assertEqual(RegistryReader(directory).changes(), [])
        self.assertEqual([path.name for path in directory.iterdir()], [FILE])

    def test_half_written_file(self) -> None:
        """A file that is none is refused, and what is known stays."""
        self.write([(KEYS[0], item(KEYS[0], 1))])
        self.reader.changes()
        self.reader.close()
        assert self.file is not None
        self.file.close()
        self.file = None
        (self.directory / FILE).write_bytes(b"no database" * 1000)
        store = self.assertRaises(StoreBroken, SqliteStore, self.directory, Clock(), is_follower=True)
        self.assertIn("not a database", str(store))
        self.assertEqual(self.reader.seen, {KEYS[0]: 1})

    @given(
        st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=3)), max_size=4), max_size=6)
    )
    @settings(max_examples=30, deadline=None)
    def test_reader_and_writer_agree(self, rounds: list[list[tuple[str, bytes | None]]]) -> None:
        """Whatever is written between two looks, the changes lead to what the file holds."""
        directory = Path(self.mktemp())
        file, reader = RegistryFile(directory), RegistryReader(directory)
        known: dict[str, bytes] = {}
        for revision, changes in enumerate(rounds, 1):
            file.write([(key, None if value is None else item(key, revision, value)) for key, value in changes])
            for key, found in reader.changes():
                known.pop(key, None) if found is None else known.update({key: found.value})
            self.assertEqual(known, {each.key: each.value for each in file.read()})
        reader.close()
        file.close()


class HandOverTests(SynchronousTestCase):
    """Two stores of one directory, one after the other."""

    def setUp(self) -> None:
        """Make a store that has the file, and one that follows."""
        self.directory = Path(self.mktemp())
        self.clock = Clock()
        self.old = SqliteStore(self.directory, self.clock)
        self.put(self.old, KEYS[0], b"before")
        self.new = SqliteStore(self.directory, self.clock, is_follower=True)
        self.addCleanup(lambda: [store.close() for store in (self.old, self.new)])

    def put(self, store: SqliteStore, key: str, value: bytes) -> None:
        """Put a key that lasts."""
        self.successResultOf(store.put(key, value))

    def values(self, store: SqliteStore) -> dict[str, bytes]:
        """Return what a store holds."""
        return {each.key: each.value for each in self.successResultOf(store.range("warp/")).items}

    def full(self, changes: object) -> None:
        """Write to a disk that is full."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def hand_over(self) -> None:
        """Let the new store have the file."""
        self.successResultOf(self.old.release())
        self.successResultOf(self.new.take())

    def test_follower_hears_of_changes(self) -> None:
        """Whoever has no lock hears of what the other writes within a second, in order, on its own watches."""
        heard: list[Event] = []
        revision = self.successResultOf(self.new.range("warp/")).revision
        self.new.watch("warp/", revision, heard.extend, self.fail)
        self.put(self.old, KEYS[1], b"y")
        self.successResultOf(self.old.delete(KEYS[0]))
        self.clock.advance(FOLLOW_SECONDS)
        self.assertEqual(
            {event.key: event.item and event.item.value for event in heard}, {KEYS[0]: None, KEYS[1]: b"y"}
        )
        self.assertEqual(self.values(self.new), {KEYS[1]: b"y"})

    def test_both_ways(self) -> None:
        """Old, new, and old again: each has what the other wrote, and revisions only grow."""
        self.put(self.old, KEYS[1], b"last of old")
        self.hand_over()
        self.assertEqual((self.old.is_follower, self.new.is_follower), (True, False))
        self.assertEqual(self.values(self.new), {KEYS[0]: b"before", KEYS[1]: b"last of old"})
        self.put(self.new, KEYS[2], b"of new")
        self.clock.advance(FOLLOW_SECONDS)
        self.assertEqual(self.values(self.old)[KEYS[2]], b"of new")
        self.put(self.new, KEYS[3], b"last of new")
        self.successResultOf(self.new.release())
        self.successResultOf(self.old.take())
        before = self.successResultOf(self.old.get(KEYS[3]))
        assert before is not None
        self.assertGreater(self.successResultOf(self.old.put(KEYS[0], b"again")), before.created)
        self.clock.advance(FOLLOW_SECONDS)
        expected = {KEYS[0]: b"again", KEYS[1]: b"last of old", KEYS[2]: b"of new", KEYS[3]: b"last of new"}
        self.assertEqual((self.values(self.old), self.values(self.new)), (expected, expected))

    def test_taken_again_after_a_kill(self) -> None:
        """What a successor wrote before it was killed is there when its predecessor has the file again."""
        self.hand_over()
        self.put(self.new, KEYS[1], b"of new")
        assert self.new._file is not None
        os.close(self.new._file._lock)  # as the kernel does; nothing is checkpointed
        self.addCleanup(setattr, self.new._file, "_lock", os.open(self.directory, os.O_RDONLY))
        self.successResultOf(self.old.take())
        self.assertEqual(self.values(self.old)[KEYS[1]], b"of new")

    def test_follower_writes_nothing_that_lasts(self) -> None:
        """Without the file a store says where to ask, keeps leases of its own, and forgets nothing of them."""
        self.hand_over()
        lease = self.successResultOf(self.old.grant(100.0))
        self.successResultOf(self.old.put(KEYS[1], b"leased", lease))
        operations: list[Operation] = [Put(KEYS[2], b"x")]
        for refused in (
            self.old.put(KEYS[2], b"x"),
            self.old.delete(KEYS[0]),
            self.old.transact([], operations),
            self.old.insist([Delete(KEYS[0])]),
        ):
            self.assertIn("ask again", self.failureResultOf(refused, StoreHandedOver).getErrorMessage())
        self.put(self.new, KEYS[1], b"of new, at a key that is leased here")
        self.put(self.new, KEYS[3], b"z")
        self.clock.advance(FOLLOW_SECONDS)
        self.assertEqual(self.values(self.old), {KEYS[0]: b"before", KEYS[1]: b"leased", KEYS[3]: b"z"})

    def test_lock_that_the_other_has(self) -> None:
        """Nobody takes a file that was not released, and it can be tried again."""
        self.failureResultOf(self.new.take(), StoreInUse)
        self.assertTrue(self.new.is_follower)
        self.hand_over()
        self.assertRaises(StoreInUse, SqliteStore, self.directory, self.clock)

    def test_what_is_owed_is_not_handed_over(self) -> None:
        """A store that could not write keeps the file: a revocation that is in its memory alone would be lost."""
        assert self.old._file is not None
        patch = self.patch(self.old._file, "write", self.full)
        self.assertFalse(self.successResultOf(self.old.insist([Put(KEYS[1], b"revoked")])))
        refused = self.failureResultOf(self.old.release(), StoreBroken)
        self.assertIn("it is not handed over", refused.getErrorMessage())
        self.assertFalse(self.old.is_follower)
        patch.restore()
        self.clock.advance(RETRY_SECONDS)
        self.hand_over()
        self.assertEqual(self.values(self.new)[KEYS[1]], b"revoked")

    def test_many_changes_take_turns(self) -> None:
        """Thousands of changes are applied a few in a turn, all of them."""
        changes: list[Operation] = [Put(f"warp/x/{number}", b"x") for number in range(3 * APPLIED_AT_ONCE)]
        turns: list[int] = []
        self.new.watch("warp/", 1, lambda events: turns.append(len(events)), self.fail)
        self.successResultOf(self.old.transact([], changes))
        self.clock.advance(FOLLOW_SECONDS)
        self.assertEqual(turns, [APPLIED_AT_ONCE] * 3)

    def test_twice(self) -> None:
        """Releasing or taking twice changes nothing."""
        self.successResultOf(self.old.take())
        self.hand_over()
        self.successResultOf(self.old.release())
        self.successResultOf(self.new.take())
        self.put(self.new, KEYS[1], b"x")
