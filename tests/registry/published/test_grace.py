"""Tests of how long, and of how many names, a name without a tunnel is kept."""

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_base.slices import Slices
from warp_twisted.names import Hostname
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge, Tunnel, encode
from warp_twisted.registry.published import grace as module
from warp_twisted.registry.published.grace import NAMES_IN_A_STEP, TICK_SECONDS, Grace
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.publisher import Publisher

ZONE = "warp.example"
EDGE = Edge(name="edge1", addresses=("192.0.2.1",), http_port=80)
SECONDS = 15.0


class GraceTests(SynchronousTestCase):
    """A registry in memory, whose names nobody serves."""

    def setUp(self) -> None:
        """Publish one edge."""
        self.clock = Clock()
        store = self.store = MemoryStore(self.clock)
        mirror = Mirror(store, self.clock)
        self.publication = Publication(ZONE)
        self.publisher = Publisher(self.publication, mirror, Slices(self.clock))
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        self.successResultOf(store.put(EDGE.key, encode(EDGE)))
        self.grace = Grace(self.publisher, self.clock, "edge1", SECONDS)

    def kept(self) -> list[str]:
        """Return the names that are published, the edge's own left out."""
        return sorted(owner for owner in self.publication.owners() if owner.startswith("app"))

    def begin(self, *names: str, agent: str = "a-1") -> list[str]:
        """Let an agent's names lose their last tunnel."""
        hostnames = [f"{name}.{ZONE}" for name in names]
        self.grace.begin(agent, hostnames)
        return hostnames

    def test_its_time(self) -> None:
        """A name is kept for the time set and a tick at most; one that is lost again has it once more."""
        first, second = self.begin("app1", "app2")
        self.clock.advance(SECONDS - 1)
        self.begin("app1")
        self.clock.advance(0.9)
        self.assertEqual(self.kept(), [first, second])
        self.clock.advance(TICK_SECONDS + 0.001)
        self.assertEqual(self.kept(), [first])
        self.clock.advance(SECONDS)
        self.assertEqual((self.kept(), self.grace.count, self.clock.getDelayedCalls()), ([], 0, []))

    def test_lost_with_an_edge(self) -> None:
        """Names that a lost edge alone served have this edge's addresses; those that another serves are not kept."""
        lost, other = (
            Tunnel(id=f"t-{number}", edge=edge, agent="a-1", slot=number, hostnames=tuple(map(Hostname, names)))
            for number, (edge, names) in enumerate(
                (("edge2", (f"app1.{ZONE}", f"app2.{ZONE}")), ("edge3", (f"app2.{ZONE}",)))
            )
        )
        for value in (lost, other):
            self.successResultOf(self.store.put(value.key, encode(value)))
        self.grace.lost_with_edge(lost)
        self.assertEqual(self.grace.count, 1)
        self.successResultOf(self.store.delete(lost.key))
        self.clock.advance(0)
        self.assertEqual({record.rdata for record in self.publication.records_of(f"app1.{ZONE}")}, {"192.0.2.1"})
        self.clock.advance(SECONDS + TICK_SECONDS)
        self.assertEqual(self.kept(), [])

    def test_switched_off(self) -> None:
        """With 0 seconds nothing is kept, neither after a loss nor after a restart."""
        self.grace = Grace(self.publisher, self.clock, "edge1", 0)
        self.begin("app1")
        self.assertEqual(
            (self.grace.is_given, list(self.grace.beginning([f"app1.{ZONE}"])), self.kept()), (False, [], [])
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bound_of_an_agent(self) -> None:
        """Of one agent so many are kept, the last ones; other agents' stay."""
        self.patch(module, "MAX_NAMES_OF_AGENT", 3)
        (other,) = self.begin("app0", agent="a-2")
        names = self.begin(*(f"app{number}" for number in range(1, 6)))
        self.assertEqual((self.kept(), self.grace.count), ([other, *names[2:]], 4))

    def test_bound_of_all(self) -> None:
        """Of all agents so many are kept, the last ones; those of before a restart are one with the others."""
        self.patch(module, "MAX_NAMES", 3)
        list(self.grace.beginning([f"app{number}.{ZONE}" for number in range(5)]))
        (last,) = self.begin("app5")
        self.assertEqual(self.kept(), [f"app3.{ZONE}", f"app4.{ZONE}", last])

    def test_an_agent_that_does_not_come_back(self) -> None:
        """The names of an agent that was revoked go at once, those of others stay."""
        self.begin("app1", "app2")
        (other,) = self.begin("app3", agent="a-2")
        self.grace.end("a-1")
        self.assertEqual((self.kept(), self.grace.count), ([other], 1))
        self.grace.end("a-1")
        self.grace.stop()

    def test_many_of_one_moment(self) -> None:
        """The ends of thousands of names take turns, of a few names each, and all of them are let go."""
        for _ in self.grace.beginning(f"app{number}.{ZONE}" for number in range(2000)):
            self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(len(self.kept()), 2000)
        counts: list[int] = []
        let_go = self.publisher.let_go

        def note(hostnames: Iterable[str]) -> None:
            counts.append(self.grace.count)
            let_go(hostnames)

        self.patch(self.publisher, "let_go", note)
        self.clock.advance(SECONDS + TICK_SECONDS)
        self.assertEqual((self.kept(), self.grace.count, self.clock.getDelayedCalls()), ([], 0, []))
        self.assertEqual(counts[:2], [2000 - NAMES_IN_A_STEP, 2000 - 2 * NAMES_IN_A_STEP])

    def test_cost(self) -> None:
        """A loss costs no more beside many names that are kept than beside few."""

        def cost() -> int:
            return count_operations(lambda: self.begin(f"app-{self.grace.count}"))

        self.begin("app")
        cost()
        few = cost()
        self.begin(*(f"app{number}" for number in range(900)))
        self.clock.advance(0)
        self.assertLess(cost(), 1.02 * few)

    def test_stop(self) -> None:
        """After a stop nothing happens by time, and what is published stays."""
        names = self.begin("app1")
        self.grace.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.kept()), ([], names))
