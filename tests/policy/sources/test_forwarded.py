"""Tests for `warp_twisted.policy.sources.forwarded`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.sources.forwarded import MAX_PROXIES, visitor_of
from warp_twisted.policy.sources.prefixes import PrefixSet

TRUSTED = PrefixSet.of(["10.0.0.0/8", "2001:db8:a::/48"])
PEER = "10.0.0.1"


class VisitorOfTests(SynchronousTestCase):
    """`visitor_of`."""

    def test_the_last_that_is_no_proxy(self) -> None:
        """Only what trusted proxies wrote counts, over several fields as over one."""
        for fields, visitor in (
            ([], PEER),
            ([b"203.0.113.9"], "203.0.113.9"),
            ([b"198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            ([b"198.51.100.1, 203.0.113.9, 10.2.0.1"], "203.0.113.9"),
            ([b"198.51.100.1", b"203.0.113.9,10.2.0.1"], "203.0.113.9"),
            ([b"nonsense, 203.0.113.9"], "203.0.113.9"),
            ([b"10.9.0.1, 10.2.0.1"], "10.9.0.1"),
            ([b"203.0.113.9:4711"], "203.0.113.9"),
            ([b"[2001:DB8::9]:4711"], "2001:db8::9"),
            ([b"2001:db8::9, 2001:db8:a::1"], "2001:db8::9"),
            ([b"::ffff:203.0.113.9"], "203.0.113.9"),
        ):
            self.assertEqual(visitor_of(fields, PEER, TRUSTED), visitor, fields)

    def test_nobody_knows(self) -> None:
        """What a trusted proxy wrote and is no address makes the visitor unknown, not the proxy."""
        for value in (b"unknown", b"", b"203.0.113.9,", b"203.0.113.9:", b"[2001:db8::9", b"fe80::1%eth0", b"\xff"):
            self.assertIsNone(visitor_of([value], PEER, TRUSTED), value)

    def test_a_chain_without_end(self) -> None:
        """At most so many addresses are read as there are proxies in any chain."""
        fields = [b"203.0.113.9" + b", 10.0.0.2" * MAX_PROXIES]
        self.assertEqual(visitor_of(fields, PEER, TRUSTED), "10.0.0.2")

    @given(st.lists(st.binary(max_size=60), max_size=4))
    def test_any_bytes(self, fields: list[bytes]) -> None:
        """Whatever it holds, the result is an address or None."""
        visitor = visitor_of(fields, PEER, TRUSTED)
        if visitor is not None:
            self.assertIsInstance(visitor in TRUSTED, bool)
