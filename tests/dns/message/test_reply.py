"""Tests of `warp_dns.message.reply`: the bytes, read by dnspython."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import question
from warp_dns.message import reply
from warp_dns.message.codes import BADVERS, FORMERR, NOTIMP, REFUSED
from warp_dns.message.query import ClientSubnet, Edns, read_query

EDNS = Edns(version=0, udp_bytes=1232, wants_dnssec=False)


class WithoutRecordsTests(SynchronousTestCase):
    """Replies that say only their code."""

    def test_header_and_question(self) -> None:
        """Id, question and RD are the query's; QR is set, and nothing else is promised."""
        data = bytearray(question("App.Example.org", "A"))
        data[2] |= reply.RD
        read = dns.message.from_wire(reply.without_records(read_query(bytes(data)), REFUSED, b""))
        self.assertEqual((read.id, read.rcode()), (1, dns.rcode.REFUSED))
        self.assertEqual(read.flags & 0xFFF0, dns.flags.QR | dns.flags.RD)
        self.assertEqual(str(read.question[0]), "App.Example.org. IN A")
        self.assertEqual((read.answer, read.edns), ([], -1))

    def test_extended_code(self) -> None:
        """The upper bits of a code stand in the OPT record, which copies DO."""
        query = read_query(question("example.org", "A", want_dnssec=True, use_edns=0))
        assert query.edns is not None
        read = dns.message.from_wire(
            reply.without_records(query, BADVERS, reply.opt_record(1232, query.edns, BADVERS, b""))
        )
        self.assertEqual((read.rcode(), read.payload), (dns.rcode.BADVERS, 1232))
        self.assertTrue(read.ednsflags & dns.flags.DO)


class UnreadableTests(SynchronousTestCase):
    """Replies to what could not be read to its end."""

    def test_the_question_is_echoed_if_it_was_read(self) -> None:
        """With a question its bytes come back; without one the counts are all zero."""
        data = question("example.org", "A")
        read = dns.message.from_wire(reply.to_unreadable(data + b"junk", FORMERR, len(data)))
        self.assertEqual((read.id, read.rcode(), len(read.question)), (1, dns.rcode.FORMERR, 1))
        read = dns.message.from_wire(reply.to_unreadable(data[:12], FORMERR, 12))
        self.assertEqual((read.rcode(), read.question), (dns.rcode.FORMERR, []))

    def test_the_opcode_is_the_querys(self) -> None:
        """Whoever asked for something that is not done here sees which it was."""
        data = bytearray(question("example.org", "A"))
        data[2] |= 2 << 3  # STATUS
        read = dns.message.from_wire(reply.to_unreadable(bytes(data), NOTIMP, len(data)))
        self.assertEqual((read.opcode(), read.rcode()), (2, dns.rcode.NOTIMP))


class OptionTests(SynchronousTestCase):
    """EDNS options, in an OPT record."""

    def options(self, *options: bytes) -> dict[int, bytes]:
        """Return what dnspython reads of options: code → value."""
        query = read_query(question("example.org", "A", use_edns=0))
        opt = reply.opt_record(1232, EDNS, 0, b"".join(options))
        read = dns.message.from_wire(reply.without_records(query, 0, opt))
        return {int(option.otype): option.to_wire() or b"" for option in read.options}

    def test_each_option(self) -> None:
        """Cookie, server identity and idle time-out (in tenths of a second, at most 65,535) are what they should be."""
        found = self.options(
            reply.cookie_option(bytes(range(24))), reply.nsid_option(b"ns1"), reply.keepalive_option(1e9)
        )
        self.assertEqual(found, {10: bytes(range(24)), 3: b"ns1", 11: b"\xff\xff"})
        self.assertEqual(self.options(reply.keepalive_option(12.34))[11], (123).to_bytes(2, "big"))

    def test_client_subnet(self) -> None:
        """Only the octets that the prefix covers are sent, with our scope beside the source prefix."""
        subnet = ClientSubnet(family=1, source_prefix=20, address=bytes((198, 51, 96, 0)))
        (option,) = dns.message.from_wire(
            reply.without_records(
                read_query(question("example.org", "A", use_edns=0)),
                0,
                reply.opt_record(1232, EDNS, 0, reply.subnet_option(subnet, 16)),
            )
        ).options
        assert isinstance(option, dns.edns.ECSOption)
        self.assertEqual((option.address, option.srclen, option.scopelen), ("198.51.96.0", 20, 16))
