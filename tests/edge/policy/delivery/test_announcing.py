"""Tests of `warp_twisted.edge.policy.delivery.announcing`."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.registry.fakes import FlakyStore
from warp_twisted.edge.policy.delivery.announcing import MAX_ERROR, AnnouncedPolicy
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.edge_records import EdgePolicy
from warp_twisted.registry.mirror import Mirror


class AnnouncedPolicyTests(SynchronousTestCase):
    """`AnnouncedPolicy`."""

    def test_told(self) -> None:
        """What an edge has in force is in the registry from its start on, as it changes, and gone when it stops."""
        clock = Clock()
        store = FlakyStore(clock)
        mirror = Mirror(store, clock)
        self.successResultOf(Deferred.fromCoroutine(mirror.start()))
        claims = Claims(store, clock, 10.0)
        follower: Any = SimpleNamespace(standing=Standing(wanted=1, version=1))
        announced = AnnouncedPolicy(claims, follower, "edge1")
        settled = announced.start()
        clock.advance(0)
        self.successResultOf(settled)
        self.assertEqual(mirror.edge_policies, {"edge1": EdgePolicy(edge="edge1", version=1)})
        for standing, expected in (
            (Standing(wanted=2, version=1), EdgePolicy(edge="edge1", version=1)),
            (
                Standing(wanted=2, version=1, error="x" * 9999),
                EdgePolicy(edge="edge1", version=1, error="x" * MAX_ERROR),
            ),
            (Standing(file="/p.yaml", wanted=2), EdgePolicy(edge="edge1", file=True)),
        ):
            follower.standing = standing
            follower.changed()
            clock.advance(0)
            self.assertEqual(mirror.edge_policies, {"edge1": expected})
        self.successResultOf(Deferred.fromCoroutine(claims.stop()))
        self.assertEqual(mirror.edge_policies, {})
        follower.changed()
        clock.advance(0)
        self.assertEqual(mirror.edge_policies, {})
        mirror.stop()
