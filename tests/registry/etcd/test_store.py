"""Tests of the fleet's store on an etcd in memory; `tests.system.registry.test_etcd` has a real one."""

from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.case import AsyncTestCase
from tests.registry import contract
from tests.registry.etcd.gateway import MemoryEtcd
from warp_twisted.registry.errors import StoreBroken, StoreHandedOver, TooLarge
from warp_twisted.registry.etcd.copy import EtcdCopy
from warp_twisted.registry.etcd.follower import BEAT_SECONDS, HEARD_SECONDS
from warp_twisted.registry.etcd.identity import ABOUT, About, encode_about
from warp_twisted.registry.etcd.messages import MAX_OPERATIONS, TRANSACTION_PATH, transaction_request
from warp_twisted.registry.etcd.store import FIRST_SECONDS, OPEN_SECONDS, TOLD_SECONDS, EtcdStore
from warp_twisted.registry.store import Delete, Expect, Operation, Put, Store


class _Away:
    """
    What both cases ask of an etcd that goes away and comes back.

    :ivar clock: moves the stores' timers.
    """

    clock: Clock
    etcd: MemoryEtcd

    async def value(self, store: Store, key: str) -> bytes | None:
        """Return a value."""
        item = await store.get(key)
        return item.value if item is not None else None

    def come_back(self) -> None:
        """Let etcd answer again, and the stores notice."""
        self.etcd.is_away = False
        for _ in range(20):
            self.clock.advance(0.1)


