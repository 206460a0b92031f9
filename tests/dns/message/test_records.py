"""Tests of `warp_dns.message.records`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import wire
from warp_dns.errors import InvalidRecord
from warp_dns.message import records
from warp_dns.message.records import RRset
from warp_dns.zone.source import Record


class RecordTests(SynchronousTestCase):
    """Records between presentation format and wire format."""

    def test_types_have_numbers(self) -> None:
        """Mnemonics and TYPE with a number are read (RFC 3597 §5), and shown."""
        self.assertEqual(records.type_number("AAAA"), records.AAAA)
        self.assertEqual(records.type_number("TYPE65280"), 65280)
        self.assertEqual(records.type_text(records.HTTPS), "HTTPS")
        self.assertEqual(records.type_text(65280), "TYPE65280")

    def test_types_that_no_zone_holds_are_refused(self) -> None:
        """Query types and pseudo types are no data (RFC 6895 §3.1), nor is a word that is no type."""
        for text in ("ANY", "AXFR", "OPT", "TSIG", "TYPE0", "BANANA"):
            with self.assertRaisesRegex(InvalidRecord, text):
                records.type_number(text)

    def test_data_is_read(self) -> None:
        """Data of known and of unknown types becomes wire format; names in it are absolute."""
        self.assertEqual(records.read_rdata(records.A, "192.0.2.1"), bytes([192, 0, 2, 1]))
        self.assertEqual(records.read_rdata(records.MX, "10 mail.example"), b"\0\x0a\x04mail\x07example\0")
        self.assertEqual(records.read_rdata(65280, r"\# 3 010203"), b"\1\2\3")
        self.assertEqual(records.read_rdata(257, '0 issue "ca.example"'), b"\0\x05issueca.example")

    def test_bad_data_is_refused(self) -> None:
        """Data that does not fit its type is refused with the data and the type."""
        with self.assertRaisesRegex(InvalidRecord, "'192.0.2.256' is not data for A"):
            records.read_rdata(records.A, "192.0.2.256")

    def test_records_are_grouped(self) -> None:
        """One owner's records become RRsets: duplicates are dropped, the lowest TTL counts, edges stay in order."""
        grouped = records.rrsets_from(
            wire("app.example"),
            [
                Record("app.example", "A", 60, "192.0.2.1", "edge1"),
                Record("app.example", "A", 30, "192.0.2.2", "edge2"),
                Record("app.example", "A", 30, "192.0.2.1", "edge1"),
                Record("app.example", "TXT", 5, '"release=stable"'),
            ],
        )
        self.assertEqual(
            grouped[records.A],
            RRset(
                wire("app.example"),
                records.A,
                30,
                (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])),
                ("edge1", "edge2"),
            ),
        )
        self.assertEqual(grouped[records.TXT].edges, ())

    def test_a_ttl_beyond_31_bits_is_refused(self) -> None:
        """A TTL that RFC 2181 §8 does not allow is refused with its record."""
        with self.assertRaisesRegex(InvalidRecord, "ttl 2147483648"):
            records.rrsets_from(wire("a.example"), [Record("a.example", "A", 2**31, "192.0.2.1")])

    def test_a_cname_stands_alone(self) -> None:
        """A CNAME beside other data (RFC 2181 §10.1) and a second CNAME are refused."""
        alias = Record("a.example", "CNAME", 5, "b.example")
        with self.assertRaisesRegex(InvalidRecord, r"a.example has a CNAME beside other data \(A\)"):
            records.rrsets_from(wire("a.example"), [alias, Record("a.example", "A", 5, "192.0.2.1")])
        with self.assertRaisesRegex(InvalidRecord, "more than one CNAME"):
            records.rrsets_from(wire("a.example"), [alias, Record("a.example", "CNAME", 5, "c.example")])

    def test_targets_are_found(self) -> None:
        """NS, MX, SRV and service-mode SVCB data name a target whose addresses may help; `.` is the owner there."""
        owner = wire("a.example")
        for rtype, text in ((records.NS, "T.example"), (records.MX, "1 t.example"), (records.SRV, "0 0 1 t.example")):
            self.assertEqual(records.target_of(rtype, records.read_rdata(rtype, text), owner), wire("t.example"))
        self.assertEqual(
            records.target_of(records.HTTPS, records.read_rdata(records.HTTPS, "1 . alpn=h2"), owner), owner
        )
        self.assertEqual(
            records.target_of(records.HTTPS, records.read_rdata(records.HTTPS, "0 t.example"), owner),
            wire("t.example"),
        )
        self.assertIsNone(records.target_of(records.A, b"\1\2\3\4", owner))

    def test_soa_fields_are_found(self) -> None:
        """Serial and negative TTL are read from SOA data, and the serial can be replaced."""
        rdata = records.soa_rdata(wire("ns.example"), wire("h.example"), 7, 1, 2, 3, 60)
        self.assertEqual(rdata, records.read_rdata(records.SOA, "ns.example h.example 7 1 2 3 60"))
        self.assertEqual((records.soa_serial(rdata), records.soa_minimum(rdata)), (7, 60))
        self.assertEqual(records.soa_serial(records.soa_with_serial(rdata, 2**32 - 1)), 2**32 - 1)
