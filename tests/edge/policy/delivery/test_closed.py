"""Tests of `warp_twisted.edge.policy.delivery.closed`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.delivery.closed import RULE, PolicyUnusable, closed_policy
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.verdict import Action
from warp_twisted.policy.visitor import Visitor


class ClosedPolicyTests(SynchronousTestCase):
    """`closed_policy`."""

    def test_nobody_is_let_through(self) -> None:
        """Whatever is asked for is answered 503, under a name that the access log shows; it bans nobody."""
        policy = PolicyInForce()
        policy.use(closed_policy())
        for hostname in ("app.example", "other.example"):
            program = policy.program_for(hostname, hostname)
            assert program is not None
            facts = Facts(hostname, b"GET", b"/", "https", Visitor("192.0.2.1", "192.0.2.1"))
            verdict = program.judge(facts, 0.0, 0.0)
            assert verdict.objection is not None
            self.assertIs(verdict.action, Action.DENY)
            self.assertEqual((verdict.objection.rule, verdict.objection.reason.status), (RULE, 503))
            self.assertIsInstance(verdict.errors[0], PolicyUnusable)
        self.assertIsNone(policy.banning.bans.rule)
