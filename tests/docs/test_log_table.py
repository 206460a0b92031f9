"""Tests that the table of docs/log.md explains each warning and error, and nothing that is not logged."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.logged import explained, logged

ROOT = Path(__file__).resolve().parents[2]


class LogTableTests(SynchronousTestCase):
    """The table and the code say the same."""

    def test_each_warning_is_explained(self) -> None:
        """What warp_twisted and warp_base log as a warning or worse has a line; warp_dns has a table of its own."""
        paths = [path for package in ("warp_twisted", "dns/warp_base") for path in (ROOT / package).rglob("*.py")]
        found = {message for path in paths for message in logged(path.read_text())}
        table = explained((ROOT / "docs" / "log.md").read_text(), "Edge and agent")
        self.assertEqual(sorted(found - table), [], "not explained")
        self.assertEqual(sorted(table - found), [], "not logged any more")


class LoggedTests(SynchronousTestCase):
    """Finding messages."""

    def test_warnings_and_worse(self) -> None:
        """Joined literals count as one; information, failures and other objects' methods do not count."""
        source = """
self._log.warn("a {b} " "c", b=1)
_log.error("d")
self._log.info("e")
self._log.failure("f")
warnings.warn("g")
"""
        self.assertEqual(list(logged(source)), ["a {b} c", "d"])
