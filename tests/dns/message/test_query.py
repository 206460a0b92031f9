"""Tests of `warp_dns.message.query`."""

import dns.edns
import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import edns_option, question, wire
from warp_dns.message import records
from warp_dns.message.query import MAX_OPTIONS, ClientSubnet, Ignored, Malformed, Query, read_query


def with_option(code: int, value: bytes) -> bytes:
    """Return a query with one EDNS option."""
    return question("a.example", "A", use_edns=0, options=[edns_option(code, value)])


class ReadTests(SynchronousTestCase):
    """Queries that are read."""

    def test_a_question_is_read(self) -> None:
        """The name is folded, and where the question ends is told."""
        data = question("A.Example", "TXT")
        query = read_query(data)
        self.assertEqual((query.qname, query.qtype, query.qclass), (wire("a.example"), records.TXT, 1))
        self.assertEqual(query.question_end, len(data))
        self.assertIsNone(query.edns)

    def test_edns_is_read(self) -> None:
        """Version, size and the DO bit come from the OPT record (RFC 6891)."""
        edns = read_query(question("a.example", "A", use_edns=3, payload=1400, want_dnssec=True)).edns
        assert edns is not None
        self.assertEqual((edns.version, edns.udp_bytes, edns.wants_dnssec), (3, 1400, True))

    def test_options_are_read(self) -> None:
        """Cookie, client subnet, NSID and keepalive are known; other options are passed over."""
        options = [
            edns_option(10, b"12345678"),
            dns.edns.ECSOption("192.0.2.0", 23),
            edns_option(3, b""),
            edns_option(11, b""),
            edns_option(65001, b"whatever"),
        ]
        edns = read_query(question("a.example", "A", use_edns=0, options=options)).edns
        assert edns is not None
        self.assertEqual(edns.cookie, b"12345678")
        self.assertEqual(edns.subnet, ClientSubnet(1, 23, bytes([192, 0, 2, 0])))
        self.assertTrue(edns.wants_nsid and edns.wants_keepalive)

    def test_only_the_first_cookie_counts(self) -> None:
        """RFC 7873 §5.2: further COOKIE options are ignored."""
        options = [edns_option(10, b"12345678"), edns_option(10, b"87654321")]
        edns = read_query(question("a.example", "A", use_edns=0, options=options)).edns
        assert edns is not None
        self.assertEqual(edns.cookie, b"12345678")

    def test_a_query_for_a_cookie_alone_is_read(self) -> None:
        """No question is right when all that is asked for is a server cookie (RFC 7873 §5.4)."""
        data = b"\0\1\0\0\0\0\0\0\0\0\0\1\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + b"12345678"
        query = read_query(data)
        self.assertEqual((query.qname, query.question_end), (b"", 12))

    def test_signature_and_authority_are_found(self) -> None:
        """TSIG and the section that IXFR uses are told by where they begin."""
        message = dns.message.make_query("example.org", "IXFR")
        message.use_tsig({"k.": b"x" * 32}, algorithm="hmac-sha256.")
        rrset = dns.rrset.from_text("example.org.", 0, "IN", "SOA", "a. b. 5 1 1 1 1")
        message.authority.append(rrset)
        data = message.to_wire()
        query = read_query(data)
        self.assertEqual(query.authority_at, query.question_end)
        self.assertEqual(data[query.tsig_at : query.tsig_at + 3], b"\1k\0")


