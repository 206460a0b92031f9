"""Tests of `policy.paths.globs`."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.paths.globs import Glob, parse_glob


class GlobTests(SynchronousTestCase):
    """Texts with `*`."""

    def test_no_glob(self) -> None:
        """A text without `*` is none."""
        self.assertIsNone(parse_glob(b"plain"))
        self.assertEqual(parse_glob(b"a*b**c"), Glob(b"a", (b"b",), b"c"))

    @given(st.text("ab*", min_size=1, max_size=8), st.text("ab", max_size=12))
    def test_as_a_regular_expression(self, text: str, value: str) -> None:
        """It means what `.*` means."""
        glob = parse_glob(text.encode())
        expected = re.fullmatch(re.escape(text).replace(r"\*", ".*"), value) is not None
        found = text == value if glob is None else glob.matches(value.encode())
        self.assertEqual(found, expected)

    def test_linear(self) -> None:
        """Many `*` against a long value of near misses take no time to speak of: a regular expression would not end."""
        glob = parse_glob(b"*a" * 30 + b"*b")
        assert glob is not None
        began = time.process_time()
        self.assertFalse(glob.matches(b"a" * 8_000))
        self.assertLess(time.process_time() - began, 0.1)
