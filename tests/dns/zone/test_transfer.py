"""Tests of `warp_dns.zone.transfer`: messages that dnspython takes as a secondary does."""

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.xfr
import dns.zone
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import wire, zone_of
from warp_dns.errors import InvalidSettings
from warp_dns.message import records
from warp_dns.message.query import read_query
from warp_dns.message.records import RRset
from warp_dns.message.tsig import KeyRing, Signature
from warp_dns.zone.data import Zone
from warp_dns.zone.journal import Journal, difference_of
from warp_dns.zone.transfer import MESSAGE_BYTES, Transfer, TransferRule, read_ixfr_serial

SECRET = bytes(range(32))
KEY = dns.tsig.Key("k.", SECRET, "hmac-sha256.")
ORIGIN = dns.name.from_text("example.org.")


def ixfr_query(serial: int) -> dns.message.Message:
    """Return a query for the differences since a serial."""
    message = dns.message.make_query(ORIGIN, "IXFR")
    message.authority.append(dns.rrset.from_text(ORIGIN, 0, "IN", "SOA", f"a. b. {serial} 1 1 1 1"))
    return message


class TransferTests(SynchronousTestCase):
    """AXFR and IXFR."""

    def setUp(self) -> None:
        """Make a zone of 3,000 names and a journal of ten changes."""
        self.zone = zone_of("".join(f"n{n} 5 A 192.0.2.{n % 250}\n" for n in range(3000)))
        self.first = self.zone
        self.journal = Journal()
        for number in range(10):
            owner = wire(f"live{number}.example.org")
            rrset = RRset(owner, records.A, 5, (bytes([10, 0, 0, number]),))
            changes = {owner: {records.A: rrset}, wire(f"n{number}.example.org"): {}}
            change = self.zone.changed(changes, self.zone.serial + 1)
            self.journal.note(difference_of(self.zone, change))
            self.zone = change.zone

    def transfer(self, query: dns.message.Message, signature: Signature | None = None) -> list[bytes]:
        """Return the messages that answer a query."""
        data = query.to_wire()
        assert isinstance(data, bytes)
        transfer = Transfer(read_query(data), self.zone, self.journal, signature)
        return [message for message in transfer.signed_messages(SettableWallClock(1_000_000.0)) if message is not None]

    def take(self, messages: list[bytes], zone: dns.zone.Zone, rdtype: str, serial: int | None = None) -> None:
        """Have dnspython take messages as a secondary, to the end and no further."""
        with dns.xfr.Inbound(zone, dns.rdatatype.from_text(rdtype), serial) as inbound:
            done = [
                inbound.process_message(dns.message.from_wire(message, xfr=True, one_rr_per_rrset=True))
                for message in messages
            ]
        self.assertEqual(done, [False] * (len(messages) - 1) + [True])

    def secondary(self, zone: Zone) -> dns.zone.Zone:
        """Return a secondary that holds a snapshot."""
        copy = dns.zone.Zone(ORIGIN, relativize=False)
        before, self.zone = self.zone, zone
        self.take(self.transfer(dns.message.make_query(ORIGIN, "AXFR")), copy, "AXFR")
        self.zone = before
        return copy

    def contents(self, zone: dns.zone.Zone) -> set[str]:
        """Return every record as a line."""
        return {f"{name} {ttl} {rdata}" for name, ttl, rdata in zone.iterate_rdatas()}

    def test_the_whole_zone_comes_in_messages_of_a_size(self) -> None:
        """AXFR begins and ends with the SOA, holds each record once, and the question is in the first message."""
        messages = self.transfer(dns.message.make_query(ORIGIN, "AXFR"))
        self.assertGreater(len(messages), 3)
        self.assertLessEqual(max(map(len, messages)), MESSAGE_BYTES)
        self.assertEqual([message[5] for message in messages], [1] + [0] * (len(messages) - 1))
        held = self.secondary(self.zone)
        self.assertEqual(len(self.contents(held)), sum(len(rrset.rdatas) for rrset in self.zone))

    def test_differences_lead_to_the_same_zone(self) -> None:
        """IXFR from an earlier serial makes the same records as the whole zone."""
        copy = self.secondary(self.first)
        messages = self.transfer(ixfr_query(self.first.serial))
        self.assertEqual(len(messages), 1)
        self.take(messages, copy, "IXFR", self.first.serial)
        self.assertEqual(self.contents(copy), self.contents(self.secondary(self.zone)))

    def test_who_is_up_to_date_is_told_so(self) -> None:
        """Our own serial, and one after it, get the SOA alone."""
        for serial in (self.zone.serial, self.zone.serial + 5):
            [message] = self.transfer(ixfr_query(serial))
            self.assertEqual(message[7], 1)

    def test_who_was_away_too_long_gets_all(self) -> None:
        """A serial that the journal does not reach is answered in the form of AXFR (RFC 1995 §4)."""
        copy = self.secondary(self.first)
        self.take(self.transfer(ixfr_query(2)), copy, "IXFR", 2)
        self.assertEqual(self.contents(copy), self.contents(self.secondary(self.zone)))

    def test_each_message_is_signed(self) -> None:
        """With a signature dnspython follows the chain through all messages, within the size."""
        query = dns.message.make_query(ORIGIN, "AXFR")
        query.use_tsig(KEY)
        self.patch(dns.message.time, "time", lambda: 1_000_000.0)  # type: ignore[attr-defined]
        data = query.to_wire()
        assert isinstance(data, bytes)
        signature = KeyRing([("k", "hmac-sha256", SECRET)]).verify(data, read_query(data).tsig_at, 1_000_000)
        context = None
        for message in self.transfer(query, signature):
            self.assertLessEqual(len(message), MESSAGE_BYTES)
            read = dns.message.from_wire(
                message, keyring={KEY.name: KEY}, request_mac=query.mac or b"", tsig_ctx=context, multi=True, xfr=True
            )
            self.assertTrue(read.had_tsig)
            context = read.tsig_ctx

    def test_a_serial_that_is_missing_is_no_error(self) -> None:
        """An IXFR without an SOA is answered with ours; one whose SOA is cut is not read beyond it."""
        self.assertIsNone(read_ixfr_serial(read_query(dns.message.make_query(ORIGIN, "IXFR").to_wire())))
        data = ixfr_query(7).to_wire()
        self.assertEqual(read_ixfr_serial(read_query(data)), 7)
        short = dns.message.make_query(ORIGIN, "IXFR")
        short.authority.append(dns.rrset.from_text(ORIGIN, 0, "IN", "A", "192.0.2.1"))
        self.assertIsNone(read_ixfr_serial(read_query(short.to_wire())))


