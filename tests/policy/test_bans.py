"""Tests for `warp_twisted.policy.bans`."""

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.bans import Ban, BanRule, Bans, network_text, parse_network
from warp_twisted.policy.sources.prefixes import PrefixSet

RULE = BanRule(refusals=20, within=10.0, seconds=600.0)
NETWORK = "203.0.113.9"


def banned(bans: Bans, network: str, now: float, count: int) -> list[int]:
    """Refuse a network several times; return which refusals, from 1, caused a ban."""
    return [number for number in range(1, count + 1) if bans.refused(network, network, now) is not None]


class RefusedTests(SynchronousTestCase):
    """`Bans.refused`."""

    def test_the_twentieth_refusal_bans(self) -> None:
        """Twenty at once ban, once; nineteen do not."""
        bans = Bans(RULE)
        self.assertEqual(banned(bans, NETWORK, 0.0, 19), [])
        self.assertFalse(bans.is_banned(NETWORK, 0.0))
        self.assertEqual(banned(bans, NETWORK, 0.0, 30), [1])
        self.assertTrue(bans.is_banned(NETWORK, 0.0))
        self.assertFalse(bans.is_banned("203.0.113.10", 0.0))

    def test_few_refusals_never_ban(self) -> None:
        """One a second is far below twenty in ten seconds."""
        bans = Bans(RULE)
        for second in range(200):
            self.assertIsNone(bans.refused(NETWORK, NETWORK, float(second)))

    def test_not_prolonged(self) -> None:
        """It ends when it said, whatever was refused meanwhile; the next twenty ban again."""
        bans = Bans(RULE)
        banned(bans, NETWORK, 0.0, 20)
        self.assertEqual(banned(bans, NETWORK, 599.0, 100), [])
        self.assertTrue(bans.is_banned(NETWORK, 599.9))
        self.assertFalse(bans.is_banned(NETWORK, 600.0))
        self.assertEqual(banned(bans, NETWORK, 600.0, 25), [20])

    def test_let_in_again(self) -> None:
        """Who is let in again begins anew: the next ban takes as many refusals as the first."""
        bans = Bans(RULE)
        banned(bans, NETWORK, 0.0, 20)
        self.assertTrue(bans.remove(NETWORK))
        self.assertEqual(banned(bans, NETWORK, 0.0, 25), [20])

    def test_never(self) -> None:
        """An address that is never banned is not, and without a rule nobody is."""
        bans = Bans(RULE, PrefixSet.of([NETWORK]))
        self.assertEqual(banned(bans, NETWORK, 0.0, 100), [])
        bans.rule = None
        self.assertEqual(banned(bans, "203.0.113.10", 0.0, 100), [])


class NetworkTests(SynchronousTestCase):
    """`parse_network` and `network_text`."""

    def test_networks(self) -> None:
        """An IPv4 address is one, and an IPv6 /64, in any spelling."""
        for text, network, shown in (
            ("203.0.113.9", "203.0.113.9", "203.0.113.9"),
            ("203.0.113.9/32", "203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9"),
            ("2001:DB8:0::7", "2001:db8::", "2001:db8::/64"),
            ("2001:db8::/64", "2001:db8::", "2001:db8::/64"),
        ):
            self.assertEqual(parse_network(text), network)
            self.assertEqual(network_text(network), shown)

    def test_refused(self) -> None:
        """What is none is refused, with what to do for other prefixes."""
        for text in ("", "app.example", "203.0.113", "2001:db8::/200"):
            with self.assertRaisesRegex(ValueError, "expected an IPv4 or IPv6 address"):
                parse_network(text)
        for text in ("203.0.113.0/24", "2001:db8::/48", "::ffff:203.0.113.0/120"):
            with self.assertRaisesRegex(ValueError, "deny other prefixes in the policy"):
                parse_network(text)


class AddTests(SynchronousTestCase):
    """`Bans.add`, `remove` and `all`."""

    def test_an_operator_bans_and_lets_in(self) -> None:
        """What was added is listed until it ends or is removed."""
        bans = Bans()
        self.assertTrue(bans.add(NETWORK, Ban(until=10.0, reason="abuse report"), 0.0))
        self.assertEqual([(network, ban.reason) for network, ban in bans.all()], [(NETWORK, "abuse report")])
        self.assertEqual(len(bans), 1)
        self.assertTrue(bans.remove(NETWORK))
        self.assertFalse(bans.remove(NETWORK))
        self.assertFalse(bans.is_banned(NETWORK, 0.0))

    def test_bounded(self) -> None:
        """At the limit a new ban is left out and counted, until others have ended, behind whatever lasts."""
        bans = Bans()
        with patch("warp_twisted.policy.bans.MAX_BANS", 10):
            for number in range(10):
                until = 1000.0 if number < 5 else 10.0
                self.assertTrue(bans.add(f"192.0.2.{number}", Ban(until=until, reason=""), 0.0))
            self.assertFalse(bans.add(NETWORK, Ban(until=20.0, reason=""), 0.0))
            self.assertEqual(bans.left_out, 1)
            tries = [bans.add(NETWORK, Ban(until=20.0, reason=""), 11.0) for _ in range(3)]
        self.assertIn(True, tries)
        self.assertTrue(all(bans.is_banned(f"192.0.2.{number}", 11.0) for number in range(5)))
