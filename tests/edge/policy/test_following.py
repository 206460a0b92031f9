"""Tests for `warp_twisted.edge.policy.following`; `tests.system.edge.test_policy` has visitors see what it does."""

from pathlib import Path

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.mmdb import database
from tests.edge.policy.test_databases import SAMPLE
from tests.policy.judging.samples import request
from warp_twisted.edge.policy.following import LOOK_SECONDS, PolicyFollower, check_policy
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.errors import InvalidSettings
from warp_twisted.policy.verdict import Action


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

    def test_a_database_that_is_replaced(self) -> None:
        """A new database is in force at the next look; one that is no database leaves the last good one in force."""
        directory = Path(self.mktemp())
        directory.mkdir()
        file = directory / "c.mmdb"
        self.file.write_text(
            "databases: {country: c.mmdb}\nrules: [{name: r, sources: {allow: [{country: [DE]}]}}]",
        )
        file.write_bytes(SAMPLE)
        self.follower.begin(str(self.file), str(directory))
        self.follower.start()
        self.addCleanup(self.follower.stop)
        actions = []
        for content in (SAMPLE, database({"198.51.100.0/24": {"country": {"iso_code": "DE"}}}, 6), b"half of one"):
            file.write_bytes(content)
            self.clock.advance(LOOK_SECONDS)
            program = self.policy.program_for("a.example", "a.example")
            assert program is not None
            actions.append([program.judge(request(address=a), 0.0, 0.0).action for a in ("192.0.2.1", "198.51.100.1")])
        allow, deny = Action.ALLOW, Action.DENY
        self.assertEqual(actions, [[allow, deny], [deny, allow], [deny, allow]])
