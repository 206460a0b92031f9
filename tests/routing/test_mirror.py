"""Tests of `warp_twisted.routing.mirror`."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.names import LabelSelector
from warp_twisted.policy.document.mirror import Mirror as MirrorDocument
from warp_twisted.routing.draws import Draws
from warp_twisted.routing.mirror import Mirror

SHARES = [LabelSelector.parse("release=stable"), LabelSelector.parse("release==canary")]


class MirrorTests(SynchronousTestCase):
    """Which requests, and whose tunnels."""

    def test_exact(self) -> None:
        """Of any number of requests the part is copied that was asked for, give or take a handful."""
        for percent in (0.5, 10, 33.3, 99, 100):
            mirror = Mirror(MirrorDocument(selector="release=next", percent=percent), SHARES)
            for seed in range(5):
                draws = Draws(Random(seed).getrandbits(64))
                taken = 0
                for number in range(1, 2_001):
                    taken += mirror.takes(draws.next())
                    self.assertLess(abs(taken - number * percent / 100), 4)

    def test_own_tunnels(self) -> None:
        """A selector of its own takes its tunnels out of the split; a share's, however it is written, does not."""
        apart = Mirror(MirrorDocument(selector=" release=next,  zone=a ", percent=1), SHARES)
        self.assertEqual((apart.share, apart.selector, apart.keys), (None, "release=next, zone=a", {"release", "zone"}))
        self.assertTrue(apart.owns({"release": "next", "zone": "a"}))
        self.assertFalse(apart.owns({"release": "next"}))
        shared = Mirror(MirrorDocument(selector="release=canary", percent=1), SHARES)
        self.assertEqual(shared.share, 1)
        self.assertFalse(shared.owns({"release": "canary"}))
