"""The fleet's store on a real etcd: the contract, and what it does when etcd dies, hangs and forgets."""

import json

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime

from tests.case import AsyncTestCase, reactor, until
from tests.registry import contract
from tests.system.registry.etcd_peer import EtcdPeer
from warp_twisted.registry.errors import StoreBroken
from warp_twisted.registry.etcd.client import EtcdClient
from warp_twisted.registry.etcd.endpoints import Endpoints
from warp_twisted.registry.etcd.messages import RANGE_PATH, range_request, read_page
from warp_twisted.registry.etcd.store import EtcdStore
from warp_twisted.registry.store import Expect, Put, Store

CALL_SECONDS = 1.0


async def open_store(url: str, clock: IReactorTime, name: str = "edge1") -> EtcdStore:
    """Return a store that is current."""
    store = EtcdStore(EtcdClient(reactor, Endpoints([url]), call_seconds=CALL_SECONDS), clock, name)
    store.start()
    await until(lambda: store.problem == "")
    return store


class EtcdContractTests(contract.StoreContract):
    """The contract; the clock of leases is the test's own."""

    timeout = 60

    async def begin(self) -> Store:
        """See `StoreContract`."""
        etcd = EtcdPeer()
        self.clean_up_with(etcd.remove)
        await etcd.start()
        return await open_store(etcd.url, self.clock)


class EtcdTests(AsyncTestCase):
    """Two edges on one etcd."""

    timeout = 60

    async def prepare(self) -> None:
        """Start etcd and both stores."""
        self.etcd = EtcdPeer()
        self.clean_up_with(self.etcd.remove)
        await self.etcd.start()
        self.here, self.there = await self.open("edge1"), await self.open("edge2")

    async def open(self, name: str) -> EtcdStore:
        """Return a store."""
        store = await open_store(self.etcd.url, reactor, name)
        self.addCleanup(store.close)
        return store

    async def number(self, store: EtcdStore, key: str) -> int:
        """Return the number at a key."""
        item = await store.get(key)
        return int(item.value) if item is not None else 0

    async def has(self, store: EtcdStore, key: str, value: bytes | None) -> None:
        """Wait until a store has a value."""

        def found() -> bytes | None:
            item = self.successResultOf(store.get(key))
            return item.value if item is not None else None

        await until(lambda: found() == value)

    async def test_both_count(self) -> None:
        """Two edges add one to a number, both 50 times and whenever they like: the end is 100."""

        async def add(store: EtcdStore) -> None:
            for _ in range(50):
                while True:
                    item = await store.get("count")
                    modified, count = (item.modified, int(item.value)) if item is not None else (0, 0)
                    if await store.transact([Expect("count", modified)], [Put("count", b"%d" % (count + 1))]):
                        break

        await gatherResults([Deferred.fromCoroutine(add(store)) for store in (self.here, self.there)])
        for store in (self.here, self.there):
            await self.has(store, "count", b"100")

    async def test_killed_and_started(self) -> None:
        """Without etcd what is known is served and a change is refused; once it is back, both go on by themselves."""
        await self.here.put("a/1", b"x")
        await self.has(self.there, "a/1", b"x")
        await self.etcd.end()
        await until(lambda: bool(self.here.problem and self.there.problem))
        await self.has(self.here, "a/1", b"x")
        with self.assertRaisesRegex(StoreBroken, "the registry cannot be written: etcd"):
            await self.here.put("a/1", b"y")
        self.assertFalse(await self.here.insist([Put("a/2", b"revoked")]))
        await self.has(self.here, "a/2", b"revoked")
        await self.etcd.start()
        await self.has(self.there, "a/2", b"revoked")
        await self.here.put("a/1", b"y")
        await self.has(self.there, "a/1", b"y")

    async def test_hangs(self) -> None:
        """An etcd that keeps its connections and says nothing is noticed, and so is its return."""
        self.etcd.pause()
        try:
            self.here.put("a/1", b"lost?").addErrback(lambda failure: failure.trap(StoreBroken))
            await until(lambda: bool(self.there.problem), timeout=15)
        finally:
            self.etcd.go_on()
        await until(lambda: not self.here.problem and not self.there.problem)
        await self.here.put("a/2", b"y")
        await self.has(self.there, "a/2", b"y")

    async def test_compacted_meanwhile(self) -> None:
        """What etcd has forgotten while an edge was away comes with a snapshot: only what differs is told."""
        await self.there.put("a/1", b"x")
        await self.there.put("a/2", b"x")
        await self.there.put("a/3", b"same")
        await self.has(self.here, "a/3", b"same")
        watcher = contract.Watcher(self.here, "a/", (await self.here.range("a/")).revision)
        await self.etcd.end()
        await until(lambda: bool(self.here.problem and self.there.problem))
        await self.etcd.start()
        control = EtcdClient(reactor, Endpoints([self.etcd.url]))
        self.clean_up_with(control.close)
        other = await self.open("edge3")
        await other.put("a/1", b"y")
        await other.delete("a/2")
        revision = read_page(await control.call(RANGE_PATH, range_request())).revision
        await control.call("/v3/kv/compaction", json.dumps({"revision": str(revision)}).encode())
        await until(lambda: sorted(watcher.seen) == [("a/1", b"y"), ("a/2", None)])
        self.assertEqual(watcher.errors, [])

    async def test_many_keys(self) -> None:
        """10,000 keys are there for an edge that begins."""
        for begin in range(0, 10_000, 100):
            await self.here.transact([], [Put(f"a/{number:05}", b"x" * 250) for number in range(begin, begin + 100)])
        there = await self.open("edge3")
        self.assertEqual(len((await there.range("a/")).items), 10_000)
