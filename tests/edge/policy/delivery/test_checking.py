"""Tests of `warp_twisted.edge.policy.delivery.checking`."""

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.delivery.checking import check_fleet_policy, check_policy
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.policy_versions import PolicyVersions
from warp_twisted.registry.sqlite import SqliteStore
from warp_twisted.registry.sqlite_file import FILE


class CheckingTests(SynchronousTestCase):
    """Before an edge starts."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.file = self.directory / FILE
        self.count = 0

    def put(self, text: str) -> None:
        """Put a policy in force in a registry that is in use meanwhile, and look at it as it is and afterwards."""
        store = SqliteStore(self.directory, Clock())
        self.addCleanup(lambda: self.successResultOf(store.close()))
        added = PolicyVersions(store).add(text.encode(), [], replaces=self.count, applied_at=0.0)
        self.successResultOf(Deferred.fromCoroutine(added))
        self.successResultOf(store.close())
        self.count += 1

    def refusal(self) -> str:
        """Return why an edge that starts could not use the policy."""
        return str(self.assertRaises(InvalidSettings, check_fleet_policy, self.file, str(self.directory)))

    def test_file(self) -> None:
        """A file is named with its key."""
        self.directory.mkdir()
        file = self.directory / "policy.yaml"
        file.write_text("rules: [{name: x, deny: true}]")
        check_policy(str(file), "/nowhere")
        file.write_text("rules: [{name: x, denie: true}]")
        with self.assertRaisesRegex(InvalidSettings, r"^policy: .*rules\[0\].*denie"):
            check_policy(str(file), "/nowhere")

    def test_fleet_policy(self) -> None:
        """What cannot be used is named with version and key path; a registry without a policy, or none, is good."""
        check_fleet_policy(self.file, str(self.directory))
        store = SqliteStore(self.directory, Clock())
        check_fleet_policy(self.file, str(self.directory))
        self.successResultOf(store.close())
        self.put("rules: [{name: x, sources: {deny: [{file: list}]}}]")
        self.assertRegex(
            self.refusal(),
            r"^policy_files: version 1 of the policy: rules\[0\]\.sources\.deny\[0\]\.file: .*list: No such",
        )
        (self.directory / "list").write_text("192.0.2.1")
        check_fleet_policy(self.file, str(self.directory))
        self.put("version: 9")
        self.assertIn("version 2 of the policy: version: 9 is newer than 1", self.refusal())

    def test_damage(self) -> None:
        """A text that is not there, and a file that is no registry, are told."""
        self.put("rules: []")
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("DELETE FROM item WHERE key LIKE 'warp-policy/%'")
        self.assertIn("the text of the policy's version 1 is not there as it was applied", self.refusal())
        self.file.write_bytes(b"x" * 9999)
        self.assertIn(f"state: {self.file}: ", self.refusal())
