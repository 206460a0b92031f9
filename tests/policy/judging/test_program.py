"""Tests of `policy.judging.program`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import SampleParts, compiled, judged, proven, request, said
from warp_twisted.policy.interfaces import Answer, Outcome
from warp_twisted.policy.judging.course import give_back
from warp_twisted.policy.judging.program import Program
from warp_twisted.policy.verdict import ALLOWED, Action, Verdict

_BASIC = "authenticate: {any_of: [{basic: {users_file: u}}]}"


def would(verdict: Verdict) -> list[str]:
    """Return what rules that only log have against a request."""
    return [f"{each.rule}: {each.reason.slug}" for each in verdict.would]


class LogOnlyTests(SynchronousTestCase):
    """Rules with `log_only`."""

    def test_it_only_says(self) -> None:
        """It says what it would have done, and changes nothing."""
        policy = """
rules:
- {name: a, log_only: true, deny: true, request: {set: {X-A: "1"}}}
- {name: b, log_only: true, https: redirect}
- {name: c, match: {path: /c}, log_only: true, sources: {allow: [198.51.100.0/24]}}
- {name: d, request: {set: {X-D: "1"}}}
"""
        verdict = judged(policy, request("GET /c", scheme="http"))
        self.assertEqual((verdict.action, len(verdict.request)), (Action.ALLOW, 1))
        self.assertEqual(would(verdict), ["a: denied", "b: insecure", "c: source"])
        self.assertEqual(would(judged(policy, "GET /")), ["a: denied"])

    def test_a_denial_is_a_denial(self) -> None:
        """Another rule's denial stands; rules that only log are not asked then."""
        policy = "rules: [{name: a, log_only: true, deny: true}, {name: b, deny: true}]"
        verdict = judged(policy, "GET /")
        self.assertEqual((verdict.action, would(verdict)), (Action.DENY, []))

    def test_limits_count(self) -> None:
        """A limit that only logs counts as it would."""
        policy = compiled("rules: [{name: a, log_only: true, limits: [{name: x, rate: 1/s}]}]")
        self.assertEqual([would(judged(policy, "GET /")) for _ in range(2)], [[], ["a: limit"]])

    def test_what_is_concurrent(self) -> None:
        """A limit of concurrent requests that only logs is held as it would be; one of bytes slows nothing."""
        limits = "[{name: x, of: concurrent_requests, most: 1}, {name: y, of: bytes, rate: 1B/s}]"
        policy = compiled(f"rules: [{{name: a, log_only: true, limits: {limits}}}]")
        first = judged(policy, "GET /")
        self.assertEqual(([each.limit.name for each in first.held], would(first)), (["x"], []))
        self.assertEqual(would(judged(policy, "GET /")), ["a: limit"])
        give_back(first.held)
        self.assertEqual(would(judged(policy, "GET /")), [])

    def test_odd_paths(self) -> None:
        """An odd path that it would refuse passes."""
        policy = "rules: [{name: a, match: {path: /a}, log_only: true, deny: true}]"
        self.assertEqual(would(judged(policy, "GET /b//c")), ["a: odd-path"])

    def test_questions(self) -> None:
        """It holds up no request: what it asks is answered aside, and what it says then is all that comes of that."""
        parts = SampleParts()
        policy = compiled(
            "rules: [{name: a, log_only: true, limits: [{name: x, rate: 1/s}]},"
            f" {{name: b, log_only: true, {_BASIC}, limits: [{{name: w, of: concurrent_requests, most: 5}}]}},"
            " {name: c, limits: [{name: y, of: concurrent_requests, most: 5}, {name: z, rate: 5/s, key: identity}]}]",
            parts,
        )
        facts = request("GET /", "Authorization: basic slow")
        judged(policy, request())
        verdict = judged(policy, facts)
        self.assertEqual((verdict.action, would(verdict), verdict.identities), (Action.ALLOW, ["a: limit"], ()))
        self.assertEqual((len(verdict.aside), verdict.unsaid), (1, ("b",)))
        self.assertEqual([each.limit.name for each in verdict.held], ["y"])
        program = policy.program_for(facts.hostname)
        assert program is not None
        for answer, expected in ((proven("basic", "slow"), []), (Answer(Outcome.REFUSED), ["b: credential"])):
            said = program.judge_aside(facts, 0.0, 0.0, dict.fromkeys(verdict.aside, answer), verdict)
            self.assertEqual((said.action, would(said), said.held), (Action.ALLOW, expected, ()))
        taken = {name: sum(limiter.taken.values()) for name, limiter in parts.limiters.items()}
        self.assertEqual(taken, {"a.x": 1, "b.w": 0, "c.y": 2, "c.z": 2})

    def test_questions_beside_those_of_rules_in_force(self) -> None:
        """Only what rules in force ask is waited for; an answer that is there counts for both."""
        other = _BASIC.replace("users_file: u", "users_file: v")
        policy = compiled(f"rules: [{{name: a, log_only: true, {other}}}, {{name: b, {_BASIC}}}]")
        facts = request("GET /", "Authorization: basic slow")
        asked = judged(policy, facts)
        self.assertEqual((asked.action, len(asked.questions), asked.aside), (Action.ASK, 1, ()))
        answers = {question: proven("basic", "slow") for question in asked.questions}
        verdict = judged(policy, facts, answers=answers, asked=asked)
        self.assertEqual((verdict.action, len(verdict.aside), verdict.unsaid), (Action.ALLOW, 1, ("a",)))
        self.assertNotEqual(verdict.aside, asked.questions)

    def test_errors(self) -> None:
        """What fails in it is told, and denies nothing."""
        policy = f"rules: [{{name: a, log_only: true, {_BASIC}}}]"
        verdict = judged(policy, request("GET /", "Authorization: basic bug"))
        self.assertEqual((verdict.action, would(verdict), len(verdict.errors)), (Action.ALLOW, ["a: check-failed"], 1))


