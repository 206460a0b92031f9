"""Tests of `policy.judging.counting`."""

from collections.abc import Hashable

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleLimiter, request
from warp_twisted.policy.document.limits import HeaderKey, Limit
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.judging.counting import MAX_KEY, CountedLimit

_ALICE = (Identity("basic", "alice"),)


class KeyTests(SynchronousTestCase):
    """By which key a limit counts."""

    def key(self, limit: Limit, facts: Facts, identities: tuple[Identity, ...] = ()) -> Hashable:
        """Return a key."""
        return CountedLimit(limit, SampleLimiter(limit)).key(facts, identities)

    def test_keys(self) -> None:
        """Requests share a count if they have the key in common, and the hostname unless it is for all."""
        here, there = request(), request(host="b.example")
        other = request(address="192.0.2.9")
        for limit, shared, apart in (
            (Limit(name="a", rate="1/s"), [here, here], [there, other]),
            (Limit(name="a", rate="1/s", per="all"), [here, there], [other]),
            (Limit(name="a", rate="1/s", key="hostname"), [here, other], [there]),
            (Limit(name="a", rate="1/s", key="hostname", per="all"), [here, other, there], []),
        ):
            self.assertEqual(len({self.key(limit, facts) for facts in shared}), 1, limit)
            for facts in apart:
                self.assertNotEqual(self.key(limit, facts), self.key(limit, shared[0]), limit)

    def test_header(self) -> None:
        """A field's value tells keys apart, as far as it is remembered."""
        limit = Limit(name="a", rate="1/s", key=HeaderKey(header="X_Key"), per="all")
        self.assertEqual(self.key(limit, request("GET /", "x-key: 1")), b"1")
        self.assertEqual(self.key(limit, request()), b"")
        self.assertEqual(
            len(bytes(str(self.key(limit, request("GET /", "x-key: " + "a" * 999))), "ascii")), MAX_KEY + 3
        )

    def test_identity(self) -> None:
        """Who is known counts wherever he is; who is not counts by address."""
        limit = Limit(name="a", rate="1/s", key="identity", per="all")
        self.assertTrue(CountedLimit(limit, SampleLimiter(limit)).by_identity)
        elsewhere = request(address="192.0.2.9")
        self.assertEqual(self.key(limit, request(), _ALICE), self.key(limit, elsewhere, _ALICE))
        self.assertNotEqual(self.key(limit, request()), self.key(limit, elsewhere))
