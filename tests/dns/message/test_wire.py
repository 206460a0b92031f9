"""Tests of `warp_dns.message.wire`."""

import dns.message
import dns.name
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import show, wire, zone_of
from warp_dns.message import names, records
from warp_dns.message.records import RRset
from warp_dns.message.wire import Compiled, MessageBuffer, compile_answer, question_bytes
from warp_dns.zone.lookup import lookup

ZONE = zone_of("""
    Mixed.Case 30 MX 10 Mail
    mail     30 A 192.0.2.1
    sub      30 NS ns.sub
    ns.sub   30 A 192.0.2.5
    *.w      30 TXT "wild"
    srv      30 SRV 0 0 1 mail
    old      30 DNAME new
    """)
LABEL = st.binary(min_size=1, max_size=12).map(lambda label: bytes([len(label)]) + label)
NAME = st.lists(LABEL, max_size=6).map(lambda labels: b"".join(labels) + b"\0")


def message(compiled: Compiled, qname: bytes, qtype: int) -> dns.message.Message:
    """Put a compiled answer behind a question, and have dnspython read it."""
    flags, rcode = compiled.flags
    head = b"\0\1" + bytes((flags, rcode)) + b"\0\1" + compiled.counts
    return dns.message.from_wire(head + question_bytes(qname, qtype, 1) + compiled.body)


def compiled_for(qname: bytes, qtype: int) -> Compiled:
    """Compile the test zone's answer."""
    return compile_answer(lookup(ZONE, qname.lower(), qtype), qname.lower())


class CompileTests(SynchronousTestCase):
    """Answers as bytes, read back by dnspython."""

    def test_owner_case_is_the_questions(self) -> None:
        """One compiled answer serves every spelling: the owner points into the question as it was sent."""
        compiled = compiled_for(wire("mixed.case.example.org"), records.MX)
        for spelling in ("mixed.case.example.org", "MiXeD.cAsE.eXaMpLe.OrG"):
            reply = message(compiled, names.from_text(spelling), records.MX)
            self.assertEqual(str(reply.answer[0].name), f"{spelling}.")

    def test_case_of_data_is_kept(self) -> None:
        """Names in record data are sent as the zone writes them."""
        reply = message(compiled_for(wire("mixed.case.example.org"), records.MX), wire("mixed.case.example.org"), 15)
        self.assertIn("10 Mail.example.org.", str(reply.answer[0]))

    def test_srv_targets_are_not_compressed(self) -> None:
        """Types newer than RFC 1035 hold whole names (RFC 3597 §4)."""
        compiled = compiled_for(wire("srv.example.org"), records.SRV)
        self.assertIn(wire("mail.example.org"), compiled.body)

    def test_one_negative_answer_serves_names_of_its_length(self) -> None:
        """An NXDOMAIN points only at what all names below the closest encloser share."""
        compiled = compiled_for(wire("aaaa.bb.example.org"), records.A)
        for name in ("aaaa.bb.example.org", "cccc.dd.example.org", "example.example.org"):
            qname = wire(name)
            if len(qname) == len(wire("aaaa.bb.example.org")):
                reply = message(compiled, qname, records.A)
                self.assertEqual(str(reply.authority[0].name), "example.org.")
                self.assertIn("ns1.example.org. hostmaster.example.org.", str(reply.authority[0]))

    def test_one_wildcard_answer_serves_names_of_its_length(self) -> None:
        """What a wildcard synthesizes has the owner that was asked for."""
        compiled = compiled_for(wire("abc.w.example.org"), records.TXT)
        reply = message(compiled, wire("xyz.w.example.org"), records.TXT)
        self.assertEqual(show(reply.answer), ['xyz.w.example.org. 30 IN TXT "wild"'])

    def test_shared_data_does_not_point_at_the_name_asked_for(self) -> None:
        """A wildcard whose data holds the name that was asked for says so to the next name as well."""
        zone = zone_of("*.m 30 MX 10 abc.m")
        compiled = compile_answer(lookup(zone, wire("abc.m.example.org"), records.MX), wire("abc.m.example.org"))
        for name in ("abc", "xyz"):
            reply = message(compiled, wire(f"{name}.m.example.org"), records.MX)
            self.assertEqual(show(reply.answer), [f"{name}.m.example.org. 30 IN MX 10 abc.m.example.org."])

    def test_glue_is_required_and_other_additional_data_is_not(self) -> None:
        """A referral is whole only with its glue; an answer is without additional data."""
        referral = compiled_for(wire("x.sub.example.org"), records.A)
        self.assertEqual(referral.required_bytes, len(referral.body))
        answer = compiled_for(wire("mixed.case.example.org"), records.MX)
        self.assertEqual(answer.additional_count, 1)
        self.assertLess(answer.required_bytes, len(answer.body))

    def test_aa_is_set_but_for_referrals(self) -> None:
        """QR stands in every answer, AA in those from the zone's own data."""
        self.assertEqual(compiled_for(wire("mail.example.org"), records.A).flags, (0x84, 0))
        self.assertEqual(compiled_for(wire("x.sub.example.org"), records.A).flags, (0x80, 0))
        self.assertEqual(compiled_for(wire("nothing.example.org"), records.A).flags, (0x84, 3))