class Broken:
    """A set of addresses that fails."""

    def __contains__(self, address: str, /) -> bool:
        raise OSError("gone")


class BrokenParts(SampleParts):
    """Makes sets that fail."""

    def source_set(self, entries: object, where: str) -> Broken:  # type: ignore[override]  # it is to fail
        """Make a set."""
        return Broken()


class DenySafeTests(SynchronousTestCase):
    """What fails denies."""

    def test_a_set_that_fails(self) -> None:
        """An error anywhere in a rule denies, and is carried along."""
        for text in (
            "match: {source: 192.0.2.1}",
            "sources: {deny: [192.0.2.1]}",
            "except: [{source: 192.0.2.1}], deny: true",
        ):
            verdict = judged(compiled(f"rules: [{{name: r, {text}}}]", BrokenParts()), "GET /")
            assert verdict.objection is not None
            self.assertEqual((verdict.action, verdict.objection.reason.slug), (Action.DENY, "check-failed"))
            self.assertEqual([type(error) for error in verdict.errors], [OSError])

    def test_an_address_that_is_none(self) -> None:
        """A visitor without an IP address, as on a Unix socket, is denied where sources decide."""
        verdict = judged("rules: [{name: r, sources: {deny: [192.0.2.1]}}]", request(address="unix"))
        self.assertIs(verdict.action, Action.DENY)

    def test_a_logged_rule_that_fails(self) -> None:
        """A rule that only logs denies nothing by failing."""
        verdict = judged(
            compiled("rules: [{name: r, log_only: true, sources: {deny: [192.0.2.1]}}]", BrokenParts()), "GET /"
        )
        self.assertEqual((verdict.action, would(verdict), len(verdict.errors)), (Action.ALLOW, ["r: check-failed"], 1))


class MatchingTests(SynchronousTestCase):
    """Which rules are about a request."""

    def test_many_rules(self) -> None:
        """Of many rules by path those that match are found, in the order in which they stand."""
        rules = "".join(f"- {{name: r{n}, match: {{path: [/a{n}/*, /x]}}, deny: true}}\n" for n in range(200))
        policy = compiled(f"rules:\n{rules}")
        self.assertEqual(said(policy, "GET /a77/b"), "r77: denied")
        self.assertEqual(said(policy, "GET /x"), "r0: denied")
        self.assertEqual(said(policy, "GET /b"), "allow")

    def test_nothing_to_say(self) -> None:
        """Where no rule matches, or none has anything to add, the verdict is the same object: nothing is made."""
        policy = compiled("rules: [{name: r, match: {path: /a}, sources: {deny: [192.0.2.9]}}]")
        self.assertIs(judged(policy, "GET /b"), ALLOWED)
        self.assertIs(judged(policy, "GET /a"), ALLOWED)


class BehindTests(SynchronousTestCase):
    """Rules behind a program."""

    def test_paths_cannot_be_behind(self) -> None:
        """A rule that only the tree could find would never be asked: it is refused."""
        policy = compiled("rules: [{name: a, match: {path: /a}, deny: true}]")
        first = policy.program_for("a.example")
        self.assertRaises(ValueError, Program, policy.rules, behind=first)
