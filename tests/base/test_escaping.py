"""Tests of how what others say is made fit to be shown."""

import json
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_base.escaping import printable, printable_json, printable_json_bytes, printable_lines

# ESC, CSI and OSC as C1, NEL, DEL, bidi override and isolate, zero width space, BOM, a tag, line separator, an anchor.
HOSTILE = "\x1b[2J\x9b1m\x9d0;x\x07\x85\x7f\u202e\u2066\u200b\ufeff\U000e0041\u2028\ufff9"
ANY_TEXT = st.text() | st.text(st.characters(categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "L")))
# Two surrogates in a row are, in JSON's letters, the character that they encode together.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
JSON_TEXT = ANY_TEXT.filter(lambda text: not PAIR.search(text))
ANY_JSON = st.recursive(
    JSON_TEXT | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(JSON_TEXT, inner, max_size=4),
    max_leaves=10,
)


def is_safe(text: str, allowed: str = "") -> bool:
    """Whether a terminal shows every character of a text, in order, and does nothing."""
    forbidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return all(character in allowed or unicodedata.category(character) not in forbidden for character in text)


class PrintableTests(SynchronousTestCase):
    """Each spelling."""

    def test_hostile(self) -> None:
        """Whatever moves, colours, reorders or hides is written in letters; the rest stays as it is."""
        self.assertEqual(
            printable(f"a{HOSTILE}é 漢 ש"),
            r"a\x1b[2J\x9b1m\x9d0;x\x07\x85\x7f\u202e\u2066\u200b\ufeff\U000e0041\u2028\ufff9" "é 漢 ש",
        )
        self.assertEqual(printable("a\nb\tc\rd"), r"a\x0ab\x09c\x0dd")
        self.assertEqual(printable_lines("a\n\tb\rc\x1b"), "a\n\tb\\x0dc\\x1b")
        self.assertEqual(printable("\ud800"), r"\ud800")

    @given(ANY_TEXT)
    def test_any_text(self, text: str) -> None:
        """Nothing is left that a terminal does not simply show, and what is printable is not touched."""
        self.assertTrue(is_safe(printable(text)))
        self.assertTrue(is_safe(printable_lines(text), "\n\t"))
        self.assertEqual(printable_lines(text).count("\n"), text.count("\n"))
        if text.isprintable():
            self.assertIs(printable(text), text)
        self.assertEqual(printable(printable(text)), printable(text))

    @given(ANY_JSON)
    def test_any_json(self, value: object) -> None:
        """JSON says the same as before, laid out or not, and nothing in it does anything to a terminal."""
        for indent in (None, 2):
            written = printable_json(json.dumps(value, ensure_ascii=False, indent=indent))
            self.assertTrue(is_safe(written, "\n"))
            self.assertEqual(json.loads(written), value)

    @given(st.text(st.characters(categories=("Cc", "Cf", "Co", "Zl", "Zp", "L", "N"))))
    def test_any_bytes(self, text: str) -> None:
        """JSON in UTF-8 comes out as text does, also where it is plain."""
        written = json.dumps(text, ensure_ascii=False)
        self.assertEqual(printable_json_bytes(written.encode()), printable_json(written).encode())
