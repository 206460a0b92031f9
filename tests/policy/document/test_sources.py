"""Tests of `policy.document.sources`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.refusals import policy_of, refusal_of
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.document.sources import DatabaseFiles, SourceEntry, Sources
from warp_twisted.policy.errors import InvalidPolicy


class SourcesTests(SynchronousTestCase):
    """The keys `sources` and `match.source`."""

    def test_what_there_is(self) -> None:
        """Prefixes, addresses, files and places may stand beside each other."""
        rule = policy_of(
            'sources: {allow: [192.0.2.0/24, "2001:db8::1", {file: a/b.txt}, {country: [DE]}, {asn: [64496]}]}'
        )
        sources = rule.rules[0].sources
        assert isinstance(sources, Sources)
        assert sources.allow is not None
        self.assertEqual(sources.allow[:3], ["192.0.2.0/24", "2001:db8::1", SourceEntry(file="a/b.txt")])
        self.assertEqual(refusal_of("match: {source: 192.0.2.1}"), "")

    def test_mistakes(self) -> None:
        """Each is refused with the key it is in."""
        for text, expected in (
            ("sources: {}", "sources: expected allow, deny or both"),
            ("sources: {allow: []}", "sources.allow: expected a list of 1 to 1000"),
            ("sources: {allow: [a.example]}", "sources.allow[0]: expected a prefix such as"),
            ("sources: {deny: [192.0.2.0/24, 192.0.2.1/24]}", "sources.deny[1]: '192.0.2.1/24' is one address of"),
            ("sources: {deny: [{file: ../a}]}", "sources.deny[0].file: expected a path below policy_files"),
            ("sources: {deny: [{file: /a}]}", "sources.deny[0].file: expected a path below policy_files"),
            ("sources: {deny: [{}]}", "sources.deny[0]: expected one of file, country, asn"),
            ("sources: {deny: [{file: a, asn: [1]}]}", "sources.deny[0]: expected one of file, country, asn"),
            ("sources: {deny: [{asn: [1], format: crowdsec}]}", "sources.deny[0].format: belongs to a file"),
            ("sources: {deny: [{country: [de]}]}", "sources.deny[0].country[0]: expected a country code such as DE"),
            (
                'sources: {deny: [{country: ["DE\\n"]}]}',
                "sources.deny[0].country[0]: expected a country code such as DE",
            ),
            ("match: {source: here}", "match.source[0]: expected a prefix"),
        ):
            self.assertIn(expected, refusal_of(text), text)

    def test_databases(self) -> None:
        """A database is named as other files are: below `policy_files`."""
        policy = parse_policy("databases: {country: c.mmdb, asn: geo/a.mmdb}", "policy.yaml")
        self.assertEqual(policy.databases, DatabaseFiles(country="c.mmdb", asn="geo/a.mmdb"))
        for key in ("country", "asn"):
            with self.assertRaisesRegex(InvalidPolicy, f"databases.{key}: expected a path below policy_files"):
                parse_policy(f"databases: {{{key}: ../c.mmdb}}", "policy.yaml")
