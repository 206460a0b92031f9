"""Tests of `warp_dns.message.names`."""

import struct

import dns.exception
import dns.name
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import pointers_to
from warp_dns.errors import InvalidRecord
from warp_dns.message import names


class NameTests(SynchronousTestCase):
    """Names between text and wire format."""

    def test_text_becomes_wire_format(self) -> None:
        """Labels get their lengths, with or without the trailing dot, and keep their case."""
        self.assertEqual(names.from_text("Www.example"), b"\x03Www\x07example\0")
        self.assertEqual(names.from_text("Www.example."), b"\x03Www\x07example\0")
        self.assertEqual(names.from_text("."), names.ROOT)

    def test_escapes_are_read(self) -> None:
        """A dot or an octet inside a label is written with a backslash (RFC 1035 §5.1)."""
        self.assertEqual(names.from_text(r"a\.b.\000c"), b"\x03a.b\x02\0c\0")

    def test_bad_names_are_refused(self) -> None:
        """Empty names, empty labels and names that are too long are refused with the name."""
        for text in ("", "a..b", "a" * 64, ".".join(["abcdefgh"] * 29), "\\999"):
            with self.assertRaises(InvalidRecord):
                names.from_text(text)

    def test_names_in_messages_are_bounded(self) -> None:
        """A name that leads through many pointers, in a circle, or nowhere is not followed to its end."""
        chain = pointers_to(0, 4000)
        self.assertTrue(names.is_bounded(chain, 2 * names.MAX_POINTERS - 1))
        self.assertFalse(names.is_bounded(chain, 2 * names.MAX_POINTERS + 1))
        self.assertFalse(names.is_bounded(b"\xc0\0", 0))
        self.assertFalse(names.is_bounded(b"\x01a\xc0\0", 0))
        self.assertTrue(names.is_bounded(b"\x01a" * 127 + b"\0", 0))
        for data in (b"", b"\x01a", b"\xc0", b"\xc0\x05", b"\x01a" * 128 + b"\0"):
            self.assertFalse(names.is_bounded(data, 0))

    @given(st.binary(max_size=64), st.integers(0, 64))
    def test_any_bytes_are_bounded_or_not(self, data: bytes, at: int) -> None:
        """Whatever a message holds, it is said without an error, and what dnspython can read is bounded."""
        try:
            dns.name.from_wire(data, at)
        except (dns.exception.DNSException, IndexError, struct.error):
            self.assertIn(names.is_bounded(data, at), (True, False))
        else:
            self.assertTrue(names.is_bounded(data, at))

    @given(st.text(alphabet="aZ09-_*.\\ é@", max_size=80) | st.from_regex(r"([a-z0-9-]{1,64}\.){1,5}", fullmatch=True))
    def test_plain_names_are_read_as_dnspython_reads_them(self, text: str) -> None:
        """The short way says what the long one says, both ways."""
        try:
            expected = names.wire_of(dns.name.from_text(text))
        except (dns.exception.DNSException, UnicodeError, struct.error):
            self.assertRaises(InvalidRecord, names.from_text, text)
            return
        if text:
            self.assertEqual(names.from_text(text), expected)
            self.assertEqual(names.to_text(expected), dns.name.from_wire(expected, 0)[0].to_text(omit_final_dot=True))

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=8))
    def test_any_name_is_shown_as_dnspython_shows_it(self, labels: list[bytes]) -> None:
        """Dots and other octets within labels are escaped."""
        name = dns.name.Name([*labels, b""])
        self.assertEqual(names.to_text(names.wire_of(name)), name.to_text(omit_final_dot=True))

    def test_text_has_no_trailing_dot(self) -> None:
        """Names are shown as operators write them; the root is a dot."""
        self.assertEqual(names.to_text(b"\x03www\x07example\0"), "www.example")
        self.assertEqual(names.to_text(names.ROOT), ".")

    def test_suffixes_lead_to_the_root(self) -> None:
        """A name's suffixes are itself, its parents, and the root."""
        self.assertEqual(list(names.suffixes(b"\1a\1b\0")), [b"\1a\1b\0", b"\1b\0", b"\0"])
        self.assertEqual(names.parent(b"\1a\1b\0"), b"\1b\0")
        self.assertEqual(names.wildcard_of(b"\1b\0"), b"\1*\1b\0")

    def test_below_means_label_by_label(self) -> None:
        """A name whose bytes end like the apex without a label boundary there is not below it."""
        apex = b"\x03org\0"
        self.assertTrue(names.is_at_or_below(b"\x03org\0", apex))
        self.assertTrue(names.is_at_or_below(b"\1a\x03org\0", apex))
        self.assertFalse(names.is_at_or_below(b"\x05a\x03org\0", apex))
        self.assertFalse(names.is_at_or_below(b"\0", apex))

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=8))
    def test_every_name_survives_its_text(self, labels: list[bytes]) -> None:
        """Any octets in labels come back from the text they are shown as."""
        name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        self.assertEqual(names.from_text(names.to_text(name)), name)
