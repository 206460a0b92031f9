"""Tests of what an agent tells of others that serve its hostnames."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.events import Event, Shared
from warp_twisted.agent.sharing import Sharing
from warp_twisted.wire.control import Accepted


class SharingTests(SynchronousTestCase):
    """What edges say, and what observers hear."""

    def test_told_when_it_changes(self) -> None:
        """Hostnames that others serve are told once, again when their number changes, and not when nobody else does."""
        told: list[Event] = []
        sharing = Sharing(told.append)
        names = {1: "app.warp.example", 2: "own.warp.example"}
        for others in ({}, {1: 2}, {1: 2, 9: 1}, {1: 1}, {}, {1: 1}):
            sharing.accepted(Accepted(edge="edge1", tunnel_id="t", hostnames=names, group="shop", others=others))
        counts = [event.hostnames["app.warp.example"] for event in told if isinstance(event, Shared)]
        self.assertEqual((counts, len(told)), ([2, 1, 1], 3))
        self.assertEqual(told[0], Shared(group="shop", hostnames={"app.warp.example": 2}))
