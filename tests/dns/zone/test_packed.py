"""Tests of `warp_dns.zone.packed`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire
from warp_dns.message import records
from warp_dns.message.records import RRset
from warp_dns.zone.packed import owner_row, row, single_row, unpack

OWNER = wire("app.example.org")
ROWS = st.tuples(st.sampled_from([1, 16, 28]), st.integers(0, 2**31 - 1), st.binary(min_size=1, max_size=6))


class PackedTests(SynchronousTestCase):
    """Rows, and what is made of them."""

    def test_one_record(self) -> None:
        """A record comes back as an RRset of one, and as what it was made of."""
        packed = row(records.A, 30, b"\1\2\3\4")
        self.assertEqual(unpack(OWNER, packed), {records.A: RRset(OWNER, records.A, 30, (b"\1\2\3\4",))})
        self.assertEqual(single_row(packed), (records.A, 30, b"\1\2\3\4"))

    def test_several_records(self) -> None:
        """Records are grouped by type in their order; the lowest TTL counts, and a repeat is one record."""
        packed = b"".join(row(records.A, ttl, bytes([last])) for ttl, last in ((9, 1), (5, 2), (7, 1)))
        packed += row(records.TXT, 60, b"\1x")
        found = unpack(OWNER, packed)
        self.assertEqual((found[records.A].ttl, found[records.A].rdatas), (5, (b"\1", b"\2")))
        self.assertEqual(found[records.TXT].rdatas, (b"\1x",))
        self.assertIsNone(single_row(packed))

    def test_the_spelling_of_the_owner(self) -> None:
        """An owner that was not written in lower case keeps its spelling, and is no record."""
        written = OWNER.replace(b"app", b"App")
        packed = owner_row(written) + row(records.A, 30, b"\1\2\3\4")
        self.assertEqual(unpack(OWNER, packed), {records.A: RRset(written, records.A, 30, (b"\1\2\3\4",))})
        self.assertIsNone(single_row(owner_row(written)))

    @given(st.lists(ROWS, min_size=1, max_size=8))
    def test_nothing_is_lost(self, rows: list[tuple[int, int, bytes]]) -> None:
        """Whatever rows there are, each record is there once, with the lowest TTL of its type."""
        found = unpack(OWNER, b"".join(row(*each) for each in rows))
        self.assertEqual(
            {(rtype, rdata) for rtype, rrset in found.items() for rdata in rrset.rdatas},
            {(rtype, rdata) for rtype, _, rdata in rows},
        )
        for rtype, rrset in found.items():
            self.assertEqual(len(set(rrset.rdatas)), len(rrset.rdatas))
            self.assertEqual(rrset.ttl, min(ttl for other, ttl, _ in rows if other == rtype))
