"""Tests of `benchmarks.policy`."""

from time import time

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.policy import HOSTNAMES, RULES, certificate_policy, limited, measured, sample_policy
from warp_twisted.policy.facts import Facts
from warp_twisted.policy.verdict import Action
from warp_twisted.policy.visitor import Visitor


class PolicyTests(SynchronousTestCase):
    """What is measured."""

    def test_sample(self) -> None:
        """The rules are spread over the hostnames, and others have no program."""
        policy = sample_policy(HOSTNAMES)
        program = policy.program_for("app-0.warp.example")
        assert program is not None
        self.assertEqual((len(policy.rules), len(program.rules)), (RULES, RULES // HOSTNAMES))
        self.assertIsNone(policy.program_for("other.warp.example"))

    def test_certificate(self) -> None:
        """The certificate that is measured is one that the rule takes."""
        policy, certificate = certificate_policy()
        program = policy.program_for("app.example")
        assert program is not None
        facts = Facts("app.example", b"GET", b"/", "https", Visitor("192.0.2.1", "192.0.2.1"), chain=(certificate,))
        self.assertIs(program.judge(facts, 1.0, time()).action, Action.ALLOW)

    def test_measured(self) -> None:
        """Each case takes time, and without rules next to none."""
        found = dict(measured(times=200))
        self.assertEqual(len(found), 5)
        self.assertTrue(all(value > 0 for value in found.values()), found)
        self.assertEqual(min(found, key=lambda name: found[name]), "a hostname without rules")

    def test_limited(self) -> None:
        """Visitors who have paid are forgotten, those who owe are not; both take memory that is told."""
        alone, paid, owing = (text for _, text in limited(3_000))
        self.assertGreater(float(alone), 0)
        self.assertRegex(owing, r"^[0-9.]+; 3,000 known, 0\.[0-9] MB$")
        known = int(paid.split("; ")[1].split(" ")[0].replace(",", ""))
        self.assertLess(known, 3_000)
