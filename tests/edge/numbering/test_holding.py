"""Tests of who numbers, through cuts, losses and hand-overs, and that no serial has two contents."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.zone.test_numbering import Server
from warp_dns.zone.data import Zone
from warp_twisted.edge.numbering.holding import FIRST_SECONDS, Holding
from warp_twisted.edge.numbering.records import RANGE, NumberingRecord, decode_record, encode_record, key_of
from warp_twisted.edge.numbering.states import GONE_SECONDS
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.store import Expect, Operation

ZONE = "example.org"
KEY = key_of(ZONE)
TICK = 0.5


class Edge:
    """An edge with its zone, its link to the registry, and its part in who numbers."""

    def __init__(self, name: str, store: MemoryStore, clock: Clock) -> None:
        self.name = name
        self.server = Server()
        self.is_away = False
        self.holding = Holding(store, clock, name, ZONE, self.server.numbering, lambda: 1000, lambda: self.is_away)
        self.holding.begin()

    @property
    def numbers(self) -> bool:
        """Whether it numbers the zone."""
        return self.server.numbering.is_own

    def look(self) -> None:
        """Look at the record."""
        done = Deferred.fromCoroutine(self.holding.look())
        assert done.called


class HoldingTests(SynchronousTestCase):
    """Two edges with one registry."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.first, self.second = (Edge(name, self.store, self.clock) for name in ("edge1", "edge2"))
        self.clock.advance(FIRST_SECONDS)

    def record(self) -> NumberingRecord:
        """Return what is in the registry."""
        item = self.successResultOf(self.store.get(KEY))
        assert item is not None
        return decode_record(item.value)

    def pass_time(self, seconds: float, *edges: Edge) -> None:
        """Let these edges look for some time."""
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)
            for edge in edges:
                edge.look()

    def test_the_first_one_numbers(self) -> None:
        """The edge that comes first numbers, and goes on; the other one waits."""
        self.pass_time(10.0, self.first, self.second)
        self.assertEqual((self.first.numbers, self.second.numbers), (True, False))
        self.assertEqual((self.second.holding.holder, self.record().fence), ("edge1", 1))
        self.assertEqual(self.first.server.live.zone.serial, 1000)

    def test_just_started(self) -> None:
        """An edge that has just started does not number, though nobody does: what the others have it has not heard."""
        new = Edge("edge3", self.store, self.clock)
        self.pass_time(FIRST_SECONDS - TICK, new)
        self.assertFalse(new.numbers)
        self.pass_time(TICK, new)
        self.assertTrue(new.numbers)

    def test_gone(self) -> None:
        """An edge that looks no more is followed by the other one within four seconds, beyond all its serials."""
        self.pass_time(2.0, self.first, self.second)
        self.first.server.publish("a.example.org", "192.0.2.1")
        last = self.record().last
        self.pass_time(GONE_SECONDS - 1.0, self.second)
        self.assertFalse(self.second.numbers)
        self.pass_time(2.0, self.second)
        self.assertTrue(self.second.numbers)
        self.assertEqual((self.record().holder, self.record().fence), ("edge2", 2))
        self.assertEqual(self.second.server.live.zone.serial, last + 1)

    def test_cut_off(self) -> None:
        """A holder without the registry goes on within its range, and leaves when it reads that another one numbers."""
        self.pass_time(2.0, self.first, self.second)
        self.first.is_away = True
        self.pass_time(6.0, self.first, self.second)
        self.assertTrue(self.second.numbers)
        self.assertEqual(self.first.server.publish("a.example.org", "192.0.2.1"), 1001)
        self.first.is_away = False
        self.pass_time(TICK, self.first, self.second)
        self.assertFalse(self.first.numbers)
        self.assertEqual(self.first.server.publish("b.example.org", "192.0.2.2"), 1001)
        self.assertEqual(self.first.server.transferred("b.example.org"), 0)

    def test_registry_away_for_all(self) -> None:
        """While nobody reaches the registry the holder numbers on, and nobody takes its place when it is back."""
        self.pass_time(2.0, self.first, self.second)
        self.first.is_away = self.second.is_away = True
        self.pass_time(60.0, self.first, self.second)
        self.assertEqual(self.first.server.publish("a.example.org", "192.0.2.1"), 1001)
        self.first.is_away = self.second.is_away = False
        self.pass_time(5.0, self.first, self.second)
        self.assertEqual((self.first.numbers, self.second.numbers), (True, False))

    def test_given_up(self) -> None:
        """An edge that stops lets the other one number at its next look."""
        self.pass_time(2.0, self.first, self.second)
        self.successResultOf(Deferred.fromCoroutine(self.first.holding.give_up()))
        self.assertFalse(self.first.numbers)
        self.pass_time(TICK, self.second)
        self.assertTrue(self.second.numbers)

    def test_next_process(self) -> None:
        """The next process of an edge alone numbers some seconds later, with serials of its own; not the one before."""
        self.pass_time(2.0, self.first)
        self.first.holding.leave()
        again = Edge("edge1", self.store, self.clock)
        self.pass_time(FIRST_SECONDS - TICK, again, self.first)
        self.assertFalse(again.numbers)
        self.pass_time(2 * TICK, again, self.first)
        self.assertEqual((again.numbers, self.first.numbers), (True, False))
        self.assertEqual((self.record().fence, again.server.live.zone.serial), (2, 1000 + RANGE + 1))

    def test_both_at_once(self) -> None:
        """Of two edges that write at the same time one numbers; the other finds the record changed, and waits."""
        for edge in (self.first, self.second):
            edge.look()
        transact = self.store.transact
        waiting: list[Deferred[None]] = []

        async def wait(expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
            until: Deferred[None] = Deferred()
            waiting.append(until)
            await until
            return await transact(expectations, operations)

        def later(expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
            return Deferred.fromCoroutine(wait(expectations, operations))

        for edge in (self.first, self.second):
            edge.holding.leave()
            edge.holding.begin()
        self.clock.advance(FIRST_SECONDS)
        self.successResultOf(self.store.put(KEY, encode_record(NumberingRecord())))
        self.store.transact = later  # type: ignore[method-assign]
        looks = [Deferred.fromCoroutine(edge.holding.look()) for edge in (self.first, self.second)]
        for each in waiting:
            each.callback(None)
        for look in looks:
            self.successResultOf(look)
        self.assertEqual([self.first.numbers, self.second.numbers], [True, False])

    def test_left_while_writing(self) -> None:
        """An edge that leaves while it writes does not number with what it has written."""
        transact = self.store.transact
        until: Deferred[None] = Deferred()
        self.store.transact = lambda *args: until.addCallback(lambda _: transact(*args))  # type: ignore
        look = Deferred.fromCoroutine(self.first.holding.look())
        self.first.holding.leave()
        until.callback(None)
        self.successResultOf(look)
        self.assertFalse(self.first.numbers)

    def test_backup(self) -> None:
        """After a backup that has forgotten a range, a holder begins beyond that, and so does who has its content."""
        self.pass_time(2.0, self.first, self.second)
        last = self.record().last
        old = encode_record(NumberingRecord(holder="edge1", first=1, last=10))
        self.successResultOf(self.store.put(KEY, old))
        self.pass_time(TICK, self.first)
        self.assertEqual(self.first.server.live.zone.serial, last + 1)
        zone = self.first.server.numbering.zone
        assert zone is not None
        self.second.server.numbering.take(zone)
        self.successResultOf(self.store.put(KEY, old))
        self.pass_time(GONE_SECONDS + 1.0, self.second)
        self.assertTrue(self.second.numbers)
        self.assertEqual(self.second.server.live.zone.serial, zone.serial + RANGE + 1)

    def test_unreadable(self) -> None:
        """A record that cannot be read is left alone: nobody knows then which serials were given."""
        self.successResultOf(self.store.put(KEY, b"nonsense"))
        self.pass_time(10.0, self.first)
        self.assertFalse(self.first.numbers)

    def test_long_range(self) -> None:
        """A busy holder gets more serials in time."""
        self.pass_time(2.0, self.first)
        self.first.server.numbering.begin(1000, 1002)
        self.assertEqual([self.first.server.publish("a.example.org", f"192.0.2.{n}") for n in range(4)][-1], 1002)
        self.pass_time(2.0, self.first)
        self.assertEqual(self.first.server.live.zone.serial, 1003)


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "change", "pass", "cut", "mend", "tell", "restart", "stop"]), st.integers(0, 2)
    ),
    max_size=60,
)


