"""Tests for `warp_twisted.cli.operate.secret_file`; those of `token` and `service-token` see it at work."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.errors import FileTaken
from warp_twisted.cli.operate.secret_file import secret_file


class SecretFileTests(SynchronousTestCase):
    """`secret_file`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_kept(self) -> None:
        """The file is there before the secret, for its owner alone, and then holds it."""
        with secret_file(self.path) as keep:
            self.assertEqual((self.path.read_text(), oct(self.path.stat().st_mode & 0o777)), ("", "0o600"))
            keep("secret\n")
        self.assertEqual(self.path.read_text(), "secret\n")

    def test_none_is_made(self) -> None:
        """What fails leaves no file."""
        with self.assertRaises(ZeroDivisionError), secret_file(self.path):
            raise ZeroDivisionError
        self.assertFalse(self.path.exists())

    def test_taken(self) -> None:
        """A file that is there stays as it is, and nothing is begun."""
        self.path.write_text("other")
        with self.assertRaisesRegex(FileTaken, "exists already"), secret_file(self.path):
            self.fail("it was begun")
        self.assertEqual(self.path.read_text(), "other")

    def test_no_file(self) -> None:
        """Without a path there is none."""
        with secret_file(None) as keep:
            keep("secret")
        self.assertFalse(self.path.exists())
