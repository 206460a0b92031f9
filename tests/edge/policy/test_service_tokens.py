"""Tests for `warp_twisted.edge.policy.service_tokens`."""

from hashlib import sha256
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import warp_twisted.edge.policy.service_tokens as module
from tests.clocks import SettableWallClock
from tests.policy.authentication.requests import WALL
from warp_twisted.edge.errors import EdgeError, TokenNotFound
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import ServiceToken
from warp_twisted.registry.sqlite import SqliteStore


class ServiceTokensTests(SynchronousTestCase):
    """`ServiceTokens`, on a registry in a file."""

    def setUp(self) -> None:
        """Make the directory, and start."""
        self.directory = Path(self.mktemp())
        self.clock = Clock()
        self.start()

    def start(self) -> None:
        """Open the registry."""
        self.store = SqliteStore(self.directory, self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        self.wall = SettableWallClock(WALL)
        self.tokens = ServiceTokens(self.store, self.mirror, self.wall)

    def tearDown(self) -> None:
        """Close it."""
        self.mirror.stop()
        self.successResultOf(self.store.close())

    def create(self, name: str = "ci") -> tuple[ServiceToken, str]:
        """Make a token."""
        made = self.successResultOf(Deferred.fromCoroutine(self.tokens.create(name, 60.0)))
        self.clock.advance(0)
        return made

    def test_found(self) -> None:
        """A token is found by its id, also after a restart; its secret is nowhere in the file."""
        kept, secret = self.create()
        for _ in range(2):
            known = self.tokens.find(kept.id)
            assert known is not None
            self.assertEqual((known.name, known.digest), ("ci", sha256(secret.encode()).digest()))
            self.assertEqual(known.ends_at, WALL + 60.0)
            self.tearDown()
            self.start()
        written = b"".join(path.read_bytes() for path in self.directory.iterdir())
        self.assertIn(kept.id.encode(), written)
        self.assertNotIn(secret.encode(), written)
        self.assertNotIn(secret, repr((kept, known)))
        self.assertIsNone(self.tokens.find("nobody"))

    def test_revoked(self) -> None:
        """What is revoked is unknown at once and after a restart, and cannot be revoked twice."""
        kept, _ = self.create()
        other, _ = self.create()
        self.successResultOf(Deferred.fromCoroutine(self.tokens.revoke(kept.id)))
        self.clock.advance(0)
        self.assertIsNone(self.tokens.find(kept.id))
        self.assertIsNotNone(self.tokens.find(other.id))
        self.failureResultOf(Deferred.fromCoroutine(self.tokens.revoke(kept.id)), TokenNotFound)
        self.tearDown()
        self.start()
        self.assertEqual([each.id for each in self.tokens.all()], [other.id])

    def test_expired(self) -> None:
        """One that has expired is listed for a while, and forgotten with the next that is made after that."""
        self.patch(module, "MAX_FORGOTTEN", 2)
        for _ in range(3):
            self.create("old")
        self.wall.set(WALL + 60.0)
        self.create()
        self.assertEqual([each.name for each in self.tokens.all()], ["old"] * 3 + ["ci"])
        self.wall.set(WALL + 60.0 + module.EXPIRED_SECONDS)
        for left in (1, 0):
            self.create("new")
            self.assertEqual([each.name for each in self.tokens.all()].count("old"), left)

    def test_expired_ones_make_room(self) -> None:
        """Where there is no room those that have expired go at once; those that are good stay."""
        self.patch(module, "MAX_TOKENS", 2)
        old, _ = self.create("old")
        self.wall.set(WALL + 59.0)
        good, _ = self.create("good")
        self.failureResultOf(Deferred.fromCoroutine(self.tokens.create("ci", 60.0)), EdgeError)
        self.wall.set(WALL + 60.0)
        self.create("new")
        self.assertEqual({each.name for each in self.tokens.all()}, {"good", "new"})
        self.assertEqual((self.tokens.find(old.id), self.tokens.find(good.id) is not None), (None, True))

    def test_refused(self) -> None:
        """Odd names and too many tokens."""
        for name in ("", "-x", "a b", "x" * 64, "a\n"):
            self.failureResultOf(Deferred.fromCoroutine(self.tokens.create(name, 60.0)), ValueError)
        self.patch(module, "MAX_TOKENS", 1)
        self.create()
        self.failureResultOf(Deferred.fromCoroutine(self.tokens.create("ci", 60.0)), EdgeError)
