"""Tests of `warp_twisted.cli.policy.cases`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.policy.cases import read_cases
from warp_twisted.errors import InvalidSettings


class CasesTests(SynchronousTestCase):
    """The file of expectations."""

    def read(self, text: str) -> list[str]:
        """Return what is expected in a file."""
        path = Path(self.mktemp())
        path.write_text(text)
        return [case.expect for case in read_cases(str(path))]

    def test_cases(self) -> None:
        """Each case has a request and an expectation."""
        self.assertEqual(self.read("cases: [{request: https://a.example/, expect: allow}]"), ["allow"])

    def test_mistakes(self) -> None:
        """Each is refused with the key it is in."""
        for text, expected in (
            ("cases: []", "cases: expected"),
            ("cases: [{request: a}]", r"cases\[0\].expect: missing"),
            ("cases: [{request: a, expect: denied}]", r"cases\[0\].expect: expected .* did you mean deny"),
            ("cases: [{request: a, expect: deny, reason: x}]", r"cases\[0\].reason: expected one of denied"),
            ("cases: [{request: a, expect: allow, rule: r}]", r"cases\[0\].rule: nothing objects"),
        ):
            self.assertRaisesRegex(InvalidSettings, expected, self.read, text)
