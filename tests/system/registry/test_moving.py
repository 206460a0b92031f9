"""A registry from a file onto a real etcd and back, and an edge that follows it."""

from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from tests.case import AsyncTestCase, reactor, until
from tests.registry.etcd.test_moving import CONTENT
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.registry.etcd.blocking import BlockingEtcd
from warp_twisted.registry.etcd.client import EtcdClient
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.identity import ABOUT
from warp_twisted.registry.etcd.moving import EtcdPlace, FilePlace, copy_registry
from warp_twisted.registry.etcd.store import EtcdStore
from warp_twisted.registry.sqlite import SqliteStore


class CopyingTests(AsyncTestCase):
    """One etcd and one file."""

    timeout = 120

    async def prepare(self) -> None:
        """Fill the file, and start etcd."""
        self.state = Path(self.mktemp())
        store = SqliteStore(self.state, Clock())
        for key, value in CONTENT.items():
            await store.put(key, value)
        for number in range(1500):
            await store.put(f"warp/owners/h{number}.example", b"x")
        await store.close()
        self.etcd = EtcdPeer()
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        self.there = EtcdPlace(BlockingEtcd([self.etcd.url], None))

    async def copy(self, *, replace: bool = False) -> None:
        """Copy the file onto etcd."""
        await deferToThread(copy_registry, FilePlace(self.state), self.there, lambda done, of: None, replace=replace)

    async def test_there_and_back(self) -> None:
        """Everything is there, over several pages, and the same in a file again."""
        await self.copy()
        other = Path(self.mktemp())
        await deferToThread(copy_registry, self.there, FilePlace(other), lambda done, of: None)
        found = FilePlace(other).read()
        found.pop(ABOUT)
        self.assertEqual(found, FilePlace(self.state).read())

    async def test_edges(self) -> None:
        """An edge follows a copy that is whole."""
        await self.copy()
        client = EtcdClient(reactor, Endpoints([self.etcd.url]))
        store = EtcdStore(client, reactor, "edge1")
        self.addCleanup(store.close)
        store.start()
        await until(lambda: not store.problem, timeout=40)
        self.assertEqual(len((await store.range("")).items), len(CONTENT) + 1500)