class CopyTests(_Away, AsyncTestCase):
    """A store with a copy on disk: what an edge knows when it starts while etcd is away."""

    async def prepare(self) -> None:
        """Make an etcd with a key, and an edge that has followed it."""
        self.clock = Clock()
        self.etcd = MemoryEtcd(self.clock)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.store = self.make()
        await self.open(self.store)
        await self.store.take()
        await self.store.put("a/1", b"x")
        await self.store.put("a/2", b"x")

    def make(self) -> EtcdStore:
        """Return the store of a process of this edge."""
        copy = EtcdCopy(self.directory, self.clock, execute)
        store = EtcdStore(self.etcd.client(), self.clock, "edge1", copy, ("warp/revocations/",))
        self.addCleanup(store.close)
        return store

    async def open(self, store: EtcdStore, seconds: float = 0) -> None:
        """Open a store, and let time pass until it is."""
        opened = Deferred.fromCoroutine(store.open())
        ends_at = self.clock.seconds() + seconds
        while not opened.called and self.clock.seconds() <= ends_at:
            self.clock.advance(0.1 if seconds else 0)
        self.assertTrue(opened.called)
        await opened
        self.clock.advance(0)

    async def test_starts_without_etcd(self) -> None:
        """An edge that starts while etcd is away knows what it knew, and refuses changes; then it goes on by itself."""
        await self.store.close()
        self.etcd.cut()
        store = self.make()
        await self.open(store, OPEN_SECONDS + 1)
        await store.take()
        self.assertEqual(await self.value(store, "a/1"), b"x")
        with self.assertRaisesRegex(StoreBroken, "the registry cannot be written: etcd at memory does not answer"):
            await store.put("a/1", b"y")
        self.come_back()
        await store.put("a/1", b"y")

    async def test_nothing_to_start_with(self) -> None:
        """Without etcd and without a copy an edge does not know whom to refuse, so it does not start."""
        self.etcd.cut()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        with self.assertRaisesRegex(StoreBroken, "this machine has no copy of it yet to begin with: etcd at memory"):
            await self.open(self.make(), FIRST_SECONDS + 1)

    async def test_revocation_outlives_the_process(self) -> None:
        """What was insisted on without etcd is kept by this machine, holds after a restart, and is sent when it can."""
        self.etcd.cut()
        self.assertTrue(await self.store.insist([Put("warp/revocations/a", b"r"), Delete("a/1")]))
        self.assertEqual(self.store.owed, 2)
        await self.store.close()
        store = self.make()
        await self.open(store, OPEN_SECONDS + 1)
        self.assertEqual(await self.value(store, "warp/revocations/a"), b"r")
        self.assertIsNone(await self.value(store, "a/1"))
        await store.take()
        self.come_back()
        self.assertEqual(store.owed, 0)
        self.assertIn(b"/warp/warp/revocations/a", self.etcd.keys)
        self.assertNotIn(b"/warp/a/1", self.etcd.keys)
        await store.close()
        again = self.make()
        await self.open(again)
        self.assertEqual(again.owed, 0)

    async def test_two_processes_of_an_edge(self) -> None:
        """While one hands over to the next both follow, one of them changes, and what is owed goes with that."""
        there = self.make()
        await self.open(there)
        self.assertTrue(there.is_follower)
        with self.assertRaises(StoreHandedOver):
            await there.put("a/1", b"y")
        self.assertEqual(await self.value(there, "a/2"), b"x")
        self.etcd.cut()
        await self.store.insist([Put("warp/revocations/a", b"r")])
        await self.store.release()
        await there.take()
        self.assertEqual((self.store.is_follower, there.is_follower), (True, False))
        self.assertEqual(await self.value(there, "warp/revocations/a"), b"r")
        self.come_back()
        self.assertEqual(there.owed, 0)
        self.assertIn(b"/warp/warp/revocations/a", self.etcd.keys)
        await there.put("a/1", b"y")
        self.assertEqual(await self.value(self.store, "a/1"), b"y")

    async def test_etcd_that_lost_everything(self) -> None:
        """An empty etcd in place of the one that was followed is not believed: agents and revocations stay known."""
        self.etcd.cut()
        self.etcd.keys.clear()
        self.etcd.history.clear()
        self.come_back()
        self.assertIn("etcd holds nothing, and this edge has followed a registry there", self.store.problem)
        self.assertEqual(await self.value(self.store, "a/1"), b"x")
        store = self.make()
        await self.open(store, OPEN_SECONDS + 1)
        self.assertIn("etcd holds nothing", store.problem)

    async def test_copy_that_begins(self) -> None:
        """When somebody begins to write another registry there, the edge stops following before it loses anything."""
        half = encode_about(About(registry="other", is_complete=False))
        self.etcd.answer(TRANSACTION_PATH, transaction_request({}, {ABOUT: half}))
        self.etcd.answer(TRANSACTION_PATH, transaction_request({}, {"a/1": None}))
        self.assertEqual(await self.value(self.store, "a/1"), b"x")
        for _ in range(10):
            self.clock.advance(0.5)
        self.assertIn("half a copy", self.store.problem)
        self.assertEqual(await self.value(self.store, "a/1"), b"x")

    async def test_first_edge_names_the_registry(self) -> None:
        """Two edges of a new fleet agree on which registry they follow."""
        about = self.etcd.keys[b"/warp/about"]["value"]
        other = EtcdStore(self.etcd.client(), self.clock, "edge2")
        self.addCleanup(other.close)
        await self.open(other)
        self.assertEqual(self.etcd.keys[b"/warp/about"]["value"], about)
        self.assertEqual(other.problem, "")


