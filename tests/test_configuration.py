"""Tests of `warp_twisted.configuration`: what is refused, and in which words."""

import subprocess
import sys
from typing import Annotated, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.configuration import MAX_FILE_BYTES, parse, read_file
from warp_twisted.errors import InvalidSettings


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample section."""

    head_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4096
    format: Literal["json", "text"] = "json"
    names: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] | None = ()


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample file."""

    limits: Limits
    counts: dict[str, int] = {}

    def __post_init__(self) -> None:
        if "bad" in self.counts:
            raise ValueError("counts.bad: not this one")


class ParseTests(SynchronousTestCase):
    """What `parse` accepts and how it refuses."""

    def refusal(self, text: str | bytes) -> str:
        """Return the words in which a text is refused."""
        return str(self.assertRaises(InvalidSettings, parse, text, Sample, "edge.yaml"))

    def test_values_fill_the_struct(self) -> None:
        """A file that fits is returned as the Struct, with defaults for what it leaves out."""
        self.assertEqual(
            parse("limits: {head_bytes: 2048}", Sample, "f"),
            Sample(limits=Limits(head_bytes=2048), counts={}),
        )

    def test_wrong_type_names_path_and_expectation(self) -> None:
        """A value of the wrong type is refused with its path, the bounds, and what was found."""
        self.assertEqual(
            self.refusal("limits: {head_bytes: x}"),
            "edge.yaml: limits.head_bytes: expected a whole number of at least 1024, got 'x'",
        )

    def test_value_out_of_bounds(self) -> None:
        """A number below its minimum is refused in the same words."""
        self.assertEqual(
            self.refusal("limits: {head_bytes: 5}"),
            "edge.yaml: limits.head_bytes: expected a whole number of at least 1024, got 5",
        )

    def test_choice(self) -> None:
        """A value outside a closed set is refused with the set."""
        self.assertEqual(
            self.refusal("limits: {format: xml}"),
            "edge.yaml: limits.format: expected 'json' or 'text', got 'xml'",
        )

    def test_list_item(self) -> None:
        """A wrong item of a list is named by its index."""
        self.assertEqual(
            self.refusal("limits: {names: [a, 3]}"),
            "edge.yaml: limits.names[1]: expected non-empty text, got 3; put quotes around it",
        )

    def test_mapping_value(self) -> None:
        """A wrong value in a free mapping is named by its key."""
        refusal = self.refusal("limits: {}\ncounts: {x: 1, a: b}")
        self.assertEqual(refusal, "edge.yaml: counts.a: expected a whole number, got 'b'")

    def test_unknown_key_offers_the_near_one(self) -> None:
        """A misspelt key is refused with the key that was probably meant."""
        self.assertEqual(
            self.refusal("limits: {head_byts: 5}"),
            "edge.yaml: limits.head_byts: unknown key; did you mean head_bytes?",
        )

    def test_unknown_key_lists_the_known_ones(self) -> None:
        """A key that resembles nothing is refused with all that exist."""
        self.assertEqual(
            self.refusal("limits: {zzz: 5}"),
            "edge.yaml: limits.zzz: unknown key; expected one of head_bytes, format, names",
        )

    def test_missing_key(self) -> None:
        """A required key that is absent is named."""
        self.assertEqual(self.refusal(""), "edge.yaml: limits: missing; expected a mapping")

    def test_duplicate_key_names_the_line(self) -> None:
        """A key given twice is refused, because one of the two would be ignored."""
        self.assertEqual(self.refusal("limits: {}\nlimits: {}"), "edge.yaml: line 2: key 'limits' is given twice")

    def test_alias_is_refused(self) -> None:
        """Aliases are refused, because nested ones expand without bound."""
        self.assertEqual(
            self.refusal("a: &x 1\nb: *x"),
            "edge.yaml: line 2: aliases are not supported; put quotes around a value that begins with '*'",
        )

    def test_tags_build_nothing(self) -> None:
        """A tag that would construct a Python object is refused."""
        self.assertIn("are not supported", self.refusal("!!python/object:os.system {}"))

    def test_words_of_the_struct_are_kept(self) -> None:
        """What a Struct refuses in its own check reaches the reader unchanged."""
        self.assertEqual(self.refusal("limits: {}\ncounts: {bad: 1}"), "edge.yaml: counts.bad: not this one")

    def test_size_is_limited(self) -> None:
        """A text over the limit is refused before it is parsed."""
        self.assertIn("larger than", self.refusal(b"#" * (MAX_FILE_BYTES + 1)))

    def test_half_a_character(self) -> None:
        """An escape that is no character is a refusal too."""
        self.assertEqual(self.refusal('"\\ud800": 1'), "edge.yaml: '\\ud800' is not valid Unicode")

    def test_depth_is_limited(self) -> None:
        """Nesting deeper than the parser's stack is a refusal, not a crash."""
        self.assertIn("not YAML", self.refusal("limits: " + "[" * 5000))

    @settings(deadline=None, max_examples=300, derandomize=True)
    @given(st.one_of(st.binary(max_size=200), st.text(alphabet="limts: {}[]&*!-\n'\"hed_by", max_size=60)))
    def test_any_bytes_are_settings_or_refused(self, content: bytes | str) -> None:
        """No content raises anything but InvalidSettings."""
        try:
            parse(content, Sample, "f")
        except InvalidSettings as error:
            self.assertTrue(str(error).startswith("f: "))


class ReadFileTests(SynchronousTestCase):
    """Reading from the disk."""

    def test_missing_file(self) -> None:
        """A file that is not there is a refusal that names it."""
        self.assertEqual(
            str(self.assertRaises(InvalidSettings, read_file, "/nonexistent.yaml", Sample)),
            "/nonexistent.yaml: No such file or directory",
        )


class ImportTests(SynchronousTestCase):
    """What reading settings brings along."""

    def test_an_agent_does_not_load_the_dns_server(self) -> None:
        """The agent's service imports nothing of `warp_dns`: 7 MiB that it has no use for."""
        script = (
            "import sys, warp_twisted.agent.service;"
            "print(sorted(name for name in sys.modules if name.split('.')[0] == 'warp_dns'))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "[]")
