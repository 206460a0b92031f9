"""Tests of the keys of visitors' cookies."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.registry.fakes import FlakyStore
from warp_twisted.edge.routing.cookie_keys import CHECK_SECONDS, KEPT, KNOWN_SECONDS, SIGNS_SECONDS, FleetCookieKeys
from warp_twisted.registry.mirror import Mirror
from warp_twisted.routing.cookies import CookieKeys

NOW = 1_800_000_000.0
NAME = b"warp_route"


class FleetCookieKeysTests(SynchronousTestCase):
    """Two edges on one registry."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.store = FlakyStore(self.clock)
        self.is_needed = True
        self.keys: dict[str, CookieKeys | None] = {"one": None, "two": None}
        self.edges = {name: self.edge(name) for name in self.keys}

    def edge(self, name: str) -> FleetCookieKeys:
        """Make the keys of an edge."""
        mirror = Mirror(self.store, self.clock)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        self.addCleanup(mirror.stop)

        def use(keys: CookieKeys | None) -> None:
            self.keys[name] = keys

        return FleetCookieKeys(self.store, mirror, self.clock, self.wall, are_needed=lambda: self.is_needed, use=use)

    def start(self) -> None:
        """Start both edges."""
        for edge in self.edges.values():
            edge.start()
            self.addCleanup(edge.stop)
        self.pump(2 * CHECK_SECONDS)

    def pump(self, seconds: float) -> None:
        """Let time pass, a long time in half hours."""
        step = CHECK_SECONDS if seconds < 7_200 else 1_800.0
        self.clock.pump([step] * round(seconds / step))

    def written(self, edge: str) -> bytes:
        """Return a cookie that an edge has signed."""
        keys = self.keys[edge]
        assert keys is not None
        return keys.written("a.example", NAME, 5, 6, self.wall.now())

    def is_read(self, edge: str, value: bytes) -> bool:
        """Whether an edge reads a cookie."""
        keys = self.keys[edge]
        return keys is not None and keys.read("a.example", NAME, value) is not None

    def count(self) -> int:
        """Return how many keys the registry holds."""
        return len(self.successResultOf(self.store.range("warp/route-keys/")).items)

    def test_first(self) -> None:
        """The first key is made when one is needed, one for all edges, and signs at once."""
        self.is_needed = False
        self.start()
        self.assertEqual((self.count(), self.keys), (0, {"one": None, "two": None}))
        self.is_needed = True
        self.pump(CHECK_SECONDS)
        self.assertEqual(self.count(), 1)
        self.assertTrue(self.is_read("two", self.written("one")))
        self.assertTrue(self.is_read("one", self.written("two")))

    def test_renewed(self) -> None:
        """A new key signs only when every edge has long known it; cookies of the one before are read for two months."""
        self.start()
        first = self.written("one")
        self.pump(SIGNS_SECONDS)
        self.assertEqual((self.count(), self.written("one")[:2]), (2, first[:2]))
        self.pump(KNOWN_SECONDS + CHECK_SECONDS)
        second = self.written("one")
        self.assertNotEqual(second[:2], first[:2])
        self.pump(SIGNS_SECONDS)
        for value in (first, second):
            self.assertTrue(self.is_read("one", value) and self.is_read("two", value))
        self.pump(2 * SIGNS_SECONDS)
        self.assertEqual(self.count(), KEPT)
        self.assertFalse(self.is_read("one", first))

    def test_policy_that_needs_one(self) -> None:
        """A policy that keeps visitors does not wait for the next look; without need nothing is made."""
        self.is_needed = False
        self.edges["one"].look()
        self.start()
        self.is_needed = True
        self.edges["one"].look()
        self.assertEqual(self.count(), 1)
        self.assertIsNotNone(self.keys["two"])

    def test_store_away(self) -> None:
        """While the registry cannot be written the keys stay in use, and the next is made when it can."""
        self.start()
        value = self.written("one")
        self.store.is_away = True
        self.pump(SIGNS_SECONDS + CHECK_SECONDS)
        self.assertTrue(self.is_read("one", value))
        self.store.is_away = False
        self.pump(2 * CHECK_SECONDS)
        self.assertEqual(self.count(), 2)

    def test_clock_that_jumps(self) -> None:
        """A clock that goes ten years ahead and comes back makes one key too many, and nobody loses anything."""
        self.start()
        value = self.written("one")
        self.wall.set(NOW + 10 * 365 * 86_400)
        self.pump(10 * CHECK_SECONDS)
        self.assertEqual(self.count(), 2)
        self.wall.set(NOW + 3_600)
        self.pump(10 * CHECK_SECONDS)
        self.assertEqual(self.count(), 2)
        self.assertTrue(self.is_read("one", value))
        self.assertTrue(self.is_read("two", self.written("one")))

    def test_secrets(self) -> None:
        """No secret is in what a log would show of a key."""
        self.start()
        (item,) = self.successResultOf(self.store.range("warp/route-keys/")).items
        keys = self.edges["one"]._mirror.route_keys
        self.assertNotIn(item.value.decode().split('"secret":"')[1][:64], repr(keys))
