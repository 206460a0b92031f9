"""Tests of `benchmarks.policy`."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.policy import HOSTNAMES, RULES, measured, sample_policy


class PolicyTests(SynchronousTestCase):
    """What is measured."""

    def test_sample(self) -> None:
        """The rules are spread over the hostnames, and others have no program."""
        policy = sample_policy(HOSTNAMES)
        program = policy.program_for("app-0.warp.example")
        assert program is not None
        self.assertEqual((len(policy.rules), len(program.rules)), (RULES, RULES // HOSTNAMES))
        self.assertIsNone(policy.program_for("other.warp.example"))

    def test_measured(self) -> None:
        """Each case takes time, and without rules next to none."""
        found = dict(measured(times=200))
        self.assertEqual(len(found), 4)
        self.assertTrue(all(value > 0 for value in found.values()), found)
        self.assertEqual(min(found, key=lambda name: found[name]), "a hostname without rules")
