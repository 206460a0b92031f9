"""Tests of the way from Ansible's modules to an edge, with a socket that answers what a test says."""

import shutil
import socket
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.roles.tree import ROOT, load

_ADMIN = load(ROOT / "roles/warp_common/module_utils/warp_admin.py")


class AdminTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="warp-test-")  # short: a socket's path has 108 bytes at most
        self.addCleanup(shutil.rmtree, directory)
        self.path = str(Path(directory, "admin.sock"))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()
        self.asked = b""

    def call(self, answer: bytes, *target: str, body: object = None) -> object:
        """Call while a thread answers, and return what the caller gets."""

        def serve() -> None:
            connection, _ = self.listener.accept()
            with connection:
                self.asked = connection.recv(65536)
                if body is not None and b"{" not in self.asked:
                    self.asked += connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            found: object = _ADMIN.Admin(self.path).call("DELETE", *target, body=body)
            return found
        finally:
            thread.join()

    def check_refused(self, answer: bytes, said: str) -> None:
        """Assert that an answer ends in an error with a sentence."""
        error = self.assertRaises(_ADMIN.AdminError, self.call, answer, "v1")
        self.assertRegex(str(error), said)

    def test_calls(self) -> None:
        """Segments are quoted, the body is JSON, and so is the answer."""
        found = self.call(_http(200, b'{"a": [1]}'), "v1", "agents", "a/../b?", body={"reason": "lost"})
        self.assertEqual(found, {"a": [1]})
        self.assertTrue(self.asked.startswith(b"DELETE /v1/agents/a%2F..%2Fb%3F HTTP/1.1\r\n"))
        self.assertTrue(self.asked.endswith(b'\r\n\r\n{"reason": "lost"}'))

    def test_refusals(self) -> None:
        """The edge's reason is passed on; without one, its status is."""
        self.check_refused(_http(404, b'{"error": "no such agent"}'), "^no such agent$")
        self.check_refused(_http(409, b'["error"]'), "^the edge answered 409 X$")
        self.check_refused(_http(500, b""), "^the edge answered 500 X$")

    def test_other_programs(self) -> None:
        """What is no HTTP or no JSON, or ends too soon, is no edge's answer."""
        for answer in (_http(200, b"<html>"), _http(200, b'{"a": 1}')[:-1], _http(204, b""), b"HTTP/1.1 200"):
            self.check_refused(answer, "the answer is no JSON; is this an edge's admin socket")
        for answer in (b"", b"\xff\n"):
            self.check_refused(answer, f"^no edge answers at {self.path}: ")

    def test_limits(self) -> None:
        """An answer that is too long is refused, and silence has an end."""
        self.patch(_ADMIN, "MAX_ANSWER_BYTES", 7)
        self.assertEqual(self.call(_http(200, b'{"a":1}'), "v1"), {"a": 1})
        self.check_refused(_http(200, b'{"a":10}'), "the answer is longer than 7 bytes$")
        self.patch(_ADMIN, "TIMEOUT_SECONDS", 0.05)
        error = self.assertRaises(_ADMIN.AdminError, _ADMIN.Admin(self.path).call, "GET", "v1")
        self.assertIn("timed out", str(error))

    def test_nobody_there(self) -> None:
        """A socket that nobody listens on is named."""
        self.listener.close()
        error = self.assertRaises(_ADMIN.AdminError, _ADMIN.Admin(self.path).call, "GET", "v1")
        self.assertRegex(str(error), f"^no edge answers at {self.path}: ")


def _http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)
