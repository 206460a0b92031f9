"""Tests of `warp_twisted.registry.etcd.moving`: nothing is lost, and nothing is half of something without saying so."""

import json
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.etcd.gateway import MemoryEtcd
from tests.registry.test_model import VALUES
from warp_twisted.registry.errors import NotEmpty, NotTheSame, StoreBroken, StoreInUse
from warp_twisted.registry.etcd import moving as module
from warp_twisted.registry.etcd.identity import ABOUT
from warp_twisted.registry.etcd.messages import TRANSACTION_PATH, transaction_request
from warp_twisted.registry.etcd.moving import EtcdPlace, FilePlace, copy_registry
from warp_twisted.registry.model import encode
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.store import MAX_VALUE_BYTES, Put

CONTENT = {each.key: encode(each) for each in VALUES} | {
    "warp-policy/0000000012/0000": b"p" * MAX_VALUE_BYTES,
    "warp-policy/0000000012/0001": b"",
    "warp/of-a-later-release/1": bytes(range(256)),
}


class Calls:
    """An etcd in memory that is asked and waited for; `left`: calls that it answers still, below 0 all."""

    name = "etcd at memory"

    def __init__(self) -> None:
        self.etcd = MemoryEtcd(Clock())
        self.left = -1

    def call(self, path: str, body: bytes) -> bytes:
        """See `BlockingCalls`."""
        if not self.left:
            raise StoreBroken("etcd at memory does not answer")
        self.left -= 1
        return json.dumps(self.etcd.answer(path, body)).encode()


class CopyingTests(SynchronousTestCase):
    """`copy_registry`."""

    def setUp(self) -> None:
        """Fill an edge's file with a record of each kind, as the edge does."""
        self.state = Path(self.mktemp())
        store = SqliteStore(self.state, Clock())
        for key, value in CONTENT.items():
            self.successResultOf(store.put(key, value))
        self.successResultOf(store.close())
        self.calls = Calls()
        self.there = EtcdPlace(self.calls)
        self.progress: list[tuple[int, int]] = []

    def copy(self, *, replace: bool = False) -> int:
        """Copy the file onto etcd."""
        return copy_registry(FilePlace(self.state), self.there, self.tell, replace=replace)

    def tell(self, done: int, of: int) -> None:
        """Note progress."""
        self.progress.append((done, of))

    def test_there_and_back(self) -> None:
        """Each record of each kind, and what this release does not know, is the same on etcd and in a file again."""
        self.assertEqual(self.copy(), len(CONTENT))
        found = self.there.read()
        about = found.pop(ABOUT)
        self.assertEqual(found, CONTENT)
        self.assertEqual(self.progress[-1], (len(CONTENT), len(CONTENT)))
        other = Path(self.mktemp())
        copy_registry(self.there, FilePlace(other), self.tell)
        self.assertEqual(FilePlace(other).read(), CONTENT | {ABOUT: about})
        store = SqliteStore(other, Clock())
        self.addCleanup(store.close)
        self.assertEqual(
            {item.key for item in self.successResultOf(store.range("warp/")).items},
            {key for key in CONTENT if key.startswith("warp/")},
        )
        item = self.successResultOf(store.get("warp/agents/a-1"))
        assert item is not None
        self.assertTrue(self.successResultOf(store.transact([], [Put(item.key, b"x")])))

    def test_identity_stays(self) -> None:
        """A registry that comes back to etcd is the one that edges followed before."""
        self.copy()
        about = self.there.read()[ABOUT]
        other = Path(self.mktemp())
        copy_registry(self.there, FilePlace(other), self.tell)
        self.calls = Calls()
        again = EtcdPlace(self.calls)
        copy_registry(FilePlace(other), again, self.tell)
        self.assertEqual(again.read()[ABOUT], about)

    def test_batches(self) -> None:
        """No transaction has more keys or bytes than etcd takes."""
        self.patch(module, "BATCH", 3)
        self.patch(module, "BATCH_BYTES", 100)
        self.copy()
        self.assertGreater(self.calls.etcd.revision, len(CONTENT) / 3)
        self.assertLessEqual(max(len(each) for each in self.calls.etcd.history), 3)
        self.assertEqual(len(self.there.read()), len(CONTENT) + 1)

    def test_not_empty(self) -> None:
        """Where a registry is already nothing is copied, unless it is to be replaced: then it is gone."""
        old = transaction_request({}, {"warp/agents/old": b"x"})
        self.calls.etcd.answer(TRANSACTION_PATH, old)
        with self.assertRaisesRegex(NotEmpty, "etcd at memory holds a registry already; --replace removes it"):
            self.copy()
        self.assertEqual(len(self.calls.etcd.keys), 1)
        self.copy(replace=True)
        self.assertNotIn("warp/agents/old", self.there.read())
        with self.assertRaisesRegex(NotEmpty, "registry.sqlite holds a registry already"):
            copy_registry(self.there, FilePlace(self.state), self.tell)
        self.calls.etcd.answer(TRANSACTION_PATH, transaction_request({}, {"warp/agents/a-1": None}))
        copy_registry(self.there, FilePlace(self.state), self.tell, replace=True)
        self.assertNotIn("warp/agents/a-1", FilePlace(self.state).read())

    def test_half_a_copy(self) -> None:
        """Whenever a copy ends too early, etcd is left as it was or says that it holds a half; again, it is whole."""
        self.patch(module, "BATCH", 5)
        for calls in range(1, 8):
            self.calls = Calls()
            self.there = EtcdPlace(self.calls)
            self.calls.left = calls
            with self.assertRaises(StoreBroken):
                self.copy()
            self.calls.left = -1
            with self.assertRaisesRegex(StoreBroken, "holds half a copy" if calls > 1 else "holds no registry"):
                self.there.read()
            self.copy(replace=True)
            self.assertEqual(len(self.there.read()), len(CONTENT) + 1)

    def test_somebody_else_writes(self) -> None:
        """What somebody else writes meanwhile is noticed, and the copy not called whole."""

        def write(done: int, of: int) -> None:
            self.calls.etcd.answer(TRANSACTION_PATH, transaction_request({}, {"warp/agents/other": b"x"}))

        with self.assertRaisesRegex(NotTheSame, "somebody else writes to it"):
            copy_registry(FilePlace(self.state), self.there, write)
        with self.assertRaisesRegex(StoreBroken, "half a copy"):
            self.there.read()

    def test_edge_is_running(self) -> None:
        """A file that an edge has open is neither copied nor written."""
        store = SqliteStore(self.state, Clock())
        with self.assertRaisesRegex(StoreInUse, "in use by another process; stop that one"):
            self.copy()
        self.successResultOf(store.close())

    def test_no_registry(self) -> None:
        """A directory without a registry is named, and nothing is made there."""
        other = Path(self.mktemp())
        with self.assertRaisesRegex(StoreBroken, "name the directory that is `state` in edge.yaml"):
            copy_registry(FilePlace(other), self.there, self.tell)
        self.assertFalse(other.exists())
        with self.assertRaisesRegex(StoreBroken, "etcd at memory holds no registry"):
            copy_registry(self.there, FilePlace(other), self.tell)
        self.assertFalse(other.exists())
