"""Tests of `warp_base.yaml_reader`: typical mistakes in a file, and the words in which each is refused."""

from typing import Annotated, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_base.yaml_reader import InvalidYaml, changed_keys, parse


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of a list."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    sizes: dict[str, list[int]] = {}


class Either(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping that needs one of two keys."""

    left: int | None = None
    right: int | None = None

    def __post_init__(self) -> None:
        if (self.left is None) == (self.right is None):
            raise ValueError("expected left or right")


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sample file."""

    items: Annotated[list[Item], msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    rate: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    is_on: bool = False
    level: Literal["info", "warn"] = "info"
    place: tuple[float, float] = (0, 0)
    texts: Annotated[list[str], msgspec.Meta(max_length=3)] = []
    either: str | Either = ""


GOOD = "items: [{name: a}]\n"


class MistakeTests(SynchronousTestCase):
    """Where it is, what was expected, what was found."""

    def refusal(self, text: str) -> str:
        """Return the words in which a text is refused."""
        return str(self.assertRaises(InvalidYaml, parse, text, Sample, "x.yaml")).removeprefix("x.yaml: ")

    def test_values(self) -> None:
        """What is right is shown where it is plain from what was written."""
        for line, words in (
            ("port: 80000", "port: expected a whole number from 1 to 65535 or null, got 80000"),
            ("port: '80'", "port: expected a whole number from 1 to 65535 or null, got '80'; write 80, without quotes"),
            ("seconds: 30s", "seconds: expected a number above 0, at most 3600, got '30s'; write 30"),
            ("seconds: 1.5h", "seconds: expected a number above 0, at most 3600, got '1.5h'; write 5400"),
            ("rate: 0", "rate: expected a number above 0, got 0"),
            ("count: 16k", "count: expected a whole number of at least 1, got '16k'; write 16384"),
            ("count: many", "count: expected a whole number of at least 1, got 'many'"),
            ("count: true", "count: expected a whole number of at least 1, got true"),
            ("is_on: 'yes'", "is_on: expected true or false, got 'yes'; write true, without quotes"),
            ("is_on: maybe", "is_on: expected true or false, got 'maybe'"),
            ("level: warning", "level: expected 'info' or 'warn', got 'warning'; did you mean warn?"),
            ("place: [1]", "place: expected a list of 2 numbers, got [1]"),
            ("place: [1, x]", "place[1]: expected a number, got 'x'"),
            ("texts: a", "texts: expected a list of at most 3 texts, got 'a'; write ['a']"),
            ("texts: [5]", "texts[0]: expected text, got 5; put quotes around it"),
            ("texts: {}", "texts: expected a list of at most 3 texts, got a mapping"),
            ("textes: []", "textes: unknown key; did you mean texts?"),
            ("either: {lefd: 1}", "either.lefd: unknown key; did you mean left?"),
            ("either: {}", "either: expected left or right"),
        ):
            self.assertEqual(self.refusal(GOOD + line), words)

    def test_a_text_that_says_nothing(self) -> None:
        """It is an empty mapping, unless whoever reads it wants one to be written."""
        for text in ("", "# nothing", "---", "~"):
            self.assertEqual(parse(text, dict[str, int], "x"), {})
            error = self.assertRaises(InvalidYaml, parse, text, dict[str, int], "x", if_empty="empty")
            self.assertEqual(str(error), "x: empty")
        self.assertEqual(parse("{}", dict[str, int], "x", if_empty="empty"), {})

    def test_numbers_that_python_does_not_write(self) -> None:
        """A number of so many digits is refused as others are, also within a list."""
        long = "0x" + "f" * 4_000
        expected = "port: expected a whole number from 1 to 65535 or null, got a number of thousands of digits"
        self.assertIn(expected, self.refusal(f"port: {long}"))
        self.assertIn("level: expected 'info' or 'warn', got a number of", self.refusal(f"level: [{long}]"))

    def test_paths(self) -> None:
        """Lists are gone into by index, free mappings by the key that is wrong."""
        for text, words in (
            ("items: []", "items: expected a list of one or more mappings, got []"),
            ("items: [{}]", "items[0].name: missing; expected non-empty text"),
            ("items: [{name: a}, {nam: b}]", "items[1].nam: unknown key; did you mean name?"),
            ("items: [{name: a, sizes: {x: [1], y: [1, b]}}]", "items[0].sizes.y[1]: expected a whole number, got 'b'"),
            ("items: [{name: a, sizes: {x: [], y: 5}}]", "items[0].sizes.y: expected a list of whole numbers, got 5"),
            ("", "items: missing; expected a list of one or more mappings"),
            ("- a", "expected a mapping, got ['a']"),
        ):
            self.assertEqual(self.refusal(text), words)

    def test_syntax(self) -> None:
        """What YAML cannot be is said with the line, in words that name the remedy."""
        for text, words in (
            ("items:\n\t- name: a", "line 2: a tab is used for indentation; YAML takes spaces only"),
            ("items: [{name: a", "line 1: a bracket is not closed, or a comma is missing: expected ',' or '}'"),
            ('items: "a', "line 1: a quote is not closed"),
            ("items: @a", "line 1: '@' cannot begin a value; put quotes around the value"),
            ("items: [*.a.example]", "line 1: a value that begins with '*' or '&' needs quotes around it"),
            ("items: *a", "line 1: aliases are not supported; put quotes around a value that begins with '*'"),
            ("items: a: b", "line 1: a ': ' that does not belong there; quote the value, or mend the indentation"),
            (
                "port: 1\n items: []",
                "line 2: a ': ' that does not belong there; quote the value, or mend the indentation",
            ),
            (
                "port: 1\n---\nport: 2",
                "line 2: a second document begins; one is expected, without '---' between its parts",
            ),
            ("port: 1\nport: 2", "line 2: key 'port' is given twice"),
            ("port: !!python/name:os.system x", "line 1: tags such as tag:yaml.org,2002:python/name:os.system are not"),
        ):
            self.assertIn(words, self.refusal(text))

    @settings(deadline=None, max_examples=300, derandomize=True)
    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=5)
            | st.sampled_from(["5s", "1k"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*Sample.__struct_fields__, "name", "sizes"]) | st.text(max_size=3),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_values_are_settings_or_refused(self, raw: object) -> None:
        """Whatever was written, the refusal is made and names the file."""
        try:
            parse(msgspec.json.encode(raw), Sample, "x.yaml")
        except InvalidYaml as error:
            self.assertTrue(str(error).startswith("x.yaml: "))


class ChangedKeysTests(SynchronousTestCase):
    """What differs between two settings."""

    def test_paths(self) -> None:
        """Sections are gone into; lists and mappings are named as a whole."""

        class Outer(msgspec.Struct, frozen=True):
            inner: Sample
            other: int = 1

        before = Outer(Sample(items=[]))
        self.assertEqual(changed_keys(before, before), [])
        after = Outer(Sample(items=[Item("a")], port=5), 2)
        self.assertEqual(changed_keys(before, after), ["inner.items", "inner.port", "other"])