class EtcdStoreTests(_Away, contract.StoreContract):
    """The contract, and what only this store promises."""

    def make_store(self) -> EtcdStore:
        """See `StoreContract`."""
        self.etcd = MemoryEtcd(self.clock)
        return self.another("edge1")

    def another(self, name: str) -> EtcdStore:
        """Return the store of another edge."""
        store = EtcdStore(self.etcd.client(), self.clock, name)
        store.start()
        for _ in range(10):
            self.clock.advance(0)
        self.assertEqual(store.problem, "")
        self.addCleanup(store.close)
        return store

    @property
    def here(self) -> EtcdStore:
        """The store of edge1."""
        assert isinstance(self.store, EtcdStore)
        return self.store

    async def test_another_edge_sees_it(self) -> None:
        """What lasts is at every edge, what is leased only where it was put."""
        there = self.another("edge2")
        watcher = contract.Watcher(there, "a/")
        await self.store.put("a/1", b"lasts")
        await self.store.put("a/2", b"leased", await self.store.grant(30))
        self.assertEqual(watcher.seen, [("a/1", b"lasts")])
        self.assertIsNone(await there.get("a/2"))

    async def test_begins_with_what_is_there(self) -> None:
        """A store that begins later holds everything, over several pages, and says when."""
        for begin in range(0, 600, 100):
            await self.store.transact([], [Put(f"a/{number:03}", b"x") for number in range(begin, begin + 100)])
        there = self.another("edge2")
        self.successResultOf(there.ready)
        self.assertEqual(len((await there.range("a/")).items), 600)

    async def test_only_one_edge_succeeds(self) -> None:
        """Two edges that expect the same: etcd decides, and the one that lost sees why when it tries again."""
        there = self.another("edge2")
        revision = await self.store.put("a/1", b"x")
        theirs = (await there.range("a/1")).items[0].modified

        def first() -> None:
            self.etcd.when_asked = lambda: None
            self.successResultOf(there.transact([Expect("a/1", theirs)], [Put("a/1", b"theirs")]))

        self.etcd.when_asked = first
        self.assertFalse(await self.store.transact([Expect("a/1", revision)], [Put("a/1", b"ours"), Put("a/2", b"")]))
        self.assertEqual(await self.values("a/"), {"a/1": b"theirs"})

    async def test_absent_key_appears_elsewhere(self) -> None:
        """That a key is absent is asked of etcd too."""
        there = self.another("edge2")

        def first() -> None:
            self.etcd.when_asked = lambda: None
            self.successResultOf(there.put("a/1", b"theirs"))

        self.etcd.when_asked = first
        self.assertFalse(await self.store.transact([Expect("a/1")], [Put("a/1", b"ours")]))

    async def test_leased_part_comes_with_the_rest(self) -> None:
        """A transaction of both kinds is told in one call, at one revision."""
        lease = await self.store.grant(30)
        watcher = contract.Watcher(self.store, "a/")
        await self.store.transact([], [Put("a/1", b"lasts"), Put("a/2", b"leased", lease)])
        self.assertEqual([[event.key for event in batch] for batch in watcher.batches], [["a/1", "a/2"]])
        self.clock.advance(31)
        self.assertEqual(await self.values("a/"), {"a/1": b"lasts"})

    async def test_others_change_while_an_answer_is_awaited(self) -> None:
        """What others change meanwhile comes before or after the own change, as in etcd."""
        there = self.another("edge2")

        def first() -> None:
            self.etcd.when_asked = lambda: None
            self.successResultOf(there.put("a/1", b"theirs"))

        self.etcd.when_asked = first
        watcher = contract.Watcher(self.store, "a/")
        await self.store.put("a/1", b"ours")
        self.assertEqual(watcher.seen, [("a/1", b"theirs"), ("a/1", b"ours")])

    async def test_away(self) -> None:
        """Without etcd what is known is served, leases go on, and a change is refused with the reason."""
        await self.store.put("a/1", b"x")
        self.etcd.cut()
        self.assertIn("cut", self.here.problem)
        self.assertEqual(await self.values("a/"), {"a/1": b"x"})
        with self.assertRaisesRegex(StoreBroken, "cannot be written: etcd ended the watch: cut"):
            await self.store.put("a/1", b"y")
        await self.store.put("a/2", b"leased", await self.store.grant(30))
        self.come_back()
        self.assertEqual(self.here.problem, "")
        await self.store.put("a/1", b"y")
        self.assertEqual(await self.values("a/"), {"a/1": b"y", "a/2": b"leased"})

    async def test_missed_meanwhile(self) -> None:
        """What others changed while etcd could not be followed is told once it can, also if etcd has forgotten it."""
        for is_compacted in (False, True):
            there = EtcdStore(self.etcd.client(), self.clock, "edge2")
            there.start()
            await self.store.put("a/1", b"x")
            await self.store.put("a/2", b"x")
            await self.store.put("a/3", b"same")
            self.clock.advance(0)
            watcher = contract.Watcher(there, "a/", (await there.range("a/")).revision)
            self.etcd.watches[-1].tell({"error": {"message": "cut"}})
            await self.store.put("a/1", b"y")
            await self.store.delete("a/2")
            if is_compacted:
                self.etcd.compact()
            self.assertEqual(watcher.seen, [])
            self.come_back()
            self.assertEqual(sorted(watcher.seen), [("a/1", b"y"), ("a/2", None)])
            self.assertEqual(watcher.errors, [])
            await there.close()

    async def test_revocation_without_etcd(self) -> None:
        """What is insisted on holds here at once, comes before what etcd says, and is written when etcd is back."""
        await self.store.put("a/1", b"allowed")
        there = self.another("edge2")
        self.etcd.cut()
        operations: list[Operation] = [Put("a/1", b"revoked"), Delete("a/2")]
        self.assertFalse(await self.store.insist(operations))
        self.assertEqual(await self.value(self.store, "a/1"), b"revoked")
        self.etcd.compact()
        self.come_back()
        self.assertEqual(await self.value(self.store, "a/1"), b"revoked")
        self.assertEqual(await self.value(there, "a/1"), b"revoked")

    async def test_answer_is_lost(self) -> None:
        """A change whose answer is lost is refused, and is there all the same once the watch tells it."""
        self.etcd.loses_answers = True
        with self.assertRaisesRegex(StoreBroken, "lost"):
            await self.store.put("a/1", b"x")
        self.etcd.loses_answers = False
        self.assertEqual(await self.values("a/"), {"a/1": b"x"})

    async def test_change_is_not_told(self) -> None:
        """A watch that does not tell an own change is left, and the change is refused as one that may be there."""
        self.etcd.is_mute = True
        put = self.store.put("a/1", b"x")
        self.assertNoResult(put)
        self.clock.advance(TOLD_SECONDS)
        self.assertIn("may be there already", str(self.failureResultOf(put, StoreBroken).value))
        self.etcd.is_mute = False
        self.come_back()
        self.assertEqual((await self.values("a/"), self.here.problem), ({"a/1": b"x"}, ""))

    async def test_silent_watch_is_noticed(self) -> None:
        """A watch that died silently does not look current for longer than a beat and its time."""
        self.etcd.is_mute = True
        self.clock.advance(BEAT_SECONDS)
        self.assertEqual(self.here.problem, "")
        self.clock.advance(HEARD_SECONDS)
        self.assertIn("does not tell what was written", self.here.problem)

    async def test_change_of_many_keys(self) -> None:
        """A change of more keys than etcd takes at once is refused before it is sent; one of as many is made."""
        operations = [Put(f"a/{number}", b"") for number in range(MAX_OPERATIONS + 1)]
        with self.assertRaises(TooLarge):
            await self.store.transact([], operations)
        self.assertTrue(await self.store.transact([], operations[1:]))

    async def test_lease_does_not_end_within_a_change(self) -> None:
        """A lease that runs out while etcd is asked ends after the change that uses it."""
        lease = await self.store.grant(30)
        self.etcd.when_asked = lambda: self.clock.advance(31)
        await self.store.transact([], [Put("a/1", b""), Put("a/2", b"", lease)])
        self.assertEqual(await self.values("a/"), {"a/1": b""})

    async def test_closed(self) -> None:
        """After the end nothing is told, and closing again is no error."""
        watcher = contract.Watcher(self.store, "a/")
        there = self.another("edge2")
        await self.store.close()
        await self.store.close()
        await there.put("a/1", b"x")
        self.assertEqual(watcher.seen, [])
