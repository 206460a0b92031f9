"""Tests of the path of the admin interface's socket."""

import os
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.operators.admin_socket import MAX_SOCKET_PATH, check_socket_path, prepare_socket_path
from warp_twisted.errors import InvalidSettings


class AdminSocketTests(SynchronousTestCase):
    """What may be at the path, and what is made of it."""

    def setUp(self) -> None:
        """Choose a path that is short enough."""
        directory = tempfile.TemporaryDirectory(prefix="warp-test-")
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "run" / "admin.sock"

    def refusal(self, path: Path | str) -> str:
        """Return why a path is refused, by the check and by the preparation alike."""
        reason = str(self.assertRaises(InvalidSettings, check_socket_path, str(path)))
        self.assertEqual(str(self.assertRaises(InvalidSettings, prepare_socket_path, str(path))), reason)
        self.assertTrue(reason.startswith("listen.admin: "), reason)
        return reason

    def test_nothing_there(self) -> None:
        """Where nothing is, the check writes nothing and the preparation makes the directory."""
        self.assertFalse(check_socket_path(str(self.path)))
        self.assertFalse(self.path.parent.exists())
        prepare_socket_path(str(self.path))
        self.assertEqual(list(self.path.parent.iterdir()), [])

    def test_left_behind(self) -> None:
        """A socket on which nobody answers is removed; one on which somebody does is not, and is named."""
        self.path.parent.mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(str(self.path))
            self.assertTrue(check_socket_path(str(self.path)))
            other.listen()
            error = self.assertRaises(InvalidSettings, prepare_socket_path, str(self.path))
            self.assertIn("another edge answers", str(error))
            self.assertTrue(self.path.is_socket())
        prepare_socket_path(str(self.path))
        self.assertFalse(self.path.exists())

    def test_something_else(self) -> None:
        """A file is never removed."""
        self.path.parent.mkdir()
        self.path.write_text("precious")
        self.assertIn("exists and is no socket", self.refusal(self.path))
        self.assertEqual(self.path.read_text(), "precious")

    def test_length(self) -> None:
        """A path that does not fit a socket's address is refused, in bytes."""
        longest = f"{tempfile.gettempdir()}/".ljust(MAX_SOCKET_PATH, "x")
        self.assertFalse(check_socket_path(longest))
        self.assertIn("too long", self.refusal(longest + "x"))
        self.assertIn("too long", self.refusal(longest[:-1] + "é"))

    def test_key(self) -> None:
        """What is wrong is said of the key whose socket it is."""
        self.path.parent.mkdir()
        self.path.write_text("precious")
        for refuse in (check_socket_path, prepare_socket_path):
            error = self.assertRaises(InvalidSettings, refuse, str(self.path), "listen.records")
            self.assertTrue(str(error).startswith("listen.records: "), str(error))

    def test_directory_that_cannot_be(self) -> None:
        """A directory that is a file is named."""
        self.path.parent.write_text("")
        self.assertRaises(InvalidSettings, check_socket_path, os.fspath(self.path))
        error = self.assertRaises(InvalidSettings, prepare_socket_path, os.fspath(self.path))
        self.assertIn(str(self.path.parent), str(error))
