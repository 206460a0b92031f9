"""Tests for `warp_twisted.edge.policy.assertion_keys`."""

import json
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.policy.authentication.requests import WALL
from warp_twisted.edge.policy.assertion_keys import CHECK_SECONDS, FILE, AssertionKeys, PublishedKeys
from warp_twisted.policy.authentication.key_ring import LIFETIME_SECONDS
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge, encode


class AssertionKeysTests(SynchronousTestCase):
    """`AssertionKeys`, in a state directory."""

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.clock = Clock()
        self.wall = SettableWallClock(WALL)

    def make(self) -> AssertionKeys:
        """Start with what the directory has."""
        keys = AssertionKeys(self.directory, "warp.example", self.clock, self.wall)
        keys.start()
        self.addCleanup(keys.stop)
        return keys

    def test_kept(self) -> None:
        """A restart has the same keys; nobody else can read the file."""
        first = self.make().public
        self.assertEqual(self.make().public, first)
        self.assertEqual((self.directory / FILE).stat().st_mode & 0o777, 0o600)

    def test_renewed_while_it_runs(self) -> None:
        """After its time the next key is there, also after a restart."""
        keys = self.make()
        first = keys.public
        self.wall.set(WALL + LIFETIME_SECONDS)
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(keys.public[:1], first)
        self.assertEqual(len(keys.public), 2)
        self.assertEqual(self.make().public, keys.public)

    def test_a_file_that_is_broken(self) -> None:
        """One that cannot be read is replaced, and that is said."""
        first = self.make().public
        (self.directory / FILE).write_bytes(b'{"keys": [{"pem"')
        again = self.make().public
        self.assertNotEqual(again, first)
        self.assertEqual(self.make().public, again)

    def test_a_disk_that_is_full(self) -> None:
        """What cannot be written replaces nothing; the first key is used all the same, and written when that goes."""
        moved = self.directory.with_name("moved")
        self.directory.rename(moved)
        keys = self.make()
        first = keys.public
        self.assertEqual(len(first), 1)
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(keys.public, first)
        moved.rename(self.directory)
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.make().public, first)
        self.directory.rename(moved)
        self.wall.set(WALL + LIFETIME_SECONDS)
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual(keys.public, first)


class PublishedKeysTests(SynchronousTestCase):
    """`PublishedKeys`, beside a registry in memory."""

    def test_of_the_whole_fleet(self) -> None:
        """The keys of all edges are there, each once, and follow the registry."""
        clock = Clock()
        directory = Path(self.mktemp())
        directory.mkdir()
        own = AssertionKeys(directory, "warp.example", clock, SettableWallClock(WALL))
        other = AssertionKeys(directory / "none", "warp.example", clock, SettableWallClock(WALL))
        store = MemoryStore(clock)
        mirror = Mirror(store, clock)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        published = PublishedKeys(mirror, own)

        def kids() -> list[str]:
            return [key["kid"] for key in json.loads(published.content())["keys"]]

        self.assertEqual(kids(), [own.public[0]["kid"]])
        self.assertIs(published.content(), published.content())
        for name, keys in (("a", own), ("b", other)):
            edge = Edge(name=name, addresses=("192.0.2.1",), assertion_keys=keys.public)
            self.successResultOf(store.put(edge.key, encode(edge)))
        clock.advance(0)
        self.assertEqual(kids(), [own.public[0]["kid"], other.public[0]["kid"]])
        self.successResultOf(store.delete(Edge(name="b", addresses=()).key))
        clock.advance(0)
        self.assertEqual(kids(), [own.public[0]["kid"]])