class TransferRuleTests(SynchronousTestCase):
    """Who may transfer."""

    def signature(self, key: bytes) -> Signature:
        """Return a signature by a key, as `verify` does."""
        return Signature(key, 1, None, None, None, b"")  # type: ignore[arg-type]

    def test_nobody_may_by_default(self) -> None:
        """Without networks and keys, every transfer is refused."""
        self.assertFalse(TransferRule().allows("127.0.0.1", self.signature(b"\1k\0")))

    def test_networks_and_keys_must_both_fit(self) -> None:
        """What is configured is required."""
        by_network = TransferRule(networks=["192.0.2.0/24", "2001:db8::/32"])
        self.assertTrue(by_network.allows("192.0.2.1", None))
        self.assertTrue(by_network.allows("2001:db8::1%eth0", None))
        self.assertFalse(by_network.allows("192.0.3.1", None))
        by_key = TransferRule(keys=["K"])
        self.assertTrue(by_key.allows("192.0.3.1", self.signature(b"\1k\0")))
        self.assertFalse(by_key.allows("192.0.3.1", self.signature(b"\1x\0")))
        self.assertFalse(by_key.allows("192.0.3.1", None))
        both = TransferRule(networks=["192.0.2.0/24"], keys=["k"])
        self.assertTrue(both.allows("192.0.2.1", self.signature(b"\1k\0")))
        self.assertFalse(both.allows("192.0.2.1", None))
        self.assertFalse(both.allows("192.0.3.1", self.signature(b"\1k\0")))

    def test_bad_rules_are_refused(self) -> None:
        """Networks that are none and key names that are none are named."""
        self.assertRaisesRegex(InvalidSettings, r"transfer.networks\[1\]: .*'x'", TransferRule, networks=["::/0", "x"])
        self.assertRaisesRegex(InvalidSettings, r"transfer.keys\[0\]", TransferRule, keys=["a..b"])
