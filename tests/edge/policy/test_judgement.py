"""Tests for `warp_twisted.edge.policy.judgement`."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.policy.test_in_force import loaded
from tests.policy.authentication.requests import NOW, WALL, request
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.judgement import REFUSALS, Judgement, refusal_lines
from warp_twisted.policy.document.limits import Limit
from warp_twisted.policy.verdict import INSECURE, REASONS, TOO_MANY, UNPROVEN, Objection


class JudgementTests(SynchronousTestCase):
    """`Judgement`."""

    def use(self, text: str) -> None:
        """Put a policy in force."""
        self.policy = PolicyInForce()
        self.policy.use(loaded(self, text))

    def judge(self) -> Judgement:
        """Judge a GET."""
        program = self.policy.program_for("app.example", "app.example")
        assert program is not None
        return Judgement(self.policy, program, request(), NOW, WALL)

    def test_what_was_taken_is_given_back(self) -> None:
        """What is concurrent is free again at the end."""
        self.use("rules: [{name: r, limits: [{name: one, of: concurrent_requests, most: 1}]}]")
        first = self.judge()
        self.assertIsNone(first.objection)
        self.assertIsNotNone(self.judge().objection)
        first.end()
        self.assertIsNone(self.judge().objection)

    def test_log_only(self) -> None:
        """A rule that only logs objects to nothing, and its word is in the verdict."""
        self.use("rules: [{name: r, deny: true, log_only: true}]")
        judgement = self.judge()
        self.assertIsNone(judgement.objection)
        self.assertEqual([each.rule for each in judgement.verdict.would], ["r"])


class RefusalLinesTests(SynchronousTestCase):
    """`refusal_lines` and `REFUSALS`."""

    def test_lines(self) -> None:
        """Challenges, where https is, and what is left of a limit."""
        objection = Objection("r", UNPROVEN, challenges=(b'Basic realm="Warp"', b"Bearer"))
        self.assertEqual(
            refusal_lines(objection, b"/", b"app.example"),
            b'WWW-Authenticate: Basic realm="Warp"\r\nWWW-Authenticate: Bearer\r\n',
        )
        self.assertEqual(
            refusal_lines(Objection("r", INSECURE), b"/a?b", b"app.example:80"),
            b"Location: https://app.example/a?b\r\n",
        )
        self.assertEqual(
            refusal_lines(Objection("r", INSECURE, "https"), b"*", b"app.example"),
            b"Location: https://app.example/\r\n",
        )
        objection = Objection("r", TOO_MANY, limit=Limit(name="slow", rate="6/m", burst=3), wait=9.5)
        self.assertEqual(
            refusal_lines(objection, b"/", b"app.example"),
            b'RateLimit-Policy: "slow";q=3;w=30\r\nRateLimit: "slow";r=0;t=10\r\n',
        )

    def test_every_reason_has_a_page(self) -> None:
        """No reason of a verdict is without a refusal, and none shares its slug with another."""
        self.assertEqual(set(REFUSALS), set(REASONS))
        self.assertEqual(len({refusal.slug for refusal in REFUSALS.values()}), len(REASONS))
