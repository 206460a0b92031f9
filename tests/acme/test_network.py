"""Tests for warp_twisted.acme.network."""

import requests
from acme import errors
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_directory import Answer
from tests.acme.fake_directory_server import FakeDirectoryServer, Fault
from warp_twisted.acme.network import MAX_ANSWER_BYTES, BoundedNetwork, Unusable, retry_seconds

DATE = "Tue, 01 Dec 2026 06:00:00 GMT"


class BoundTests(SynchronousTestCase):
    """What an authority may do to us."""

    def setUp(self) -> None:
        self.server = FakeDirectoryServer(self)
        self.network = BoundedNetwork(None, str(self.server.root), call_seconds=0.3)
        self.addCleanup(self.network.session.close)

    def test_answer(self) -> None:
        """An answer in time and of a sensible length is read."""
        self.assertIn("newOrder", self.network.get(self.server.url).json())
        self.assertEqual(self.network.status, 200)

    def test_silent(self) -> None:
        """An authority that takes the connection and says nothing is left, and one whose head never ends."""
        for fault in (Fault(is_silent=True), Fault(is_slow=True)):
            self.server.faults["directory"] = fault
            with self.assertRaisesRegex(requests.exceptions.Timeout, r"within 0\.3 s"):
                self.network.get(self.server.url)

    def test_endless(self) -> None:
        """A body that does not end is read up to the bound."""
        self.server.faults["directory"] = Fault(is_endless=True)
        with self.assertRaisesRegex(Unusable, f"longer than {MAX_ANSWER_BYTES} bytes"):
            self.network.get(self.server.url)

    def test_packed(self) -> None:
        """What is sent packed is not unpacked, so it cannot be a bomb."""
        self.server.faults["directory"] = Fault(Answer(200, b"\x1f\x8b" + bytes(100), {"Content-Encoding": "gzip"}))
        with self.assertRaises(errors.ClientError):
            self.network.get(self.server.url)

    def test_redirect(self) -> None:
        """A redirect is not followed: it could lead away from https, or into our own network."""
        elsewhere = f"{self.server.directory.base}/newNonce"
        self.server.faults["directory"] = Fault(Answer(302, b"", {"Location": elsewhere}))
        answer = self.network.get(self.server.url, content_type="")
        self.assertEqual((answer.status_code, self.server.directory.done), (302, {}))

    def test_https_only(self) -> None:
        """A URL that is no https is not asked."""
        for url in ("http://127.0.0.1/", "file:///etc/passwd", ""):
            with self.assertRaisesRegex(Unusable, "no https URL"):
                self.network.get(url)

    def test_not_believed(self) -> None:
        """A server whose certificate no root of ours has signed is not believed."""
        network = BoundedNetwork(None, "", call_seconds=5)
        self.addCleanup(network.session.close)
        with self.assertRaises(requests.exceptions.SSLError):
            network.get(self.server.url)


class RetryTests(SynchronousTestCase):
    """Retry-After."""

    def test_forms(self) -> None:
        """Seconds, or an instant by the server's own clock; anything else is nothing."""
        self.assertEqual(retry_seconds("120", ""), 120)
        self.assertEqual(retry_seconds("Tue, 01 Dec 2026 06:10:00 GMT", DATE), 600)
        self.assertEqual(retry_seconds("Tue, 01 Dec 2026 05:00:00 GMT", DATE), 0)
        for text in ("", "-1", "soon", "1e9", "Tue, 01 Dec 2026 06:10:00 GMT" * 9):
            self.assertEqual(retry_seconds(text, DATE if text != "soon" else ""), 0)
        self.assertLess(retry_seconds("9" * 500, ""), 1e9)
