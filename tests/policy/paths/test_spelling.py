"""Tests of `policy.paths.spelling`."""

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.paths.spelling import (
    ALLOWABLE,
    MAX_ODD_PATH,
    MAX_READ,
    MAX_READINGS,
    NEVER_ALLOWED,
    canonical,
    is_plain,
    oddities,
    readings,
)

_CORPUS = {
    b"/a/../b": {"dot_segments"},
    b"/a/./b": {"dot_segments"},
    b"/a/..": {"dot_segments"},
    b"/a//b": {"empty_segments"},
    b"//": {"empty_segments"},
    b"/a\\b": {"backslash"},
    b"/a;x=1/b": {"parameters"},
    b"/a%3bx": {"parameters"},
    b"/a%2fb": {"encoded_slash"},
    b"/a%5Cb": {"encoded_backslash"},
    b"/%2e%2E/b": {"encoded_dot"},
    b"/a.%2e/b": {"encoded_dot"},
    b"/a%252fb": {"encoded_percent"},
    b"/%61dmin": {"encoded_unreserved"},
    b"/a%00": {"encoded_control"},
    b"/a%0d%0ab": {"encoded_control"},
    b"/a%3fb": {"encoded_delimiter"},
    b"/a%23b": {"encoded_delimiter"},
    b"/a#b": {"fragment"},
    b"/a%zz": {"bad_encoding"},
    b"/a%": {"bad_encoding"},
    b"/a%u002f": {"bad_encoding"},
    b"/a%c0%afb": {"bad_utf8"},
    b"/a%c0%ae%c0%ae/b": {"bad_utf8"},
    b"/a%ed%a0%80": {"bad_utf8"},
    b"/a%ff": {"bad_utf8"},
    b"/a%ef%bc%8fb": {"lookalike"},  # full-width slash
    b"/%e2%80%a4%e2%80%a4/b": {"lookalike"},  # one dot leaders
    b"/a\xc3\xa9": {"raw_byte"},
    b"/a b": {"raw_byte"},
    b"/a\x00": {"raw_byte"},
    b"a": {"not_absolute"},
    b"": {"not_absolute"},
    b"/..;/b": {"parameters"},
}
_GOOD = (b"/", b"/a/b/", b"/.well-known/x", b"/a.b.", b"/...", b"/a%20b", b"/caf%C3%A9", b"/a,b;"[:-1], b"/x%7B1%7D")


class OddityTests(SynchronousTestCase):
    """What servers read in different ways."""

    def test_corpus(self) -> None:
        """Each spelling is found for what it is."""
        for path, expected in _CORPUS.items():
            self.assertEqual(oddities(path), expected, path)
            self.assertFalse(is_plain(path), path)

    def test_kinds(self) -> None:
        """The corpus has every kind, and no kind is both allowable and not."""
        self.assertEqual(set().union(*_CORPUS.values()), ALLOWABLE | NEVER_ALLOWED)
        self.assertEqual(ALLOWABLE & NEVER_ALLOWED, set())

    def test_nothing_odd(self) -> None:
        """What browsers send for plain links and for names in any language is not odd."""
        for path in _GOOD:
            self.assertEqual(oddities(path), set(), path)

    @given(st.binary(max_size=30))
    def test_nothing_is_missed(self, rest: bytes) -> None:
        """A path without oddities has one reading, but for the decoding of what must be encoded."""
        path = b"/" + rest.replace(b"?", b"")  # which begins the query
        if not oddities(path):
            found = readings(path)
            assert found is not None
            self.assertEqual({canonical(each) for each in found}, {canonical(path)})


class ReadingTests(SynchronousTestCase):
    """What servers make of an odd path."""

    def test_readings(self) -> None:
        """Each order of decoding, cutting and cleaning has its reading."""
        for path, some in (
            (b"/a/../b", {b"/a/../b", b"/b"}),
            (b"/a//../b", {b"/a/b", b"/b"}),
            (b"/a/..;x/b", {b"/a/..;x/b", b"/a/../b", b"/b"}),
            (b"/a%2f..%2fb", {b"/a/../b", b"/b"}),
            (b"/a%252fb", {b"/a%2fb", b"/a/b"}),
            (b"/a%5cb", {b"/a\\b", b"/a/b"}),
            (b"/a%00b", {b"/a\x00b", b"/a"}),
            (b"/a%3fb", {b"/a?b", b"/a"}),
            (b"/a/..", {b"/"}),
            (b"/../../a", {b"/a"}),
        ):
            self.assertLessEqual(some, readings(path) or set(), path)

    def test_bounds(self) -> None:
        """A path that is too long or has too many readings has none, and to find that out takes little time."""
        self.assertIsNone(readings(b"/" + b"a" * MAX_ODD_PATH))
        long = b"/" + b"%2525252e;a/../%2f%5c%00" * (MAX_ODD_PATH // 24)
        began = time.process_time()
        found = readings(long[:MAX_ODD_PATH])
        self.assertLess(time.process_time() - began, 0.05)
        self.assertTrue(found is None or len(found) <= MAX_READINGS)
        few = b"/a;" * 32 + b"%2525252f\\//"
        self.assertEqual(len(readings(few) or ()), MAX_READINGS)
        self.assertIsNone(readings(few[:96] * (MAX_READ // MAX_READINGS // 96 + 1) + few[96:]))
        self.assertIsNone(readings(b"/a/" + b"%25252e" * 20 + b"/..;x//%2f%5c%00/%3b/..\\"))


class CanonicalTests(SynchronousTestCase):
    """The form that patterns that permit are compared with."""

    def test_what_had_to_be_encoded(self) -> None:
        """Only what no URL may hold otherwise is decoded."""
        self.assertEqual(canonical(b"/a%20%C3%a9%7c"), b"/a \xc3\xa9|")
        self.assertEqual(canonical(b"/a%2C%2fb%41%zz%"), b"/a%2C%2fb%41%zz%")
