"""Tests of `policy.document.policy`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import refusal_of
from warp_twisted.policy.document.policy import MAX_BYTES, MAX_RULES, Policy, parse_policy
from warp_twisted.policy.errors import InvalidPolicy, NewerPolicy


class PolicyTests(SynchronousTestCase):
    """A file as a whole."""

    def refusal(self, text: str | bytes) -> str:
        """Return why a policy is refused."""
        return str(self.assertRaises(InvalidPolicy, parse_policy, text, "policy.yaml"))

    def test_nothing(self) -> None:
        """A policy that allows everything is said to; an empty file, as a broken pipe leaves one, is refused."""
        for text in ("", "\n", "# rules: []\n", "---\n", "~", b""):
            self.assertEqual(
                self.refusal(text), "policy.yaml: empty; a policy that lets everything through is written {}"
            )
        for text in ("{}", "--- {} # nothing\n"):
            self.assertEqual(parse_policy(text, "p"), Policy())
        self.assertEqual(parse_policy("version: 1\nrules: []\n", "p"), Policy())

    def test_newer_version(self) -> None:
        """A file of a newer version is refused before its keys are looked at."""
        text = "version: 2\nsomething_new: true\n"
        error = self.assertRaises(NewerPolicy, parse_policy, text, "policy.yaml")
        self.assertIn("policy.yaml: version: 2 is newer than 1, which this release knows; upgrade Warp", str(error))
        for version in ("0", "x", "true", "1.0", "null"):
            self.assertIn("version: expected 1", self.refusal(f"version: {version}"))

    def test_names(self) -> None:
        """Each rule has a name of its own, and none is called as the defaults are."""
        self.assertIn(
            "rules[1].name: 'a' is the name of an earlier rule", self.refusal("rules: [{name: a}, {name: a}]")
        )
        self.assertIn("name: 'defaults' is what the defaults", self.refusal("rules: [{name: defaults}]"))
        self.assertIn("rules[0].name: missing", self.refusal("rules: [{}]"))
        self.assertIn("rules[0].name: expected a name of at most 64", self.refusal("rules: [{name: A B}]"))

    def test_unknown_keys(self) -> None:
        """An unknown key is an error, as a check that is silently left out is none."""
        self.assertIn("rule: unknown key; did you mean rules?", self.refusal("rule: []"))
        self.assertIn("routes: unknown key", self.refusal("routes: []"))
        self.assertIn("defaults.match: unknown key", self.refusal("defaults: {match: {path: /}}"))
        self.assertIn("defaults.deny: unknown key", self.refusal("defaults: {deny: true}"))
        self.assertIn("odd_paths[0]: expected 'backslash' or", refusal_of("odd_paths: [all]"))

    def test_bounds(self) -> None:
        """A file has 512 KiB and 1,000 rules at most."""
        self.assertIn("larger than 512 KiB", self.refusal(b"#" * (MAX_BYTES + 1)))
        self.assertEqual(parse_policy(b"{}\n" + b"#" * (MAX_BYTES - 3), "p"), Policy())
        rules = "".join(f"- {{name: r{number}}}\n" for number in range(MAX_RULES + 1))
        self.assertIn("rules: expected a list of at most 1000", self.refusal(f"rules:\n{rules}"))

    @given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
    def test_any_text(self, text: str | bytes) -> None:
        """Whatever a file holds, it is a policy or refused in words."""
        try:
            parse_policy(text, "p")
        except InvalidPolicy as error:
            self.assertTrue(str(error).startswith("p: "), str(error))
