"""Tests of `policy.judging.explaining`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import compiled, request
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.judging.explaining import Explanation, explain

_POLICY = """
defaults: {except: [/healthz], sources: {deny: [198.51.100.0/24]}}
rules:
- {name: elsewhere, match: {hostname: b.example}, deny: true}
- {name: by-method, match: {method: POST}, deny: true}
- {name: by-path, match: {path: /admin/*}, sources: {allow: [192.0.2.0/24]}}
- {name: by-field, match: {header: {X-Team: blue}}, deny: true}
- {name: limited, https: redirect, limits: [{name: a, rate: 1/s}, {name: b, of: connections, rate: 1/s}]}
- {name: signed, match: {path: /me}, authenticate: {any_of: [{basic: {users_file: u}}], cors_preflight: true}}
- {name: fields, request: {set: {X-A: "1"}, remove: [X-B]}, response: {add: {X-C: "1"}}}
- {name: quiet, match: {path: /me}, log_only: true, deny: true}
- {name: silent}
"""


class ExplainTests(SynchronousTestCase):
    """Why a verdict is what it is."""

    def explained(self, facts: Facts) -> Explanation:
        """Explain a request."""
        return explain(compiled(_POLICY), facts, 0.0, 0.0)

    def test_why_not(self) -> None:
        """A rule that is not about a request says which key is not."""
        found = self.explained(request("GET /healthz"))
        self.assertEqual(
            {each.rule: each.why_not for each in found.rules if not each.matched},
            {
                "defaults": "except",
                "elsewhere": "match.hostname",
                "by-method": "match.method",
                "by-path": "match.path",
                "by-field": "match.header X-Team",
                "signed": "match.path",
                "quiet": "match.path",
            },
        )

    def test_said(self) -> None:
        """A rule that matches says what its parts say, also when another one has decided."""
        said = {each.rule: each.said for each in self.explained(request("GET /me", address="198.51.100.1")).rules}
        self.assertTrue(said["defaults"][0].startswith("source (sources.deny): Your address"))
        self.assertEqual(
            said["limited"],
            ("https: the visitor came by https", "limits: b counts connections", "limits: a counts it",
             "response: with Strict-Transport-Security"),
        )  # fmt: skip
        self.assertEqual(said["signed"], ("authenticate: asks for basic",))
        self.assertEqual(said["fields"], ("request: without x-b, with X-A", "response: with X-C"))
        self.assertEqual((said["silent"], said["elsewhere"]), (("allows it",), ()))
        self.assertTrue(said["quiet"][0].startswith("denied"))

    def test_verdict(self) -> None:
        """The verdict is the program's; a challenge is said by its rule."""
        found = self.explained(request("GET /me"))
        assert found.verdict.objection is not None
        self.assertEqual(found.verdict.objection.rule, "signed")
        self.assertIn("unauthenticated", next(each for each in found.rules if each.rule == "signed").said[0])
        preflight = request("OPTIONS /me", "Origin: a", "Access-Control-Request-Method: PUT")
        said = next(each for each in self.explained(preflight).rules if each.rule == "signed").said
        self.assertEqual(said, ("authenticate: a CORS preflight is let past",))

    def test_odd_path(self) -> None:
        """What is odd in a path is named."""
        self.assertEqual(self.explained(request("GET /a//..")).odd, ("dot_segments", "empty_segments"))

    def test_no_rules(self) -> None:
        """Without a policy everything is allowed."""
        found = explain(compiled("{}"), request(), 0.0, 0.0)
        self.assertEqual((found.rules, found.verdict.action.value), ((), "allow"))
