"""Tests for `warp_twisted.edge.policy.loading`."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.loading import Refused, load
from warp_twisted.policy.authentication.service_token import SECRETS
from warp_twisted.policy.bans import BanRule

TEXT = "rules: [{name: r, sources: {deny: [{file: list}]}, limits: [{name: l, rate: 1/s}]}]"


class LoadTests(SynchronousTestCase):
    """`load` and `Watched`."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.directory / "policy.yaml"
        self.list = self.directory / "list"
        self.file.write_text(TEXT)
        self.list.write_text("192.0.2.0/24")

    def test_watched(self) -> None:
        """The policy and each file that it names are watched: changed, replaced or removed is noticed."""
        loaded, watched = load(str(self.file), str(self.directory), {})
        self.assertEqual([rule.name for rule in loaded.compiled.rules], ["r"])
        self.assertFalse(watched.have_changed())
        self.list.write_text("192.0.2.0/25 ")
        self.assertTrue(watched.have_changed())
        _, watched = load(str(self.file), str(self.directory), {})
        replacement = self.directory / "new"
        replacement.write_text(TEXT)
        replacement.rename(self.file)
        self.assertTrue(watched.have_changed())
        _, watched = load(str(self.file), str(self.directory), {})
        self.list.unlink()
        self.assertTrue(watched.have_changed())

    def test_refused(self) -> None:
        """A file that is missing, or wrong, is named and watched, so that it is read once it is there."""
        self.list.unlink()
        with self.assertRaisesRegex(
            Refused, r"policy.yaml: rules\[0\].sources.deny\[0\].file: .*list: No such"
        ) as caught:
            load(str(self.file), str(self.directory), {})
        self.assertFalse(caught.exception.watched.have_changed())
        self.list.write_text("192.0.2.0/24")
        self.assertTrue(caught.exception.watched.have_changed())
        self.file.unlink()
        with self.assertRaisesRegex(Refused, "policy.yaml: No such file") as caught:
            load(str(self.file), str(self.directory), {})
        self.file.write_text("x" * 600_000)
        self.assertTrue(caught.exception.watched.have_changed())
        with self.assertRaisesRegex(Refused, "larger than 512 KiB"):
            load(str(self.file), str(self.directory), {})

    def test_what_is_taken_out(self) -> None:
        """Fields that a rule removes or sets, and the secrets of service tokens where a rule reads them."""
        for text, expected in (
            ("rules: []", set()),
            ("rules: [{name: r, request: {remove: [X_A], set: {X-B: b}, add: {X-C: c}}}]", {b"x-a", b"x-b"}),
            ("rules: [{name: r, log_only: true, request: {remove: [X-A]}}]", set()),
            ("rules: [{name: r, authenticate: {any_of: [{service_token: {}}]}}]", set(SECRETS)),
        ):
            self.file.write_text(text)
            self.assertEqual(load(str(self.file), str(self.directory), {})[0].taken_out, expected, text)

    def test_a_ban(self) -> None:
        """The rule of bans is read, and who is never banned: loopback always, and files are watched."""
        self.file.write_text(
            "defaults: {ban: {refusals: 20, within: 10s, for: 10m, never: [198.51.100.0/24, {file: list}]}}"
        )
        loaded, watched = load(str(self.file), str(self.directory), {})
        self.assertEqual(loaded.ban, BanRule(refusals=20, within=10.0, seconds=600.0))
        for address in ("127.0.0.1", "::1", "198.51.100.7", "192.0.2.7"):
            self.assertIn(address, loaded.never)
        self.assertNotIn("203.0.113.9", loaded.never)
        self.list.write_text("203.0.113.0/25 # more")
        self.assertTrue(watched.have_changed())
        self.file.write_text("rules: []")
        self.assertIsNone(load(str(self.file), str(self.directory), {})[0].ban)
