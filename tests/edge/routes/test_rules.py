"""Tests of path rules: what they match, and what they may cost."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.refusals import PATH_TOO_LONG
from warp_twisted.edge.routes.rules import (
    LONGEST_PATH,
    OFFER_INSTRUCTIONS,
    BadPathRule,
    PathRule,
    decoded_path,
    longest_path,
)
from warp_twisted.http1.refusals import MessageRefused


class PathRuleTests(SynchronousTestCase):
    """One rule."""

    def test_prefix(self) -> None:
        """A rule that only names a prefix matches as the expression would, and costs next to nothing."""
        for text in ("^/static/", "^/", "^", "^/a-b_c~1"):
            rule = PathRule(text)
            self.assertEqual(rule.instructions, 1)
            for path in (b"/static/x", b"/static", b"/", b"/a-b_c~1/x", b"x/static/", b""):
                self.assertEqual(rule.matches(path), path.startswith(text[1:].encode()), (text, path))

    def test_expression(self) -> None:
        """Anything else is an expression: `.` and `+` mean what they mean, and without `^` it matches anywhere."""
        for text, path, matches in (
            ("^/a.b", b"/axb", True),
            ("^/a+", b"/aaa", True),
            ("/b$", b"/a/b", True),
            ("static", b"/x/static", True),
            ("^/a$", b"/ab", False),
        ):
            rule = PathRule(text)
            self.assertIs(rule.matches(path), matches, (text, path))
            self.assertGreater(rule.instructions, 1)

    def test_refused(self) -> None:
        """What RE2 does not take is refused, and what is too large."""
        for text in ("(", "(?=x)", "a{2000}", "(?:.{30}){30}"):
            with self.assertRaises(BadPathRule):
                PathRule(text)


class LongestPathTests(SynchronousTestCase):
    """How long a path may be."""

    def test_product(self) -> None:
        """The more instructions, the shorter; and never longer than the longest."""
        self.assertEqual((longest_path(0), longest_path(1), longest_path(100)), (LONGEST_PATH,) * 3)
        self.assertEqual(longest_path(OFFER_INSTRUCTIONS), 250)

    def test_decoded(self) -> None:
        """The query is cut off, escapes are decoded, and bytes that are no text become one character each."""
        for target, path in (
            (b"/a%20b?c", b"/a b"),
            (b"*", b"*"),
            (b"/%ff", "/\N{REPLACEMENT CHARACTER}".encode()),
            (b"/%e2%82%ac", "/\N{EURO SIGN}".encode()),
        ):
            self.assertEqual(decoded_path(target, 100), path)

    def test_too_long(self) -> None:
        """A path that is longer, decoded, is refused; a query does not count."""
        self.assertEqual(decoded_path(b"/" + b"%61" * 9 + b"?" + b"x" * 99, 10), b"/aaaaaaaaa")
        for target in (b"/" + b"a" * 10, b"/" + b"%61" * 10, b"/" + b"%ff" * 4):
            with self.assertRaises(MessageRefused) as caught:
                decoded_path(target, 10)
            self.assertIs(caught.exception.refusal, PATH_TOO_LONG)
