"""Tests for `warp_twisted.edge.policy.following`; `tests.system.edge.test_policy` has visitors see what it does."""

from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.following import LOOK_SECONDS, PolicyFollower, check_policy
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.errors import InvalidSettings


class PolicyFollowerTests(SynchronousTestCase):
    """`PolicyFollower`."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text("rules: [{name: first, deny: true}]")
        self.clock = Clock()
        self.policy = PolicyInForce()
        self.follower = PolicyFollower(self.policy, self.clock, execute)

    def rules(self) -> list[str]:
        """Return the names of the rules in force."""
        return [rule.name for rule in self.policy.loaded.compiled.rules] if self.policy.loaded is not None else []

    def test_changes_are_seen(self) -> None:
        """A change is in force at the next look, one that is wrong changes nothing, and its correction is seen."""
        self.follower.begin(str(self.file), "/nowhere")
        self.follower.start()
        self.addCleanup(self.follower.stop)
        for text, rules in (
            ("rules: [{name: second, deny: true}]", ["second"]),
            ("rules: [{name: third, denie: true}]", ["second"]),
            ("rules: [{name: third, deny: true}]", ["third"]),
        ):
            self.file.write_text(text)
            self.clock.advance(LOOK_SECONDS)
            self.assertEqual(self.rules(), rules)
        self.file.unlink()
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.rules(), ["third"])

    def test_a_reload_that_is_refused(self) -> None:
        """The policy, and the file that is followed, stay."""
        self.follower.begin(str(self.file), "/nowhere")
        other = Path(self.mktemp())
        other.write_text("nonsense: 1")
        reloaded = Deferred.fromCoroutine(self.follower.reload(str(other), "/nowhere"))
        self.assertIn(f"policy: {other}: ", str(self.failureResultOf(reloaded, InvalidSettings).value))
        self.file.write_text("rules: [{name: second, deny: true}]")
        self.successResultOf(Deferred.fromCoroutine(self.follower.look()))
        self.assertEqual(self.rules(), ["second"])
        self.successResultOf(Deferred.fromCoroutine(self.follower.reload(None, "/nowhere")))
        self.assertEqual(self.rules(), [])

    def test_an_edge_does_not_begin_without_its_policy(self) -> None:
        """A policy that cannot be used stops the start, with the file's name and the key."""
        self.file.write_text("rules: [{name: x, denie: true}]")
        with self.assertRaisesRegex(InvalidSettings, r"^policy: .*rules\[0\].*denie"):
            self.follower.begin(str(self.file), "/nowhere")
        with self.assertRaisesRegex(InvalidSettings, r"^policy: .*rules\[0\].*denie"):
            check_policy(str(self.file), "/nowhere")
