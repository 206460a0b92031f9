"""Tests of the shadow of a split, and of which tunnels are its own."""

from collections import Counter

from tests.edge.fakes import FakeBorrower
from tests.edge.routes.test_splitting import SplitTestCase
from warp_twisted.edge.routes.shadows import Shadow
from warp_twisted.edge.routes.splitting import RouteSplit


class ShadowTests(SplitTestCase):
    """A route with a mirror."""

    def mirrored(self, selector: str, **keys: object) -> tuple[RouteSplit, Shadow]:
        """Split the route's requests, with copies of a tenth of them."""
        split = self.use({"mirror": {"selector": selector, "percent": 10}, **keys})
        assert split.shadow is not None
        return split, split.shadow

    def test_tunnels_apart(self) -> None:
        """Tunnels of a selector of its own get no request of a visitor, though a share for all others wants them."""
        self.join("s", "stable")
        shares = [{"selector": "release=canary", "weight": 10}, {"selector": "", "weight": 90}]
        split, shadow = self.mirrored("release=next", split=shares)
        load = self.join("n", "next")
        self.assertEqual((shadow.members.count, split.shares[1].count, split.unmatched), (1, 1, 0))
        served = Counter(split.borrow(FakeBorrower(), split.draws.next())[0].member.load.tunnel.id for _ in range(50))
        self.assertEqual(served, {"s": 50})
        self.route.suspect(load)
        self.assertEqual((shadow.members.count, shadow.members.healthy), (1, 0))
        self.route.trust(load)
        self.assertEqual(shadow.members.healthy, 1)
        self.route.leave(load, 1.0)
        self.assertEqual((shadow.members.count, split.unmatched), (0, 0))

    def test_tunnels_of_a_share(self) -> None:
        """With a share's selector the shadow is that share's tunnels, which keep their part."""
        self.join("s", "stable")
        self.join("c", "canary")
        split, shadow = self.mirrored("release==canary")
        self.assertIs(shadow.members, split.shares[1])
        self.assert_near(self.sent(100)["c"], 10)

    def test_due(self) -> None:
        """Copies are made of what only reads and has no body: a tenth of these, whatever comes in between."""
        self.join("s", "stable")
        _, shadow = self.mirrored("release=next")
        due: Counter[bytes] = Counter()
        for number in range(3_000):
            method = (b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"DELETE")[number % 6]
            due[method] += shadow.is_due(method, has_body=False)
            self.assertFalse(shadow.is_due(b"GET", has_body=True))
        self.assertEqual(set(+due), {b"GET", b"HEAD", b"OPTIONS"})
        self.assertLess(abs(due.total() - 150), 4)

    def test_followed(self) -> None:
        """A policy that leaves the entry alone leaves the shadow; one that changes it makes another."""
        self.join("n", "next")
        _, first = self.mirrored("release=next")
        self.assertIs(self.mirrored("release=next")[1], first)
        changed = self.use({"mirror": {"selector": "release=next", "percent": 20}}).shadow
        assert changed is not None
        self.assertIsNot(changed, first)
        self.assertEqual((changed.members.count, changed.mirror.percent), (1, 20))
        self.assertIsNone(self.use({}).shadow)
