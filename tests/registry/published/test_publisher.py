"""Tests of keeping a publication up with a mirror, in slices."""

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.slices import Slices
from warp_twisted.names import Hostname
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge, Tunnel, encode
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.publisher import Publisher
from warp_twisted.registry.store import Put

ZONE = "warp.example"
EDGE = Edge(name="edge1", addresses=("192.0.2.1",), http_port=80)
MANY = 600


def tunnel(number: int, *hostnames: str) -> Tunnel:
    """Return a tunnel that serves some hostnames."""
    names = tuple(Hostname(f"{name}.{ZONE}") for name in hostnames)
    return Tunnel(id=f"t-{number}", agent="a", slot=0, edge="edge1", hostnames=names)


class PublisherTests(SynchronousTestCase):
    """A registry in memory; slices that hold one step each."""

    def setUp(self) -> None:
        """Publish one edge."""
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.publication = Publication(ZONE)
        self.publisher = Publisher(self.publication, self.mirror, Slices(self.clock, 0.0))
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        self.put(EDGE)

    def put(self, *values: Edge | Tunnel) -> None:
        """Put values into the registry, in one transaction."""
        self.successResultOf(self.store.transact([], [Put(value.key, encode(value)) for value in values]))

    def is_published(self, name: str) -> bool:
        """Whether a name under the zone has records."""
        return bool(self.publication.records_of(f"{name}.{ZONE}"))

    def test_one_registration_is_published_at_once(self) -> None:
        """What one registration changes is there when the registry has it, and there is nothing left to do."""
        self.put(tunnel(1, "app"))
        self.assertTrue(self.is_published("app"))
        self.successResultOf(self.publisher.settled())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_names_take_turns(self) -> None:
        """Many names are published a slice at a time; each slice is told to the subscribers."""
        told: list[int] = []
        self.publication.subscribe(lambda changed: told.append(len(changed)))
        self.put(tunnel(1, *(f"app{number}" for number in range(MANY))))
        self.assertFalse(self.is_published(f"app{MANY - 1}"))
        settled = self.publisher.settled()
        self.assertNoResult(settled)
        self.clock.advance(0)
        self.successResultOf(settled)
        self.assertTrue(self.is_published(f"app{MANY - 1}"))
        self.assertLess(max(told), 5)
        self.assertGreater(len(told), MANY)

    def test_what_comes_meanwhile(self) -> None:
        """A name that comes while many go is published before the last of them has gone."""
        names = [f"app{number}" for number in range(MANY)]
        self.put(tunnel(1, *names))
        self.clock.advance(0)
        order: list[str] = []
        self.publication.subscribe(lambda changed: order.extend(changed))
        self.successResultOf(self.store.delete(tunnel(1).key))
        self.put(tunnel(2, "new"))
        self.clock.advance(0)
        self.assertFalse(self.is_published(names[-1]))
        self.assertLess(order.index(f"new.{ZONE}"), order.index(f"{names[-1]}.{ZONE}"))

    def test_names_are_kept(self) -> None:
        """A name that is kept is published without a change of the registry, and so is its end; many take turns."""
        self.publisher.keep([f"app.{ZONE}"], "edge1")
        self.assertTrue(self.is_published("app"))
        self.publisher.let_go([f"app.{ZONE}"])
        self.assertFalse(self.is_published("app"))
        self.publisher.keep([f"app{number}.{ZONE}" for number in range(MANY)], "edge1")
        self.assertFalse(self.is_published(f"app{MANY - 1}"))
        self.clock.advance(0)
        self.assertTrue(self.is_published(f"app{MANY - 1}"))

    def test_failure(self) -> None:
        """A bug in a subscriber is logged, and later changes are published all the same."""

        def fail(changed: object) -> None:
            unsubscribe()
            raise ZeroDivisionError

        for count in (1, MANY):
            unsubscribe = self.publication.subscribe(fail)
            self.put(*(tunnel(number, f"app{count}-{number}") for number in range(count)))
            self.clock.advance(0)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.put(tunnel(MANY, f"other{count}"))
            self.clock.advance(0)
            self.assertTrue(self.is_published(f"other{count}"))

    def test_stop(self) -> None:
        """After stop nothing is published, and who waits is told."""
        self.put(tunnel(1, *(f"app{number}" for number in range(MANY))))
        settled = self.publisher.settled()
        self.publisher.stop()
        self.successResultOf(settled)
        self.put(tunnel(2, "other"))
        self.clock.advance(0)
        self.assertFalse(self.is_published("other"))

    def test_held(self) -> None:
        """While it is held nothing comes and nothing goes; afterwards all that has changed meanwhile does."""
        self.put(tunnel(1, "app"))
        self.publisher.hold()
        self.put(tunnel(2, "new"))
        self.successResultOf(self.store.delete(tunnel(1).key))
        self.successResultOf(self.publisher.settled())
        self.assertEqual([self.is_published(name) for name in ("app", "new")], [True, False])
        self.publisher.go_on()
        self.clock.advance(0)
        self.assertEqual([self.is_published(name) for name in ("app", "new")], [False, True])


