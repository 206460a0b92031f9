"""Tests of `policy.paths.patterns`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.paths.patterns import PathPattern, Route, parse_pattern, parse_route


class PatternTests(SynchronousTestCase):
    """What may be written."""

    def test_patterns(self) -> None:
        """`*` at the end stands for everything below."""
        for text, pattern in (
            ("/", PathPattern(("",), False)),
            ("/*", PathPattern((), True)),
            ("/a/", PathPattern(("a", ""), False)),
            ("/a/*", PathPattern(("a",), True)),
            ("/*/b.*", PathPattern(("*", "b.*"), False)),
            ("/cafe\u0301", PathPattern(("caf\xe9",), False)),
        ):
            self.assertEqual(parse_pattern(text), pattern)

    def test_mistakes(self) -> None:
        """What could be meant in two ways is refused."""
        for text, why in (
            ("", "begins with '/'"),
            ("admin", "begins with '/'"),
            ("/a%20b", "write it decoded"),
            ("/a?b=c", "matched by the key query"),
            ("/a#b", "fragment"),
            ("/a\\b", "backslash"),
            ("/a;b", "parameters"),
            ("/a/**", "single"),
            ("/a//b", "empty segment"),
            ("//*", "empty segment"),
            ("/a/../b", "segment '.' or '..'"),
            ("/a\x00b", "control character"),
            ("/a" * 33, "32 segments at most"),
        ):
            self.assertRaisesRegex(ValueError, why, parse_pattern, text)

    def test_routes(self) -> None:
        """A method and a pattern, or a pattern alone."""
        self.assertEqual(parse_route("GET  /a b"), Route("GET", PathPattern(("a b",), False)))
        self.assertEqual(parse_route("/a"), Route(None, PathPattern(("a",), False)))
        for text in ("GET", "get /a", "GET,POST /a", " /a", "", "GET a"):
            self.assertRaises(ValueError, parse_route, text)