class RefuseTests(SynchronousTestCase):
    """Messages that are not queries, or not readable ones."""

    def refused(self, data: bytes) -> int:
        """Expect `Malformed`, and return how far the question was read."""
        with self.assertRaises(Malformed) as caught:
            read_query(data)
        exception: Malformed = caught.exception
        return exception.question_end

    def test_responses_and_scraps_are_ignored(self) -> None:
        """A reply is never answered, nor is what has no header."""
        data = bytearray(question("a.example", "A"))
        data[2] |= 0x80
        for scrap in (bytes(data), b"", bytes(11)):
            with self.assertRaises(Ignored):
                read_query(scrap)

    def test_the_question_must_be_one_and_whole(self) -> None:
        """Two questions (RFC 9619), none, a cut one, or one that points somewhere are malformed."""
        good = question("a.example", "A")
        for data in (
            good[:4] + b"\0\2" + good[6:],
            good[:4] + b"\0\0" + good[6:12],
            good[:-1],
            good[:14],
            good[:12] + b"\xc0\x0c" + good[-4:],
            good[:12] + b"\x40" + b"a" * 64 + good[-5:],
            good[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        ):
            self.assertEqual(self.refused(data), 12)

    def test_records_must_be_whole(self) -> None:
        """A cut record, bytes after the last one, or more records than a query has are malformed."""
        data = question("a.example", "A", use_edns=0)
        end = len(question("a.example", "A"))
        self.assertEqual(self.refused(data[:-1]), end)
        self.assertEqual(self.refused(data + b"\0"), end)
        self.assertEqual(self.refused(data[:10] + b"\0\2" + data[12:]), end)
        self.assertEqual(self.refused(data[:6] + b"\xff\xff" + data[8:]), end)

    def test_opt_stands_once_and_at_the_root(self) -> None:
        """RFC 6891 §6.1.1: two OPT records, an owner, or another section are malformed."""
        data = question("a.example", "A", use_edns=0)
        opt = data[-11:]
        self.refused(data[:10] + b"\0\2" + data[12:] + opt)
        self.refused(data[:-11] + b"\1a" + opt)
        self.refused(data[:8] + b"\0\1\0\0" + data[12:])

    def test_options_must_make_sense(self) -> None:
        """Cookies of wrong size, subnets that are not what RFC 7871 §7.1.1 says, and cut options are malformed."""
        for code, value in (
            (10, b"1234567"),
            (10, b"123456789"),
            (10, bytes(41)),
            (8, b"\0\1\x18"),
            (8, b"\0\3\x18\0\1\2\3"),
            (8, b"\0\1\x18\0\1\2"),
            (8, b"\0\1\x18\0\1\2\3\4"),
            (8, b"\0\1\x14\0\1\2\x1f"),
            (8, b"\0\1\x18\x18\1\2\3"),
            (8, b"\0\1\x21\0\1\2\3\4\5"),
        ):
            self.refused(with_option(code, value))
        data = with_option(65001, b"abcd")
        self.refused(data[:-5] + b"\5" + data[-4:])

    def test_options_are_few(self) -> None:
        """More options than any client has a use for are malformed, and so cost next to nothing to read."""
        option = edns_option(65001, b"")
        most = question("a.example", "A", use_edns=0, options=[option] * MAX_OPTIONS)
        self.assertIsNotNone(read_query(most).edns)
        for count in (MAX_OPTIONS + 1, 15_000):
            options = b"\xfd\xe9\0\0" * count
            data = question("a.example", "A", use_edns=0)[:-2] + len(options).to_bytes(2, "big") + options
            self.assertEqual(self.refused(data), len(question("a.example", "A")))

    def test_names_are_short(self) -> None:
        """A name is read no further than a name goes (RFC 1035 §2.3.4), in the question and in records."""
        long = b"\1a" * 16_000 + b"\0"
        self.assertEqual(self.refused(question("a.example", "A")[:12] + long + b"\0\1\0\1"), 12)
        data = question("a.example", "A", use_edns=0)
        end = len(question("a.example", "A"))
        for owner in (long, b"\1a" * 128 + b"\0"):
            record = owner + b"\0\1\0\1\0\0\0\0\0\0"
            self.assertEqual(self.refused(data[:8] + b"\0\1\0\0" + data[12:end] + record), end)
        record = b"\1a" * 127 + b"\0" + b"\0\1\0\1\0\0\0\0\0\0"
        self.assertEqual(read_query(data[:8] + b"\0\1\0\0" + data[12:end] + record).authority_at, end)

    def test_a_signature_is_the_last_record(self) -> None:
        """TSIG before another record is malformed (RFC 8945 §5.1)."""
        tsig = b"\1k\0\0\xfa\0\xff\0\0\0\0\0\0"
        data = question("a.example", "A", use_edns=0)
        self.refused(data[:10] + b"\0\2" + data[12:-11] + tsig + data[-11:])

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=200), st.integers(0, 255))
    def test_any_bytes_are_read_or_refused(self, data: bytes, flags: int) -> None:
        """Nothing but the two refusals ever comes out, and what is read lies within the message."""
        try:
            query = read_query(data[:2] + bytes([flags]) + data[2:])
        except (Ignored, Malformed):
            return
        self.assertIsInstance(query, Query)
        self.assertLessEqual(query.question_end, len(query.data))

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_any_mutation_is_read_or_refused(self, draw: st.DataObject) -> None:
        """The same for real queries with a few octets changed, cut or added."""
        data = bytearray(with_option(8, b"\0\1\x18\0\1\2\3"))
        for _ in range(draw.draw(st.integers(1, 4))):
            at = draw.draw(st.integers(0, len(data) - 1))
            data[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=3))
        try:
            read_query(bytes(data))
        except (Ignored, Malformed):
            return
