"""Hostnames, patterns, labels and selectors: one normal form each, and everything else refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import InvalidName
from warp_twisted.names import (
    MAX_LABELS,
    HostnamePattern,
    LabelSelector,
    check_labels,
    one_line,
    parse_hostname,
    parse_label,
    parse_share,
)


class HostnameTests(SynchronousTestCase):
    """`parse_hostname` gives the normal form or says what is wrong."""

    def test_normal_form(self) -> None:
        """Case and the trailing dot go; U-labels become A-labels."""
        self.assertEqual(parse_hostname("App.Warp.Example."), "app.warp.example")
        self.assertEqual(parse_hostname("bücher.example"), "xn--bcher-kva.example")

    def test_refused(self) -> None:
        """What DNS or a URL could not hold is refused."""
        for text in (
            "",
            ".",
            "a..b",
            "-a.example",
            "a-.example",
            "a b.example",
            "192.0.2.1",
            "x" * 64,
            "a/b",
            "*.a",
        ):
            with self.subTest(text=text):
                self.assertRaises(InvalidName, parse_hostname, text)
        self.assertRaises(InvalidName, parse_hostname, ".".join(["a" * 50] * 6))

    @settings(deadline=None, derandomize=True)
    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        """Any text is refused with `InvalidName` or becomes a fixed point of the parser."""
        try:
            name = parse_hostname(text)
        except InvalidName:
            return
        self.assertEqual(parse_hostname(name), name)
        self.assertTrue(name.isascii() and name == name.lower() and len(name) <= 253)


class HostnamePatternTests(SynchronousTestCase):
    """What a token or a certificate allows."""

    def test_exact(self) -> None:
        """A pattern without `*` allows that name only."""
        pattern = HostnamePattern.parse("App.Warp.Example")
        self.assertTrue(pattern.allows(parse_hostname("app.warp.example")))
        self.assertFalse(pattern.allows(parse_hostname("x.app.warp.example")))
        self.assertFalse(pattern.is_wildcard)

    def test_wildcard(self) -> None:
        """`*.` allows any depth below the suffix, not the suffix itself and not its look-alikes."""
        pattern = HostnamePattern.parse("*.team.example")
        self.assertTrue(pattern.allows(parse_hostname("a.team.example")))
        self.assertTrue(pattern.allows(parse_hostname("a.b.team.example")))
        self.assertFalse(pattern.allows(parse_hostname("team.example")))
        self.assertFalse(pattern.allows(parse_hostname("evilteam.example")))

    def test_refused(self) -> None:
        """`*` stands only as the whole first label."""
        for text in ("*", "a*.example", "a.*.example", "*.*.example", "**.example"):
            with self.subTest(text=text):
                self.assertRaises(InvalidName, HostnamePattern.parse, text)


class LabelTests(SynchronousTestCase):
    """Labels follow the grammar of Kubernetes."""

    def test_parse(self) -> None:
        """`key=value` is split at the first equals sign; an empty value is allowed."""
        self.assertEqual(parse_label("release=canary"), ("release", "canary"))
        self.assertEqual(parse_label("example.org/tier="), ("example.org/tier", ""))

    def test_refused(self) -> None:
        """Keys and values outside the grammar are refused, and so are too many."""
        for text in ("release", "=x", "-a=b", "a=b c", "a=" + "x" * 64, "a=ü"):
            with self.subTest(text=text):
                self.assertRaises(InvalidName, parse_label, text)
        self.assertIn("write key=value", str(self.assertRaises(InvalidName, LabelSelector.parse, "release:canary")))
        self.assertRaises(InvalidName, check_labels, {f"k{i}": "v" for i in range(MAX_LABELS + 1)})


class LabelSelectorTests(SynchronousTestCase):
    """A selector is a conjunction of requirements."""

    def test_matches(self) -> None:
        """Each operator compares as Kubernetes does; an absent key meets the negative ones."""
        labels = {"release": "canary", "tier": "web"}
        for text, expected in (
            ("", True),
            ("release=canary", True),
            ("release==canary,tier!=db", True),
            ("release=stable", False),
            ("zone!=a", True),
            ("release in (stable, canary)", True),
            ("release notin (stable,canary)", False),
            ("zone notin (a)", True),
            ("tier", True),
            ("!tier", False),
            ("!zone , tier", True),
        ):
            with self.subTest(text=text):
                self.assertIs(LabelSelector.parse(text).matches(labels), expected)

    def test_refused(self) -> None:
        """A broken selector names the place."""
        for text in ("a=b,", ",", "=x", "a in x", "!!a", "a=b c=d", "a in ()x", "a=b,,c"):
            with self.subTest(text=text):
                self.assertRaises(InvalidName, LabelSelector.parse, text)

    @settings(deadline=None, derandomize=True)
    @given(st.text(alphabet="ab=!,() in", max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text is refused with `InvalidName` or gives a selector that can be asked."""
        try:
            selector = LabelSelector.parse(text)
        except InvalidName:
            return
        self.assertIn(selector.matches({"a": "b"}), (True, False))
        self.assertEqual(LabelSelector.parse(text), selector)


class OneLineTests(SynchronousTestCase):
    """What others write, for a log."""

    def test_control_characters_and_length(self) -> None:
        """Line breaks and escapes become spaces, and what is long is cut with a sign of it."""
        for text, line in (
            ("stolen", "stolen"),
            (" a\n\tb\x1b[2Jc ", "a b [2Jc"),
            ("", ""),
            ("\n", ""),
            ("0123456789", "0123456789"),
            ("0123456789x", "012345678…"),
        ):
            self.assertEqual(one_line(text, 10), line)


class ShareWordTests(SynchronousTestCase):
    """`parse_share` takes what may name a group of agents."""

    def test_words(self) -> None:
        """A zone's name, the id of a token and a plain word are share words."""
        for word in ("warp.example", "0123456789abcdef", "shop", "a", "a_b-c", "a" * 253):
            self.assertEqual(parse_share(word), word)

    def test_refused(self) -> None:
        """What a shell or a log line could break, or nobody could tell apart, is refused."""
        for word in ("", "Shop", "two words", "a/b", "-a", "a.", "ä", "a" * 254, "a\n", "a\x1b"):
            self.assertRaises(InvalidName, parse_share, word)
