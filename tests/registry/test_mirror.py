"""Tests of the live copy of a registry."""

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.registry.edge_records import EdgePolicy, EdgeRecord
from warp_twisted.registry.errors import StoreClosed
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import RETRY_SECONDS, Mirror
from warp_twisted.registry.model import (
    Agent,
    Change,
    CurrentPolicy,
    Edge,
    JoinToken,
    Owner,
    PolicyVersion,
    Revocation,
    Tunnel,
    encode,
)
from warp_twisted.registry.route_records import Guarded, RouteKey, Shift
from warp_twisted.registry.store import Delete, Put

AGENT = Agent(id="a-1", hostnames=("*.example",))
EDGE = Edge(name="edge1", addresses=("192.0.2.1",))


def fail_at_once(changes: Sequence[Change]) -> None:
    """Fail, as a subscriber with a bug would."""
    raise ZeroDivisionError


class MirrorTests(TestCase):
    """Reading once, then following."""

    def setUp(self) -> None:
        """Begin with a store that holds one agent."""
        self.clock = Clock()
        self.store = FlakyStore(self.clock)
        self.store.put(AGENT.key, encode(AGENT))
        self.mirror = Mirror(self.store, self.clock)
        self.changes: list[Change] = []
        self.calls: list[int] = []
        self.unsubscribe = self.mirror.subscribe(self.hear)

    def hear(self, changes: Sequence[Change]) -> None:
        """Note changes."""
        self.calls.append(len(changes))
        self.changes += changes

    async def test_start_reads_what_is_there(self) -> None:
        """What the store holds at the start is told as having come."""
        await self.mirror.start()
        self.assertEqual(self.changes, [Change(key=AGENT.key, before=None, after=AGENT)])
        self.assertEqual(self.mirror.agents, {"a-1": AGENT})
        self.assertTrue(self.mirror.is_current)

    async def test_changes_are_followed(self) -> None:
        """Puts and deletes reach the mirror and its subscribers, those of one moment together."""
        await self.mirror.start()
        await self.store.transact([], [Put(EDGE.key, encode(EDGE)), Delete(AGENT.key)])
        self.assertEqual((self.mirror.edges, self.mirror.agents), ({"edge1": EDGE}, {}))
        self.assertEqual(self.calls, [1, 2])
        self.assertEqual(self.changes[-1], Change(key=AGENT.key, before=AGENT, after=None))

    async def test_equal_value_is_no_change(self) -> None:
        """Putting the same value again is not told."""
        await self.mirror.start()
        await self.store.put(AGENT.key, encode(AGENT))
        self.assertEqual(self.calls, [1])

    async def test_snapshot_does_not_change(self) -> None:
        """A snapshot stays as it was taken."""
        await self.mirror.start()
        snapshot = self.mirror.snapshot()
        await self.store.delete(AGENT.key)
        self.assertEqual(snapshot.agents, {"a-1": AGENT})

    async def test_each_kind_has_its_table(self) -> None:
        """Tokens and revocations are found by id, owners by hostname."""
        await self.mirror.start()
        token = JoinToken(id="x", secret_sha256="00", hostnames=("*.example",))
        revocation = Revocation(agent="a-2")
        await self.store.put(token.key, encode(token))
        await self.store.put(revocation.key, encode(revocation))
        owner = Owner(hostname="*.example", group="x")
        await self.store.put(owner.key, encode(owner))
        self.assertEqual((self.mirror.tokens, self.mirror.revocations), ({"x": token}, {"a-2": revocation}))
        self.assertEqual(self.mirror.owners, {"*.example": owner})

    async def test_policy(self) -> None:
        """The versions of the policy are there, and which is in force."""
        await self.mirror.start()
        self.assertEqual(self.mirror.policy_version, 0)
        version, current = PolicyVersion(number=3, sha256="", size_bytes=0), CurrentPolicy(number=3)
        await self.store.transact([], [Put(version.key, encode(version)), Put(current.key, encode(current))])
        self.assertEqual((self.mirror.policy_version, self.mirror.policy_versions), (3, {version.key: version}))
        edge = EdgePolicy(edge="edge1", version=3)
        await self.store.put(edge.key, encode(edge))
        self.assertEqual(self.mirror.edge_policies, {"edge1": edge})

    async def test_routing(self) -> None:
        """What the cookies of split hostnames are signed with is there, and shifts and guards' verdicts by hostname."""
        key = RouteKey(number=7, secret="ab" * 32)
        shift = Shift(hostname="a.example", split="s", selector="x=y", start=0, target=1)
        guarded = Guarded(hostname="a.example", split="s", selector="x=y")
        await self.store.transact([], [Put(each.key, encode(each)) for each in (key, shift, guarded)])
        await self.mirror.start()
        self.assertEqual((self.mirror.route_keys, self.mirror.shifts), ({key.key: key}, {"a.example": shift}))
        self.assertEqual(self.mirror.guarded, {"a.example": guarded})

    async def test_unreadable_value_is_passed_over(self) -> None:
        """What cannot be read is as absent, and the rest is followed."""
        await self.mirror.start()
        await self.store.put(AGENT.key, b"{broken")
        await self.store.put(EDGE.key, encode(EDGE))
        self.assertEqual((self.mirror.agents, self.mirror.edges), ({}, {"edge1": EDGE}))

    async def test_failing_subscriber_harms_nobody(self) -> None:
        """An exception in one subscriber is logged, and the others still hear."""
        self.unsubscribe()
        self.mirror.subscribe(fail_at_once)
        self.mirror.subscribe(self.hear)
        await self.mirror.start()
        self.assertEqual(self.calls, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_lost_watch_is_taken_up_again(self) -> None:
        """After a lost watch everything is read again, and only what differs is told."""
        await self.mirror.start()
        self.store.lose_watches()
        self.assertFalse(self.mirror.is_current)
        await self.store.transact([], [Put(EDGE.key, encode(EDGE)), Delete(AGENT.key)])
        self.assertEqual(self.mirror.agents, {"a-1": AGENT})
        self.clock.advance(RETRY_SECONDS)
        self.assertTrue(self.mirror.is_current)
        self.assertEqual((self.mirror.edges, self.mirror.agents), ({"edge1": EDGE}, {}))
        self.assertEqual(self.calls, [1, 2])

    async def test_store_that_stays_away(self) -> None:
        """The last content stays while the store is away, and the mirror tries until it is back."""
        await self.mirror.start()
        self.store.is_away = True
        self.store.lose_watches()
        self.clock.pump([RETRY_SECONDS] * 3)
        self.assertEqual((self.mirror.agents, self.mirror.is_current), ({"a-1": AGENT}, False))
        self.store.is_away = False
        self.clock.advance(RETRY_SECONDS)
        self.assertTrue(self.mirror.is_current)
        self.assertEqual(self.calls, [1])

    async def test_start_fails_with_the_store(self) -> None:
        """A store that cannot be read at the start fails the start."""
        self.store.is_away = True
        with self.assertRaises(StoreClosed):
            await self.mirror.start()

    async def test_stop(self) -> None:
        """After stop nothing is followed and no call is left."""
        await self.mirror.start()
        self.store.lose_watches()
        self.mirror.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await self.mirror.start()
        self.mirror.stop()
        await self.store.delete(AGENT.key)
        self.assertEqual(self.mirror.agents, {"a-1": AGENT})


class HalvesTests(TestCase):
    """What lasts comes from the store, what an edge says while it runs from this process and from other edges."""

    def setUp(self) -> None:
        """Begin with an agent that is stored."""
        self.clock = Clock()
        self.store, self.live = FlakyStore(self.clock), MemoryStore(self.clock)
        self.store.put(AGENT.key, encode(AGENT))
        self.mirror = Mirror(self.store, self.clock, self.live)

    async def test_all_come_together(self) -> None:
        """The stored, this edge's own and the others' values are read in one place."""
        other = Tunnel(id="t-1", agent="a-1", slot=0, edge="edge2")
        await self.mirror.start()
        await self.live.put(EDGE.key, encode(EDGE))
        self.mirror.learn({other.key: other})
        self.assertEqual((self.mirror.agents, self.mirror.edges), ({"a-1": AGENT}, {"edge1": EDGE}))
        self.assertEqual((self.mirror.tunnels, self.mirror.value(other.key)), ({"t-1": other}, other))
        self.mirror.learn({other.key: None})
        self.assertEqual(self.mirror.tunnels, {})

    async def test_the_store_says_nothing_of_what_lives(self) -> None:
        """A live value that is stored by mistake counts for nothing, and reading the store again takes none away."""
        stored = Edge(name="edge3", addresses=("192.0.2.3",))
        record = EdgeRecord(name="edge3", addresses=("192.0.2.3:7844",), authority_key="x")
        await self.store.put(stored.key, encode(stored))
        await self.live.put(EDGE.key, encode(EDGE))
        await self.mirror.start()
        await self.store.put(stored.key, encode(stored))
        await self.store.put(record.key, encode(record))
        self.mirror.read_again()
        self.assertEqual((self.mirror.edges, self.mirror.edge_records), ({"edge1": EDGE}, {"edge3": record}))
        self.assertTrue(self.mirror.is_current)

    async def test_reading_again_finds_what_was_not_told(self) -> None:
        """A watch that has died without a word is replaced when somebody knows of a newer value."""
        await self.mirror.start()
        self.store.is_mute = True
        other = Agent(id="a-2", hostnames=("*.example",))
        await self.store.put(other.key, encode(other))
        self.assertNotIn("a-2", self.mirror.agents)
        self.store.is_mute = False
        self.mirror.read_again()
        self.assertIn("a-2", self.mirror.agents)
