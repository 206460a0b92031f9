"""Tests of which store edge.yaml leads to; `tests.system.edge.test_etcd` has an edge with each of them at work."""

from pathlib import Path

from tests.case import AsyncTestCase, reactor
from warp_twisted.edge.stores.making import make_store
from warp_twisted.edge.stores.settings import EtcdSettings, RegistrySettings
from warp_twisted.registry.errors import StoreInUse
from warp_twisted.registry.etcd.store import EtcdStore
from warp_twisted.registry.sqlite import ThreadedSqliteStore
from warp_twisted.registry.sqlite_file import FILE


class MakingTests(AsyncTestCase):
    """`make_store`."""

    async def prepare(self) -> None:
        """Name a state directory."""
        self.state = Path(self.mktemp())
        self.state.mkdir()

    async def test_file(self) -> None:
        """Without a section the registry is a file, which one process has."""
        store = make_store(reactor, None, None, self.state, "edge1", is_follower=False)
        self.addCleanup(store.close)
        self.assertIsInstance(store, ThreadedSqliteStore)
        self.assertTrue((self.state / FILE).exists())
        self.assertEqual((store.problems(), store.unkept, store.owed, store.is_follower), ({}, "", 0, False))
        with self.assertRaises(StoreInUse):
            make_store(reactor, None, None, self.state, "edge1", is_follower=False)

    async def test_etcd(self) -> None:
        """With one it is etcd, which is not asked yet; nothing is written before the state directory is taken."""
        settings = RegistrySettings(etcd=EtcdSettings(endpoints=("http://127.0.0.1:1",)))
        store = make_store(reactor, settings, None, self.state, "edge1", is_follower=False)
        self.addCleanup(store.close)
        self.assertIsInstance(store, EtcdStore)
        self.assertEqual(list(self.state.iterdir()), [])
        self.assertTrue(store.is_follower)
        await store.take()
        self.assertFalse(store.is_follower)
        self.assertEqual(store.problems(), {"registry": "it cannot be written: etcd was not read yet"})
