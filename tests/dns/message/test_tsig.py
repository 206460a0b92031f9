"""Tests of `warp_dns.message.tsig`; what it does around queries is tested with the responder."""

import base64

import dns.message
import dns.tsig
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import pointers_to, question
from warp_dns.errors import InvalidSettings
from warp_dns.message.query import read_query
from warp_dns.message.tsig import BADKEY, BADSIG, BadSignature, KeyRing, Unreadable, parse_secret

SECRET = bytes(range(32))


class KeyRingTests(SynchronousTestCase):
    """Which keys are taken, and which signatures."""

    def setUp(self) -> None:
        """Make a ring of one key, and a query signed with it."""
        self.ring = KeyRing([("Transfer.Key", "hmac-sha256", SECRET)])
        message = dns.message.make_query("example.org", "SOA")
        message.use_tsig(dns.tsig.Key("transfer.key.", SECRET, "hmac-sha256."))
        data = message.to_wire()
        assert isinstance(data, bytes)
        assert message.tsig is not None
        self.data, self.now = data, message.tsig[0].time_signed
        self.at = read_query(data).tsig_at

    def test_secrets_have_the_right_length(self) -> None:
        """A secret shorter than the digest, or longer than the hash's block, is refused with its length."""
        for algorithm, length in (("hmac-sha256", 31), ("hmac-sha256", 65), ("hmac-sha512", 63), ("hmac-sha1", 0)):
            words = rf"keys\[0\].secret_file: expected a secret of .* for {algorithm}, got {length}"
            with self.assertRaisesRegex(InvalidSettings, words):
                KeyRing([("k", algorithm, bytes(length))])

    def test_broken_algorithms_are_refused(self) -> None:
        """MD5 and words that are no algorithm are refused with those that are."""
        for algorithm in ("hmac-md5", "hmac-md5.sig-alg.reg.int", "rot13"):
            with self.assertRaisesRegex(InvalidSettings, r"keys\[0\].algorithm: expected one of hmac-sha1"):
                KeyRing([("k", algorithm, SECRET)])

    def test_a_name_is_one_key(self) -> None:
        """Two keys of one name, in any case, are refused."""
        with self.assertRaisesRegex(InvalidSettings, r"keys\[1\].name: 'K' is given twice"):
            KeyRing([("k", "hmac-sha256", SECRET), ("K", "hmac-sha512", bytes(64))])

    def test_a_name_is_a_name(self) -> None:
        """What is no domain name names no key."""
        with self.assertRaisesRegex(InvalidSettings, r"keys\[0\].name: expected a name, got 'a..b'"):
            KeyRing([("a..b", "hmac-sha256", SECRET)])

    def test_a_good_signature_is_known(self) -> None:
        """The key's folded name comes back; the ring finds the key by its configured name."""
        self.assertEqual(self.ring.verify(self.data, self.at, self.now).key_name, b"\x08transfer\x03key\0")
        self.assertEqual(self.ring.key("transfer.KEY").secret, SECRET)
        self.assertRaises(InvalidSettings, self.ring.key, "other")

    def test_any_change_is_seen(self) -> None:
        """Each octet that is signed, changed, makes the signature bad or the record unreadable."""
        for at in range(len(self.data)):
            changed = bytearray(self.data)
            changed[at] ^= 0x01
            if at in (0, 1):
                continue  # the id may change on the way: RFC 8945 §5.3.1 restores the original
            with self.assertRaises((BadSignature, Unreadable)):
                self.ring.verify(bytes(changed), self.at, self.now)

    def test_errors_have_their_codes(self) -> None:
        """Another algorithm than the key's is BADKEY, a wrong digest BADSIG."""
        other = KeyRing([("transfer.key", "hmac-sha512", bytes(64))])
        with self.assertRaises(BadSignature) as caught:
            other.verify(self.data, self.at, self.now)
        self.assertEqual(caught.exception.error, BADKEY)
        other = KeyRing([("transfer.key", "hmac-sha256", bytes(32))])
        with self.assertRaises(BadSignature) as caught:
            other.verify(self.data, self.at, self.now)
        self.assertEqual(caught.exception.error, BADSIG)

    def test_names_of_many_pointers_are_not_followed(self) -> None:
        """A key's name may be compressed; a chain of pointers through the message is unreadable."""
        at, rest = self.at, self.data[self.at + len(b"\x08transfer\x03key\0") :]
        chained = self.data[:at] + pointers_to(at, 4000)
        self.assertRaises(Unreadable, self.ring.verify, chained + rest, len(chained) - 2, self.now)
        compressed = self.data[:at] + b"\x08transfer\x03key\0\xc0" + bytes([at])
        with self.assertRaises(BadSignature):  # the name is found, though what was signed had no such octets
            self.ring.verify(compressed + rest, len(compressed) - 2, self.now)

    def test_several_messages_are_one_chain(self) -> None:
        """Each message of a transfer is signed over the one before it; dnspython follows the chain."""
        signature = self.ring.verify(self.data, self.at, self.now)
        request = read_query(self.data)
        self.assertEqual(signature.original_id, int.from_bytes(request.data[:2], "big"))
        reply = bytearray(question("example.org", "SOA"))
        reply[:2], reply[2] = self.data[:2], 0x84
        key = dns.tsig.Key("transfer.key.", SECRET, "hmac-sha256.")
        context = None
        mac = dns.message.from_wire(self.data, keyring={key.name: key}).mac or b""
        self.patch(dns.message.time, "time", lambda: self.now)  # type: ignore[attr-defined]
        for number in range(3):
            signed = signature.sign(bytes(reply), self.now, is_one_of_several=True)
            self.assertLessEqual(len(signed) - len(reply), signature.size)
            read = dns.message.from_wire(signed, keyring={key.name: key}, request_mac=mac, tsig_ctx=context, multi=True)
            context = read.tsig_ctx
            self.assertTrue(read.had_tsig, number)

    def test_secrets_are_base64_and_not_shown(self) -> None:
        """Secrets may be broken into lines; what is not base64 is refused without being repeated."""
        text = base64.b64encode(SECRET).decode()
        self.assertEqual(parse_secret(f"{text[:10]}\n{text[10:]}\n"), SECRET)
        with self.assertRaises(InvalidSettings) as caught:
            parse_secret("top!secret")
        self.assertNotIn("secret!", str(caught.exception))
        self.assertNotIn("top", str(caught.exception))
