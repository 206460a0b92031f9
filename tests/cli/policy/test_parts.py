"""Tests of `warp_twisted.cli.policy.parts`."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.policy.test_databases import SAMPLE
from tests.policy.judging.samples import request
from tests.policy.sources.test_crowdsec import DECISIONS
from warp_twisted.cli.policy.parts import OfflineParts
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.policy.errors import InvalidPolicy
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.judging.compiler import CompiledPolicy, compile_policy
from warp_twisted.policy.verdict import Action


class PartsTests(SynchronousTestCase):
    """What stands in for an edge."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def compiled(self, rule: str, *identities: Identity) -> CompiledPolicy:
        """Compile a policy with one rule."""
        document = parse_policy(f"rules: [{{name: r, {rule}}}]", "p")
        return compile_policy(document, OfflineParts(self.directory, identities))

    def action(self, policy: CompiledPolicy, address: str = "192.0.2.1") -> Action:
        """Return what becomes of a request."""
        program = policy.program_for("a.example")
        assert program is not None
        return program.judge(request(address=address), 0.0, 0.0).action

    def test_files(self) -> None:
        """Prefixes are read from files, and what is no prefix is named with its line."""
        (self.directory / "bad.txt").write_text("# bad\n192.0.2.0/24\n")
        policy = self.compiled("sources: {deny: [198.51.100.1, {file: bad.txt}]}")
        found = [self.action(policy, address) for address in ("192.0.2.9", "198.51.100.1", "203.0.113.1")]
        self.assertEqual(found, [Action.DENY, Action.DENY, Action.ALLOW])
        (self.directory / "bad.txt").write_text("192.0.2.0/24\nhere\n")
        for rule, expected in (
            (
                "sources: {deny: [{file: bad.txt}]}",
                r"rules\[0\].sources.deny\[0\].file: .*bad.txt: line 2: expected a prefix",
            ),
            ("sources: {deny: [{file: none}]}", r"sources.deny\[0\].file: .*none: No such file .*--files"),
            ("sources: {deny: [{asn: [64496]}]}", r"deny\[0\].asn: needs a database"),
            (
                "sources: {deny: [{file: bad.txt, format: crowdsec}]}",
                r"deny\[0\].file: .*bad.txt: expected CrowdSec's decisions as JSON",
            ),
            ("authenticate: {any_of: [{basic: {users_file: none}}]}", r"any_of\[0\].basic.users_file: .*No such file"),
        ):
            self.assertRaisesRegex(InvalidPolicy, expected, self.compiled, rule)

    def test_decisions_of_crowdsec(self) -> None:
        """They are read as an edge reads them, so that what is explained is what is judged."""
        (self.directory / "decisions.json").write_text(json.dumps(DECISIONS))
        policy = self.compiled("sources: {deny: [{file: decisions.json, format: crowdsec}]}")
        found = [self.action(policy, address) for address in ("203.0.113.9", "198.51.100.1", "203.0.113.10")]
        self.assertEqual(found, [Action.DENY, Action.DENY, Action.ALLOW])

    def test_places(self) -> None:
        """Countries are looked up in the database that the policy names."""
        (self.directory / "c.mmdb").write_bytes(SAMPLE)
        rule = "rules: [{name: r, sources: {deny: [{country: [DE]}]}}]"
        document = parse_policy(f"databases: {{country: c.mmdb}}\n{rule}", "p")
        policy = compile_policy(document, OfflineParts(self.directory, databases=document.databases))
        self.assertEqual([self.action(policy, a) for a in ("192.0.2.9", "203.0.113.9")], [Action.DENY, Action.ALLOW])

    def test_identities(self) -> None:
        """Who is named is proven, by checks of that kind; nothing is counted."""
        rule = "limits: [{name: a, rate: 1/h}], authenticate: {any_of: [{service_token: {}}]}"
        self.assertIs(self.action(self.compiled(rule)), Action.CHALLENGE)
        self.assertIs(self.action(self.compiled(rule, Identity("basic", "alice"))), Action.CHALLENGE)
        policy = self.compiled(rule, Identity("service_token", "ci"))
        self.assertEqual([self.action(policy) for _ in range(3)], [Action.ALLOW] * 3)
