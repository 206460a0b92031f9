"""Tests for `warp_twisted.edge.policy.in_force`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy import in_force as module
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.loading import Loaded, load
from warp_twisted.policy.interfaces import Outcome, Question
from warp_twisted.policy.verdict import CHECK_FAILED, DENIED, Action, Objection, Verdict


def loaded(case: SynchronousTestCase, text: str) -> Loaded:
    """Load a policy."""
    file = Path(case.mktemp())
    file.write_text(text)
    return load(str(file), str(file.parent), {})[0]


class PolicyInForceTests(SynchronousTestCase):
    """`PolicyInForce`."""

    def test_programs(self) -> None:
        """Hostnames without rules have none; another policy has others; what is remembered is bounded."""
        self.patch(module, "MAX_HOSTNAMES", 2)
        policy = PolicyInForce()
        self.assertIsNone(policy.program_for("a.example"))
        policy.use(loaded(self, "rules: [{name: r, match: {hostname: a.example}, deny: true}]"))
        self.assertIsNotNone(policy.program_for("a.example"))
        self.assertIs(policy.program_for("a.example"), policy.program_for("a.example"))
        for number in range(10):
            self.assertIsNone(policy.program_for(f"b{number}.example"))
            self.assertLessEqual(len(policy._programs), 2)
        policy.use(None)
        self.assertIsNone(policy.program_for("a.example"))

    def test_labels(self) -> None:
        """Labels of tunnels are looked at only if a rule, or an exception, asks for them."""
        policy = PolicyInForce()
        for text, looks in (
            ("rules: [{name: r, deny: true}]", False),
            ("rules: [{name: r, match: {label: release=canary}, deny: true}]", True),
            ("rules: [{name: r, deny: true, except: [/x, {label: release=canary}]}]", True),
        ):
            policy.use(loaded(self, text))
            self.assertEqual(policy.looks_at_labels, looks, text)

    def test_counts(self) -> None:
        """Refusals are counted by rule and reason, and forgotten with the rule; a few errors are logged."""
        policy = PolicyInForce()
        policy.use(loaded(self, "rules: [{name: r, deny: true}]"))
        for _ in range(20):
            policy.count(Verdict(Action.DENY, Objection("r", CHECK_FAILED), errors=(RuntimeError("broken"),)))
        policy.count(Verdict(Action.ALLOW, would=(Objection("r", DENIED),)))
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in policy.collect()
            for sample in family.samples
        }
        self.assertEqual(samples["warp_edge_policy_refusals_total", "r", "check-failed"], 20)
        self.assertEqual(samples["warp_edge_policy_would_refuse_total", "r", "denied"], 1)
        policy.use(loaded(self, "rules: [{name: other, deny: true}]"))
        self.assertEqual([family.samples for family in policy.collect()][:2], [[], []])

    def test_nobody_answers(self) -> None:
        """A question of a policy that is no longer in force is answered with busy."""
        answer = self.successResultOf(PolicyInForce().answer(Question("basic", "gone", b""), "192.0.2.1"))
        self.assertEqual(answer.outcome, Outcome.BUSY)
