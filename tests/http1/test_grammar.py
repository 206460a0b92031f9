"""Tests of the grammar that requests, responses and trailers share."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.grammar import has_bad_byte, parse_length, parse_options
from warp_twisted.http1.refusals import BAD_CONNECTION, BAD_LENGTH, MessageRefused


class BadByteTests(SynchronousTestCase):
    """The check of a head that is still arriving."""

    def test_controls_are_bad(self) -> None:
        """Each control byte but tab, CR and LF is bad wherever it stands."""
        for byte in [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]:
            self.assertTrue(has_bad_byte(b"GET /" + bytes([byte]) + b" x", 0), byte)

    def test_lone_line_ends_are_bad(self) -> None:
        """A CR without LF and an LF without CR are bad."""
        for data in (b"a\nb", b"\n", b"a\rb", b"a\r\rb", b"a\r\n\nb"):
            self.assertTrue(has_bad_byte(data, 0), data)

    def test_a_line_end_may_be_cut(self) -> None:
        """A CR at the very end may get its LF yet; text, tabs and high bytes are fine."""
        for data in (b"a\r", b"a\r\nb\r\n", b"a\tb\xff"):
            self.assertFalse(has_bad_byte(data, 0), data)

    def test_only_the_new_part_is_searched(self) -> None:
        """The byte before `start` is looked at only to see whether an LF has its CR."""
        self.assertFalse(has_bad_byte(b"a\x00b\r\nc", 4))
        self.assertTrue(has_bad_byte(b"ab\nc", 2))


class LengthTests(SynchronousTestCase):
    """Content-Length."""

    def test_digits(self) -> None:
        """Plain decimal digits are read; whitespace around them is not part of the value."""
        for value, length in ((b" 0", 0), (b"5", 5), (b"\t007 ", 7), (b"9" * 18, 10**18 - 1)):
            self.assertEqual(parse_length(value), length)

    def test_anything_else_is_refused(self) -> None:
        """Signs, lists, spaces inside, other bases and numbers of over 18 digits are refused."""
        for value in (b"", b"+5", b"-5", b"5,5", b"5, 5", b"5 5", b"0x5", b"5e1", b"5.0", b"1_0", b"\xb2", b"9" * 19):
            with self.assertRaises(MessageRefused) as caught:
                parse_length(value)
            self.assertIs(caught.exception.refusal, BAD_LENGTH)


class OptionTests(SynchronousTestCase):
    """Lists of connection options."""

    def test_lists_are_joined(self) -> None:
        """Several fields are one list; case, spaces and empty elements do not count."""
        self.assertEqual(parse_options([b" Close,  ,X-A\t", b"upgrade"]), {b"close", b"x-a", b"upgrade"})

    def test_options_are_tokens(self) -> None:
        """An element that is no token is refused."""
        for value in (b"close;x", b"a b", b'"close"', b"a:b"):
            with self.assertRaises(MessageRefused) as caught:
                parse_options([value])
            self.assertIs(caught.exception.refusal, BAD_CONNECTION)