class OneContentTests(SynchronousTestCase):
    """Three edges in any order of events."""

    @settings(max_examples=150, deadline=None)
    @given(STEPS)
    def test_same_serial_same_content(self, steps: list[Step]) -> None:
        """Whatever happens, what two edges transfer under one serial is the same, and no edge's serial goes back."""
        clock = Clock()
        store = MemoryStore(clock)
        edges = [Edge(f"edge{number}", store, clock) for number in range(3)]
        contents: dict[int, frozenset[object]] = {}
        serials = [0, 0, 0]
        for count, (what, number) in enumerate(steps):
            edge = edges[number]
            if what == "look":
                edge.look()
            elif what == "change":
                edge.server.publish("a.example.org", f"192.0.2.{count}", f"198.51.100.{number}")
            elif what == "pass":
                clock.advance((0.5, 2.0, 5.0)[number])
            elif what in ("cut", "mend"):
                edge.is_away = what == "cut"
            elif what == "tell":
                self.tell(edge, edges[number - 1])
            elif what == "restart":
                edge.holding.leave()
                edges[number] = Edge(edge.name, store, clock)
                serials[number] = 0
            elif not edge.is_away:
                Deferred.fromCoroutine(edge.holding.give_up())
            for at, each in enumerate(edges):
                zone = each.server.numbering.zone
                if zone is not None:
                    content = content_of(zone)
                    self.assertEqual(contents.setdefault(zone.serial, content), content)
                    self.assertEqual(each.server.live.zone.serial, zone.serial)
                    self.assertGreaterEqual(zone.serial, serials[at])
                    serials[at] = zone.serial

    def tell(self, edge: Edge, other: Edge) -> None:
        """Let one edge follow another."""
        zone = other.server.numbering.zone
        if zone is not None and not edge.numbers:
            edge.server.numbering.take(zone)


def content_of(zone: Zone) -> frozenset[object]:
    """Return what a zone holds."""
    return frozenset((rrset.owner, rrset.type, rrset.ttl, frozenset(rrset.rdatas)) for rrset in zone)
