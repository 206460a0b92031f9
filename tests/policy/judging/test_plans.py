"""Tests of `policy.judging.plans`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleCheck, compiled, judged, request
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.interfaces import Answer, Question
from warp_twisted.policy.judging import known_paths, program
from warp_twisted.policy.judging.plans import plan_of
from warp_twisted.policy.verdict import ALLOWED, Action

_PROOF = "authenticate: {any_of: [{basic: {users_file: u}}]}"
_POLICY = f"""
rules:
- {{name: far, sources: {{deny: [203.0.113.0/24], allow: [192.0.2.0/24, 203.0.113.0/24]}}}}
- {{name: secure, https: redirect}}
- {{name: api, routes: ["GET /a/*", "POST /b"], limits: [{{name: x, rate: 1/s, burst: 7}}]}}
- {{name: known, {_PROOF}}}
"""
_REQUESTS = [
    request(line, f"Authorization: basic {name}", address=address, scheme=scheme)
    for line in ("GET /a/x", "PUT /a/x", "POST /b")
    for name in ("ann", "bad", "busy", "slow", "bug")
    for address in ("192.0.2.1", "203.0.113.1", "198.51.100.1")
    for scheme in ("https", "http")
]


class PlanTests(SynchronousTestCase):
    """Requests that a plan judges."""

    def test_like_the_whole_course(self) -> None:
        """Whatever is asked, a plan says what the course says, counts as it does, and asks each check once."""
        asked: list[object] = []
        look = SampleCheck.look

        def count(check: SampleCheck, facts: Facts, now: float, wall: float) -> Answer | Question:
            asked.append(facts.target)
            return look(check, facts, now, wall)

        self.patch(SampleCheck, "look", count)
        counts: list[int] = []
        said: list[list[tuple[object, ...]]] = []
        for is_planned in (True, False):
            if not is_planned:
                self.patch(known_paths, "plan_of", lambda rules: None)
                self.patch(program, "plan_of", lambda rules: None)
            policy = compiled(_POLICY)
            found = [judged(policy, each) for each in _REQUESTS]
            said.append(
                [
                    (each.action, each.objection, each.questions, each.identities, *map(str, each.errors))
                    for each in found
                ]
            )
            counts.append(len(asked))
            asked.clear()
        self.assertEqual(*said)
        self.assertEqual({each[0] for each in said[0]}, {*Action})
        self.assertEqual(*counts)

    def test_what_passes(self) -> None:
        """A request passes at once unless something is to be done about it besides."""
        for rules, passes in (
            ("{name: r, sources: {deny: [203.0.113.0/24]}}", True),
            ("{name: r, authenticate: {any_of: [{basic: {users_file: u}}], assertion: false}}", True),
            (f"{{name: r, {_PROOF}}}", False),
            (f"{{name: r, {_PROOF[:-1]}, assertion: false, withhold_credential: true}}}}", False),
            ("{name: r, request: {set: {X-A: b}}}", False),
            ("{name: r, log_only: true, deny: true}", False),
        ):
            verdict = judged(compiled(f"rules: [{rules}]"), request("GET /", "Authorization: basic ann"))
            self.assertEqual((verdict.action, verdict.passes), (Action.ALLOW, passes), rules)
        self.assertTrue(ALLOWED.passes)

    def test_what_has_none(self) -> None:
        """Conditions, two proofs, and what is done at the end of a judgement need the whole course."""
        for rules, expected in (
            ("{name: r, deny: true}", True),
            (f"{{name: r, {_PROOF}}}", True),
            ("{name: r, match: {method: GET}, deny: true}", False),
            ("{name: r, except: [{path: /a}], deny: true}", False),
            ("{name: r, log_only: true, deny: true}", False),
            ("{name: r, limits: [{name: x, of: concurrent_requests, most: 1}]}", False),
            (f"{{name: r, {_PROOF}}}, {{name: s, {_PROOF}}}", False),
            ("{name: r, authenticate: {any_of: [{basic: {users_file: u}}], cors_preflight: true}}", False),
        ):
            found = compiled(f"rules: [{rules}]").program_for("app.warp.example")
            assert found is not None
            self.assertEqual(plan_of(found.rules) is not None, expected, rules)
