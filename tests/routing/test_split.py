"""Tests of `warp_twisted.routing.split`."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.routing import Routing
from warp_twisted.routing.guard import Limits
from warp_twisted.routing.split import MAX_REMEMBERED, Split


def split_of(**keys: object) -> Split:
    """Return a compiled split of app.example."""
    return Split(msgspec.convert({"hostname": "app.example", **keys}, Routing))


def share(selector: str, weight: int = 1, tier: int = 0) -> dict[str, object]:
    """Return a share as it is written."""
    return {"selector": selector, "weight": weight, "tier": tier}


class SplitTests(SynchronousTestCase):
    """Shares and their tunnels."""

    def test_first_that_matches(self) -> None:
        """A tunnel belongs to the first share whose selector matches; one that none matches gets nothing."""
        split = split_of(split=[share("release=canary"), share("release"), share("!release,team=blue")])
        for labels, expected in (
            ({"release": "canary", "team": "blue"}, 0),
            ({"release": "stable"}, 1),
            ({"team": "blue"}, 2),
            ({"team": "red"}, None),
            ({}, None),
        ):
            self.assertEqual(split.share_of(labels), expected)
        self.assertEqual(split_of(split=[share("")]).share_of({"any": "thing"}), 0)

    def test_labels_are_bounded(self) -> None:
        """Agents that make labels up fill no memory: their shares are remembered only so many at a time."""
        split = split_of(split=[share("release=canary")])
        for number in range(3 * MAX_REMEMBERED):
            split.share_of({"release": f"r{number}"})
            split.share_of({"other": f"r{number}"})
        self.assertLessEqual(len(split._known), MAX_REMEMBERED)

    def test_retried(self) -> None:
        """What only reads may be sent again, unless the entry says otherwise."""
        self.assertEqual(split_of(split=[share("")]).retried, {b"GET", b"HEAD", b"OPTIONS"})
        self.assertEqual(split_of(split=[share("")], retries={"methods": ["PUT"]}).retried, {b"PUT"})

    def test_heir(self) -> None:
        """What is taken from a share goes to the one of its tier with most weight, however its selector is written."""
        split = split_of(
            split=[share("a=1", 5), share("a=2", 9), share("a=3", 1), share("a=4", 0), share("a=5", 9, 1)],
            guard={"selector": "a==3", "p99": "1.5x", "on_worse": "freeze"},
        )
        self.assertEqual([split.heir(at) for at in range(5)], [1, 0, 1, 1, None])
        self.assertEqual((split.guarded, split.takes_back), (2, False))
        self.assertEqual(split.limits, Limits(error_ratio=0.02, p99=1.5, seconds=60.0, minimum=100))
        split.taken = 2, 1
        self.assertEqual(split.layout(0).parts, [5 / 15, 10 / 15, 0, 0, 0])
        self.assertEqual(split.layout(1).parts, [0, 0, 0, 0, 1])

    def test_tiers(self) -> None:
        """The first tier of which enough is healthy, else the first with anything healthy; weight 0 does not count."""
        split = split_of(
            split=[share("a=1", 1), share("a=2", 0), share("a=3", 1, 3), share("a=4", 1, 7)], tier_minimum="50%"
        )
        self.assertEqual(split.tiers, ((0, 1), (2,), (3,)))
        for healthy, expected in (
            ([2, 0, 4, 4], 0),
            ([1, 4, 4, 4], 1),
            ([1, 4, 1, 4], 2),
            ([1, 4, 1, 0], 0),
            ([0, 4, 1, 0], 1),
            ([0, 4, 0, 0], 0),
        ):
            self.assertEqual(split.tier(healthy, [4, 4, 4, 4]), expected, healthy)
        self.assertEqual(split_of(split=[share("a", 1), share("b", 1, 1)]).tier([1, 9], [9, 9]), 0)

    def test_layout_of_a_tier(self) -> None:
        """Shares of another tier get nothing, and a shift of one of them changes nothing."""
        split = split_of(split=[share("a=1", 3), share("a=2", 1), share("a=3", 5, 1)])
        self.assertEqual(split.layout(0).parts, [0.75, 0.25, 0.0])
        self.assertEqual(split.layout(1).parts, [0.0, 0.0, 1.0])
        split.shifted = (1, 5_000)
        self.assertEqual(split.layout(0).parts, [0.5, 0.5, 0.0])
        split.shifted = (2, 0)
        self.assertEqual(split.layout(0).parts, [0.75, 0.25, 0.0])

    def test_digest(self) -> None:
        """A split is another one when hostname, shares, weights or tiers are, not when visitors are kept otherwise."""
        plain = split_of(split=[share("a=1", 3), share("a=2", 1)])
        same = split_of(split=[share("a=1", 3), share("a=2", 1)], sticky={"address": True}, when_empty=503)
        self.assertEqual(plain.digest, same.digest)
        others = (
            split_of(split=[share("a=1", 3), share("a=2", 2)]),
            split_of(split=[share("a=2", 1), share("a=1", 3)]),
            split_of(split=[share("a=1", 3), share("a=2", 1, 1)]),
            split_of(split=[share("a=1", 3), share("a=2", 1)], hostname="*.example"),
        )
        self.assertEqual(len({plain.digest, *(each.digest for each in others)}), 5)

    def test_keeping_visitors(self) -> None:
        """A cookie has its attributes as they are sent; an address needs none."""
        cookie = split_of(split=[share("a")], sticky={"cookie": "warp_route", "ttl": "2h"}).cookie
        assert cookie is not None
        self.assertEqual((cookie.name, cookie.ttl_seconds), (b"warp_route", 7_200))
        self.assertEqual(cookie.plain, b"; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax")
        self.assertEqual(cookie.secure, b"; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax; Secure")
        embedded = split_of(split=[share("a")], sticky={"cookie": "r", "same_site": "none"}).cookie
        assert embedded is not None
        # Browsers refuse None over http.
        self.assertEqual(embedded.plain, b"; Path=/; Max-Age=3600; HttpOnly")
        self.assertEqual(embedded.secure, b"; Path=/; Max-Age=3600; HttpOnly; SameSite=None; Secure")
        by_address = split_of(split=[share("a")], sticky={"address": True})
        self.assertEqual((by_address.cookie, by_address.is_by_address), (None, True))
        self.assertFalse(split_of(split=[share("a")]).is_by_address)
