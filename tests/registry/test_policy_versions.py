"""Tests of `warp_twisted.registry.policy_versions`: all of a version or nothing, one writer of two, and bounds."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.policy.document.policy import MAX_BYTES
from warp_twisted.registry.errors import BadValue, PolicyChanged, RegistryError, StoreBroken, StoreClosed, TooLarge
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import CURRENT_POLICY, MAX_POLICY_BYTES, PolicyVersion
from warp_twisted.registry.policy_versions import KEPT_BYTES, KEPT_VERSIONS, MAX_OPERATIONS, TEXTS, PolicyVersions
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.sqlite_file import FILE
from warp_twisted.registry.store import MAX_VALUE_BYTES, Delete, Expect, Operation, Put, Store


class PolicyVersionsTestCase(SynchronousTestCase):
    """Helpers."""

    def add(self, store: Store, text: bytes, replaces: int, *known: PolicyVersion) -> PolicyVersion:
        """Add a version; what it fails with is raised."""
        added = PolicyVersions(store).add(text, known, replaces=replaces, applied_at=7.0, author="ann", message="why")
        return self.successResultOf(Deferred.fromCoroutine(added))

    def fails(self, store: Store, text: bytes, replaces: int) -> RegistryError:
        """Return what adding a version fails with."""
        added = PolicyVersions(store).add(text, [], replaces=replaces, applied_at=7.0)
        error: RegistryError = self.failureResultOf(Deferred.fromCoroutine(added), RegistryError).value
        return error

    def in_force(self, store: Store) -> tuple[int, bytes]:
        """Return number and text of the version in force; 0 if there is none."""
        found = self.successResultOf(Deferred.fromCoroutine(PolicyVersions(store).in_force()))
        return (found[0].number, found[1]) if found is not None else (0, b"")


class PolicyVersionsTests(PolicyVersionsTestCase):
    """On a store in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FlakyStore(self.clock)

    def test_first_and_second(self) -> None:
        """Versions are numbered from 1; what is known of each is kept."""
        self.assertEqual(self.in_force(self.store), (0, b""))
        first = self.add(self.store, b"rules: []", 0)
        self.assertEqual((first.number, first.author, first.message, first.size_bytes), (1, "ann", "why", 9))
        self.assertEqual(self.in_force(self.store), (1, b"rules: []"))
        self.add(self.store, b"", 1, first)
        self.assertEqual(self.in_force(self.store), (2, b""))

    def test_largest(self) -> None:
        """The largest policy that edges take fits, in parts; what is larger is refused, and nothing is written."""
        self.assertEqual(MAX_POLICY_BYTES, MAX_BYTES)
        text = bytes(range(256)) * (MAX_BYTES // 256)
        self.add(self.store, text, 0)
        self.assertEqual(self.in_force(self.store), (1, text))
        self.assertIsInstance(self.fails(self.store, text + b"x", 1), TooLarge)
        self.assertEqual(self.in_force(self.store), (1, text))

    def test_two_writers(self) -> None:
        """Of two who replace the same version one is told that it came second, whenever the other one writes."""
        self.add(self.store, b"one", 0)
        self.assertIn("version 1 of the policy is in force, not 0", str(self.fails(self.store, b"other", 0)))
        self.store.when_asked = lambda: self.add(self.store, b"two", 1)
        self.assertIsInstance(self.fails(self.store, b"other", 1), PolicyChanged)
        self.assertEqual(self.in_force(self.store), (2, b"two"))

    def test_a_store_that_is_away(self) -> None:
        """What cannot be written leaves the version before."""
        self.add(self.store, b"one", 0)

        def go() -> None:
            self.store.is_away = True

        self.store.when_asked = go
        self.assertIsInstance(self.fails(self.store, b"two", 1), StoreClosed)
        self.store.is_away = False
        self.assertEqual(self.in_force(self.store), (1, b"one"))

    def test_a_text_that_is_damaged(self) -> None:
        """A part that is missing, or another one, is noticed; so is a version that is not there."""
        version = self.add(self.store, b"x" * (MAX_VALUE_BYTES + 1), 0)
        versions = PolicyVersions(self.store)
        part = f"{TEXTS}0000000001/1"
        for operation in (Put(part, b"y"), Delete(part)):
            self.successResultOf(self.store.transact([], [operation]))
            self.failureResultOf(Deferred.fromCoroutine(versions.text_of(version)), BadValue)
        self.successResultOf(self.store.delete(version.key))
        self.failureResultOf(Deferred.fromCoroutine(versions.current()), BadValue)
        self.successResultOf(self.store.put(CURRENT_POLICY, b'{"number": -1}'))
        self.failureResultOf(Deferred.fromCoroutine(versions.current()), BadValue)

    @settings(deadline=None, max_examples=15)
    @given(st.lists(st.sampled_from([0, 1, MAX_VALUE_BYTES, 300_000, MAX_BYTES]), min_size=40, max_size=60))
    def test_bounds(self, sizes: list[int]) -> None:
        """However large they are: few are kept, of few bytes, each change is small enough, and no part is left over."""
        store = _Counting(self.clock)
        mirror = Mirror(store, self.clock)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        for number, size in enumerate(sizes):
            self.add(store, bytes([number]) * size, number, *mirror.policy_versions.values())
            known = mirror.policy_versions.values()
            self.assertLessEqual(len(known), KEPT_VERSIONS)
            self.assertLessEqual(sum(version.size_bytes for version in known), KEPT_BYTES)
            self.assertTrue({number, number + 1} - {0} <= {version.number for version in known})
        mirror.stop()
        self.assertLessEqual(store.most, MAX_OPERATIONS)
        listing = self.successResultOf(store.range(TEXTS))
        self.assertEqual(
            sum(len(item.value) for item in listing.items),
            sum(version.size_bytes for version in mirror.policy_versions.values()),
        )


class _Counting(FlakyStore):
    """Notes the largest transaction."""

    most = 0

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """Note how much it is."""
        self.most = max(self.most, len(operations) + len(expectations))
        return super().transact(expectations, operations)


class KilledTests(PolicyVersionsTestCase):
    """On a store in a file, as a process that is killed leaves it."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())

    def open(self, directory: Path) -> SqliteStore:
        """Open a store."""
        store = SqliteStore(directory, Clock())
        self.addCleanup(lambda: self.successResultOf(store.close()))
        return store

    def test_between_any_two_steps(self) -> None:
        """Before each statement that is run for a version, the files hold all of the version before."""
        store = self.open(self.directory)
        before, after = b"b" * 200_000, b"a" * 200_000
        first = self.add(store, before, 0)
        images: list[Path] = []

        def copy(statement: str) -> None:
            image = Path(self.mktemp())
            shutil.copytree(self.directory, image)
            (image / (FILE + ".lock")).unlink()
            images.append(image)

        assert store._file is not None
        connection = store._file._connection
        assert connection is not None
        connection.set_trace_callback(copy)
        self.add(store, after, 1, first)
        connection.set_trace_callback(None)
        self.assertGreater(len(images), 6)
        for image in images:
            self.assertEqual(self.in_force(self.open(image)), (1, before))
        copy("")
        self.assertEqual(self.in_force(self.open(images[-1])), (2, after))

    def test_a_backup(self) -> None:
        """A copy of a registry in use, made as playbooks/backup.yml makes it, brings the policy back."""
        store = self.open(self.directory)
        self.add(store, b"one", 0)
        image = Path(self.mktemp())
        image.mkdir()
        source = sqlite3.connect(f"{(self.directory / FILE).absolute().as_uri()}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(image / FILE)) as target:
            source.backup(target)
        self.assertEqual(self.in_force(self.open(image)), (1, b"one"))

    def test_a_disk_that_is_full(self) -> None:
        """The version before stays in force, here and in the file."""
        full = False

        def perform(write: Callable[[], None]) -> Deferred[None]:
            return fail(OSError(28, "No space left on device")) if full else execute(write)

        store = SqliteStore(self.directory, Clock(), perform)
        self.add(store, b"one", 0)
        full = True
        self.assertIsInstance(self.fails(store, b"two", 1), StoreBroken)
        self.assertEqual(self.in_force(store), (1, b"one"))
        full = False
        self.successResultOf(store.close())
        self.assertEqual(self.in_force(self.open(self.directory)), (1, b"one"))
