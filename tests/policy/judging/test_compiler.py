"""Tests of `policy.judging.compiler`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleParts, compiled, request, said
from warp_twisted.policy.document.limits import Ban

_HOSTS = """
rules:
- {name: exact, match: {hostname: a.example}, deny: true}
- {name: below, match: {hostname: "*.a.example"}, deny: true}
- {name: deeper, match: {hostname: ["*.b.a.example", c.example]}, deny: true}
"""


class ProgramsTests(SynchronousTestCase):
    """Which program a hostname has."""

    def rules(self, text: str, hostname: str) -> list[str] | None:
        """Return the names of the rules of a hostname's program."""
        program = compiled(text).program_for(hostname)
        return None if program is None else [rule.name for rule in program.rules]

    def test_hostnames(self) -> None:
        """Exact names and those below; a hostname without rules has no program."""
        for hostname, names in (
            ("a.example", ["exact"]),
            ("x.a.example", ["below"]),
            ("b.a.example", ["below"]),
            ("x.b.a.example", ["below", "deeper"]),
            ("c.example", ["deeper"]),
            ("x.c.example", None),
            ("example", None),
        ):
            self.assertEqual(self.rules(_HOSTS, hostname), names, hostname)

    def test_everywhere(self) -> None:
        """Defaults and rules without a hostname are about every hostname, defaults first."""
        text = "defaults: {sources: {deny: [192.0.2.1]}}\nrules: [{name: r}, {name: s, match: {hostname: s.example}}]"
        self.assertEqual(self.rules(text, "s.example"), ["defaults", "r", "s"])
        self.assertEqual(self.rules(text, "t.example"), ["defaults", "r"])
        self.assertEqual(self.rules("{}", "a.example"), None)

    def test_programs_are_shared(self) -> None:
        """Any number of hostnames with the same rules have one program, so visitors' names cost no memory."""
        policy = compiled(_HOSTS)
        made = {id(policy.program_for(f"h{number}.a.example")) for number in range(100)}
        self.assertEqual(len(made), 1)

    def test_where(self) -> None:
        """Parts are told where in the file they stand, for their errors."""
        parts = SampleParts()
        compiled(
            """
defaults: {except: [{source: 192.0.2.1}], sources: {allow: [192.0.2.1], deny: [192.0.2.2]}}
rules:
- name: r
  match: {source: 192.0.2.0/24}
  limits: [{name: a, rate: 1/s}]
  authenticate: {all_of: [{service_token: {}}, {any_of: [{basic: {users_file: u}}]}]}
""",
            parts,
        )
        self.assertEqual(
            set(parts.wheres),
            {
                "defaults.except[0].source",
                "defaults.sources.allow",
                "defaults.sources.deny",
                "rules[0].match.source",
                "rules[0].limits[0]",
                "rules[0].authenticate.all_of[0]",
                "rules[0].authenticate.all_of[1].any_of[0]",
            },
        )

    def test_files(self) -> None:
        """A list of sources may come from a file."""
        parts = SampleParts({"bad.txt": ["198.51.100.0/24"]})
        policy = compiled("rules: [{name: r, sources: {deny: [192.0.2.1, {file: bad.txt}]}}]", parts)
        self.assertEqual(said(policy, request(address="198.51.100.1")), "r: source")

    def test_ban(self) -> None:
        """A ban is for the shell at the door."""
        policy = compiled("defaults: {ban: {refusals: 2, within: 1s, for: 1m}}")
        self.assertEqual(policy.ban, Ban(refusals=2, within="1s", for_="1m"))
        self.assertIsNone(compiled("{}").ban)