class MessageBufferTests(SynchronousTestCase):
    """Names in messages."""

    def test_thousands_of_names(self) -> None:
        """A set of many targets comes back whole, compressed, below a wildcard as well, and where pointers end."""
        targets = [f"_http._tcp.a{number}.example.org." for number in range(1500)] + ["far.example.com.", "."]
        text = "".join(f"{{owner}} 30 PTR {target}\n" for target in targets)
        zone = zone_of(text.format(owner="list") + text.format(owner="*.wild"))
        for name in ("list.example.org", "abcd.wild.example.org"):
            compiled = compile_answer(lookup(zone, wire(name), records.PTR), wire(name))
            reply = message(compiled, wire(name), records.PTR)
            self.assertEqual({str(rdata) for rdata in reply.answer[0]}, set(targets))
            self.assertEqual(str(reply.answer[0].name), f"{name}.")
            self.assertLess(len(compiled.body), 1502 * (12 + len(wire("_http._tcp.a1234")) + 2))

    def test_pointers_end_at_14_bits(self) -> None:
        """A name that begins beyond what a pointer reaches is never pointed at (RFC 1035 §4.1.4)."""
        buffer = MessageBuffer(bytes(12))
        buffer.offset = 12
        buffer.put_name(wire("near.example"))
        buffer.append(bytes(0x4000))
        for _ in range(2):
            at = buffer.offset
            buffer.put_name(wire("far.example"))
            self.assertEqual(buffer.offset - at, 4 + 2)  # the label, then a pointer to "example" which is near
        self.assertEqual(dns.name.from_wire(bytes(buffer.data), at)[0].to_text(), "far.example.")

    @settings(max_examples=200, deadline=None)
    @given(st.lists(NAME, max_size=8))
    def test_names_come_back(self, sequence: list[bytes]) -> None:
        """Any names, in any order, are read back by dnspython as they were put."""
        buffer = MessageBuffer(bytes(12))
        buffer.offset = 12
        starts = []
        for name in sequence:
            starts.append(buffer.offset)
            buffer.put_name(name)
        for name, start in zip(sequence, starts, strict=True):
            self.assertEqual(names.wire_of(dns.name.from_wire(bytes(buffer.data), start)[0]), name)

    def test_compressed_data_has_its_length(self) -> None:
        """The length before compressed data is that of the compressed form."""
        buffer = MessageBuffer(bytes(12))
        buffer.offset = 12
        buffer.put_rrset(RRset(wire("example"), records.NS, 5, (wire("ns.example"),)), wire("example"))
        self.assertEqual(bytes(buffer.data[-7:]), b"\0\5\2ns\xc0\x0c")