class ReachedTests(SynchronousTestCase):
    """What other edges have is published when this edge reaches them."""

    def setUp(self) -> None:
        """Publish this edge, `edge0`, and know another one."""
        clock = Clock()
        self.mirror = Mirror(MemoryStore(clock), clock)
        self.publication = Publication(ZONE)
        Publisher(self.publication, self.mirror, Slices(clock, 0.0), "edge0")
        self.told: list[str] = []
        self.publication.subscribe(self.told.extend)
        self.learn(Edge(name="edge0", addresses=("192.0.2.9",), http_port=80), EDGE)

    def learn(self, *values: Edge | Tunnel) -> None:
        """Let the mirror hear of values."""
        self.mirror.learn({value.key: value for value in values})

    def reach(self, *edges: str) -> None:
        """Let this edge say that it reaches others."""
        self.learn(replace(self.mirror.edges["edge0"], relays_to=edges))

    def addresses(self, name: str) -> set[str]:
        """Return a name's addresses."""
        return {each.rdata for each in self.publication.records_of(f"{name}.{ZONE}") if each.type == "A"}

    def test_a_snapshot_is_published_once(self) -> None:
        """While the other edge is not reached its hostnames wait; then each is told once, with both addresses."""
        self.learn(tunnel(1, "app"), tunnel(2, "gone"), tunnel(3, "before"))
        self.learn(tunnel(3, "after"))
        self.mirror.learn({tunnel(2).key: None})
        self.assertFalse(any(name.startswith(("app", "gone", "after", "before")) for name in self.told))
        self.reach("edge1")
        self.assertEqual(self.addresses("app"), {"192.0.2.1", "192.0.2.9"})
        self.assertEqual(self.told.count(f"app.{ZONE}"), 1)
        self.assertEqual([self.addresses(name) for name in ("gone", "before")], [set(), set()])
        self.assertEqual(self.addresses("after"), {"192.0.2.1", "192.0.2.9"})

    def test_what_is_published_follows(self) -> None:
        """An edge that is reached no more is followed in what was published; what comes new waits."""
        self.reach("edge1")
        self.learn(tunnel(1, "app"))
        self.assertEqual(len(self.addresses("app")), 2)
        self.reach()
        self.assertEqual(self.addresses("app"), {"192.0.2.1"})
        self.learn(tunnel(2, "new"))
        self.mirror.learn({tunnel(1).key: None})
        self.assertEqual([self.addresses(name) for name in ("app", "new")], [set(), set()])

    def test_own_tunnels_wait_for_nobody(self) -> None:
        """What this edge has is published at once."""
        self.learn(replace(tunnel(1, "app"), edge="edge0"))
        self.assertEqual(self.addresses("app"), {"192.0.2.9"})

    def test_another_edge_reached(self) -> None:
        """What an edge reached before is not published anew when it reaches another one."""
        self.reach("edge1")
        self.learn(tunnel(1, "app"))
        self.told.clear()
        self.learn(replace(EDGE, name="edge2", addresses=("192.0.2.2",)))
        self.reach("edge1", "edge2")
        self.assertNotIn(f"app.{ZONE}", self.told)
