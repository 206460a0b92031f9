"""Tests for `warp_twisted.edge.policy.banning`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.policy.judgement import REFUSALS
from warp_twisted.edge.refusals import NO_TUNNEL, TOO_MANY_REQUESTS
from warp_twisted.policy import bans as bans_module
from warp_twisted.policy.bans import BanRule
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.verdict import BUSY, CHECK_FAILED, DENIED, INSECURE, ROUTE, TOO_MANY, UNPROVEN
from warp_twisted.policy.verdict import REFUSED as WRONG

RULE = BanRule(refusals=3, within=10.0, seconds=600.0)
ADDRESS = "203.0.113.9"


class BanningTests(SynchronousTestCase):
    """`Banning`."""

    def setUp(self) -> None:
        self.now = 1_000.0
        self.banning = Banning(lambda: self.now)
        self.banning.use(RULE, PrefixSet.of(["127.0.0.0/8", "198.51.100.0/24", "2001:db8::1"]))

    def is_banned(self, address: str = ADDRESS, network: str | None = None) -> bool:
        """Whether a visitor that connects is turned away."""
        return self.banning.turns_away(address, network or address)

    def sample(self, name: str) -> float:
        """Return a metric's value."""
        return next(
            sample.value for family in self.banning.collect() for sample in family.samples if sample.name == name
        )

    def test_what_counts(self) -> None:
        """Denials, limits and wrong credentials count; what a visitor is not to blame for does not."""
        for refusal in (
            *(REFUSALS[reason] for reason in (UNPROVEN, BUSY, CHECK_FAILED, INSECURE)),
            NO_TUNNEL,
        ):
            for _ in range(10):
                self.banning.refused(refusal, ADDRESS, ADDRESS)
            self.assertFalse(self.is_banned(), refusal)
        for number, refusal in enumerate(
            (*(REFUSALS[reason] for reason in (DENIED, ROUTE, TOO_MANY, WRONG)), TOO_MANY_REQUESTS)
        ):
            address = f"203.0.113.{number}"
            for _ in range(3):
                self.assertFalse(self.is_banned(address), refusal)
                self.banning.refused(refusal, address, address)
            self.assertTrue(self.is_banned(address), refusal)

    def test_a_ban(self) -> None:
        """It is said once, counted, not prolonged by what follows, and over after its time."""
        for _ in range(10):
            self.banning.refused(REFUSALS[DENIED], ADDRESS, ADDRESS)
        self.assertEqual([self.is_banned() for _ in range(5)], [True] * 5)
        self.assertEqual(self.sample("warp_edge_bans"), 1)
        self.assertEqual(self.sample("warp_edge_bans_made_total"), 1)
        self.assertEqual(self.sample("warp_edge_banned_connections_total"), 5)
        self.now += 599.0
        self.banning.refused(REFUSALS[DENIED], ADDRESS, ADDRESS)
        self.assertTrue(self.is_banned())
        self.now += 1.0
        self.assertFalse(self.is_banned())

    def test_never(self) -> None:
        """Loopback, what the policy names and edges are never banned, not with their neighbours either."""
        self.banning.is_edge = lambda address: address == "192.0.2.1"
        self.banning.proxies = PrefixSet.of(["192.0.2.16/28"])
        for address in ("127.0.0.1", "198.51.100.7", "192.0.2.1", "192.0.2.17"):
            for _ in range(10):
                self.banning.refused(REFUSALS[DENIED], address, address)
            self.assertFalse(self.is_banned(address), address)
            with self.assertRaisesRegex(EdgeError, "is never banned"):
                self.banning.add(address, 60.0, "")
        for _ in range(3):
            self.banning.refused(REFUSALS[DENIED], "2001:db8::2", "2001:db8::")
        self.assertTrue(self.is_banned("2001:db8::3", "2001:db8::"))
        self.assertFalse(self.is_banned("2001:db8::1", "2001:db8::"))

    def test_without_a_rule(self) -> None:
        """Without a rule nobody is banned by itself; bans that there are stay."""
        self.banning.add(ADDRESS, 60.0, "abuse report")
        self.banning.use(None, PrefixSet.of(["127.0.0.0/8"]))
        for _ in range(10):
            self.banning.refused(REFUSALS[DENIED], "203.0.113.10", "203.0.113.10")
        self.assertEqual((self.is_banned(), self.is_banned("203.0.113.10")), (True, False))

    def test_operators(self) -> None:
        """An operator bans, sees who is, lets in again, and hears that there is no more room."""
        self.banning.add(ADDRESS, 60.0, "abuse report")
        self.now += 20.0
        self.assertEqual(
            list(self.banning.listed()), [{"network": ADDRESS, "seconds_left": 40.0, "reason": "abuse report"}]
        )
        self.assertEqual([self.banning.remove(ADDRESS) for _ in range(2)], [True, False])
        self.assertEqual(list(self.banning.listed()), [])
        self.patch(bans_module, "MAX_BANS", 1)
        self.banning.add(ADDRESS, 60.0, "")
        with self.assertRaisesRegex(EdgeError, "too many bans"):
            self.banning.add("203.0.113.10", 60.0, "")
        self.assertEqual(self.sample("warp_edge_bans_left_out_total"), 1)
        self.now += 60.0
        self.assertEqual(list(self.banning.listed()), [])
