"""Tests of the record of who numbers the zone: ranges that never meet, and beats."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_dns.zone.live import is_newer
from warp_twisted.edge.numbering.records import (
    RANGE,
    NumberingRecord,
    decode_record,
    encode_record,
    key_of,
    renewed,
    taken,
)

SERIALS = st.integers(0, 2**32 - 1)


class RecordTests(SynchronousTestCase):
    """Records as they follow one another."""

    def test_written_and_read(self) -> None:
        """What is written is read; what cannot be read is said, and never taken for no record."""
        record = NumberingRecord(holder="edge1", fence=3, first=100, last=200, beat=7)
        self.assertEqual(decode_record(encode_record(record)), record)
        for text in (b"", b"[]", b'{"holder": 7}', b'{"last": -1}', b'{"last": 4294967296}', b"\xff"):
            self.assertRaises(ValueError, decode_record, text)
        self.assertEqual(key_of("warp.example"), "dns/numbering/warp.example")

    def test_first(self) -> None:
        """The first holder begins with the serial that is asked for."""
        record = taken(None, "edge1", 1000)
        self.assertEqual((record.holder, record.fence, record.first, record.last), ("edge1", 1, 1000, 1000 + RANGE))

    @given(SERIALS, SERIALS)
    def test_no_serial_twice(self, last: int, at_least: int) -> None:
        """The next holder's serials are all newer than those of the one before, also where serials begin anew."""
        before = NumberingRecord(holder="edge1", fence=4, first=last - RANGE & 0xFFFFFFFF, last=last)
        after = taken(before, "edge2", at_least)
        self.assertEqual((after.holder, after.fence), ("edge2", 5))
        self.assertTrue(is_newer(after.first, before.last))
        self.assertTrue(is_newer(after.last, after.first))

    @given(SERIALS, st.integers(0, RANGE))
    def test_renewed(self, first: int, used: int) -> None:
        """A beat changes the record, and leaves a holder half a range of serials at least."""
        record = NumberingRecord(holder="edge1", fence=4, first=first, last=first + RANGE & 0xFFFFFFFF)
        serial = first + used & 0xFFFFFFFF
        after = renewed(record, serial)
        self.assertNotEqual(after, record)
        self.assertTrue(is_newer(after.last, serial + RANGE // 2 - 1 & 0xFFFFFFFF))
        self.assertFalse(is_newer(record.last, after.last))
