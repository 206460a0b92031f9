"""Tests of `policy.judging.course`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleParts, compiled, judged, proven, request, said
from warp_twisted.policy.changes import changed
from warp_twisted.policy.judging.course import give_back
from warp_twisted.policy.verdict import Action


class OrderTests(SynchronousTestCase):
    """Which objection decides."""

    def test_defaults_then_rules(self) -> None:
        """Every rule that matches applies, any objection denies, and the first one is named."""
        policy = """
defaults: {sources: {deny: [192.0.2.1]}}
rules:
- {name: one, match: {path: /a/*}, sources: {deny: [192.0.2.0/24]}}
- {name: two, match: {path: /a/b}, deny: true}
"""
        other = "198.51.100.1"
        for facts, expected in (
            (request("GET /a/b"), "defaults: source"),
            (request("GET /a/b", address="192.0.2.2"), "one: source"),
            (request("GET /a/b", address=other), "two: denied"),
            (request("GET /a/c", address=other), "allow"),
        ):
            self.assertEqual(said(policy, facts), expected)

    def test_what_is_cheap_comes_first(self) -> None:
        """A later rule's denial by address comes before an earlier one's redirect, limit, or challenge."""
        policy = """
rules:
- {name: early, https: redirect, limits: [{name: a, rate: 1/s}], authenticate: {any_of: [{basic: {users_file: u}}]}}
- {name: late, sources: {deny: [192.0.2.1]}}
"""
        self.assertEqual(said(policy, request(scheme="http")), "late: source")
        parts = SampleParts()
        self.assertEqual(said(compiled(policy, parts), request(scheme="http", address="192.0.2.2")), "early: insecure")
        self.assertEqual(parts.limiters["early.a"].taken, {})

    def test_redirect(self) -> None:
        """http is sent to https; https is told to stay there."""
        policy = "rules: [{name: r, https: redirect}]"
        verdict = judged(policy, request(scheme="http"))
        assert verdict.objection is not None
        self.assertEqual((verdict.action, verdict.objection.reason.status), (Action.REDIRECT, 308))
        self.assertEqual(
            changed(b"", judged(policy, request()).response), b"Strict-Transport-Security: max-age=31536000\r\n"
        )
        longer = "rules: [{name: r, https: {hsts: 730d, include_subdomains: true, preload: true}}]"
        self.assertIn(b"max-age=63072000; includeSubDomains; preload", changed(b"", judged(longer, request()).response))


class CountTests(SynchronousTestCase):
    """Limits of requests."""

    def test_limit(self) -> None:
        """What is over the limit is refused, with the time to wait."""
        policy = compiled("rules: [{name: r, limits: [{name: a, rate: 1/s, burst: 2}]}]")
        self.assertEqual([said(policy, "GET /") for _ in range(3)], ["allow", "allow", "r: limit"])
        objection = judged(policy, "GET /").objection
        assert objection is not None
        assert objection.limit is not None
        self.assertEqual((objection.limit.name, objection.wait, objection.detail), ("a", 2.5, "limits: a"))
        self.assertEqual(said(policy, request(address="192.0.2.7")), "allow")

    def test_guesses_run_into_the_limit(self) -> None:
        """A limit comes before credentials are looked at, and is not counted twice where a question is asked."""
        parts = SampleParts()
        text = "rules: [{name: r, limits: [{name: a, rate: 2/s}], authenticate: {any_of: [{basic: {users_file: u}}]}}]"
        policy = compiled(text, parts)
        facts = request("GET /", "Authorization: basic slow")
        asked = judged(policy, facts)
        self.assertIs(asked.action, Action.ASK)
        answers = {question: proven("basic", "slow") for question in asked.questions}
        verdict = judged(policy, facts, answers=answers, asked=asked)
        self.assertEqual((verdict.action, [each.subject for each in verdict.identities]), (Action.ALLOW, ["slow"]))
        self.assertEqual([*parts.limiters["r.a"].taken.values()], [1.0])
        bad = request("GET /", "Authorization: basic bad")
        self.assertEqual([said(policy, bad) for _ in range(2)], ["r: credential", "r: limit"])

    def test_by_identity(self) -> None:
        """A limit by identity is counted after the proof, for each who is known."""
        limits = "limits: [{name: a, rate: 1/s, key: identity}]"
        policy = compiled(
            f"rules: [{{name: r, {limits}, authenticate: {{any_of: [{{jwt: {{jwks_file: k, issuer: i, "
            "audience: a}}]}}]"
        )
        alice, bob = request("GET /", "Authorization: jwt alice"), request("GET /", "Authorization: jwt bob")
        self.assertEqual([said(policy, each) for each in (alice, alice, bob)], ["allow", "r: limit", "allow"])
        self.assertEqual(said(policy, request()), "r: unauthenticated")

    def test_concurrent(self) -> None:
        """What is taken for a request is given back when it ends, or when a later limit refuses it."""
        parts = SampleParts()
        policy = compiled(
            "rules: [{name: r, limits: [{name: a, of: concurrent_requests, most: 2},"
            " {name: b, of: concurrent_requests, most: 1, key: hostname}, {name: c, of: bytes, rate: 1kB/s}]}]",
            parts,
        )
        first = judged(policy, "GET /")
        self.assertEqual([each.limit.name for each in first.held], ["a", "b", "c"])
        self.assertEqual(said(policy, "GET /"), "r: limit")
        self.assertEqual(sum(parts.limiters["r.a"].taken.values()), 1)
        give_back(first.held)
        self.assertEqual(sum(parts.limiters["r.a"].taken.values()) + sum(parts.limiters["r.b"].taken.values()), 0)
        self.assertEqual(said(policy, "GET /"), "allow")


class AllowedTests(SynchronousTestCase):
    """What a verdict that allows brings along."""

    def test_fields(self) -> None:
        """Changes of all rules that match, in order."""
        policy = """
rules:
- {name: a, request: {set: {X-A: "1"}}, response: {remove: [Server]}}
- {name: b, match: {path: /b}, request: {set: {X-A: "2"}, add: {X-B: "3"}}}
"""
        verdict = judged(policy, "GET /b")
        self.assertEqual(changed(b"x-a: 0\r\n", verdict.request), b"X-A: 2\r\nX-B: 3\r\n")
        self.assertEqual(changed(b"Server: x\r\n", verdict.response), b"")
        self.assertEqual(changed(b"", judged(policy, "GET /").request), b"X-A: 1\r\n")

    def test_identity(self) -> None:
        """Who is proven, whether the origin is told, and which fields it does not get."""
        policy = "rules: [{name: r, authenticate: {any_of: [{basic: {users_file: u}}], %s}}]"
        facts = request("GET /", "Authorization: basic alice")
        withheld = judged(policy % "withhold_credential: true, assertion: false", facts)
        self.assertEqual((withheld.withheld, withheld.asserted), ((b"authorization",), False))
        told = judged(policy % "withhold_credential: false", facts)
        self.assertEqual((told.withheld, told.asserted, told.identities[0].subject), ((), True, "alice"))

    def test_errors(self) -> None:
        """A check that fails denies, and the verdict carries its error."""
        policy = "rules: [{name: r, authenticate: {all_of: [{basic: {users_file: u}}]}}]"
        verdict = judged(policy, request("GET /", "Authorization: basic bug"))
        assert verdict.objection is not None
        self.assertEqual((verdict.action, verdict.objection.reason.slug), (Action.DENY, "check-failed"))
        self.assertEqual([type(error) for error in verdict.errors], [KeyError])
        busy = judged(policy, request("GET /", "Authorization: basic busy")).objection
        assert busy is not None
        self.assertEqual(busy.reason.status, 503)
