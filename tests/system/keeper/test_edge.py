"""Tests of a real edge below a real keeper: requests, events, WebSockets and a download over hand-overs, and deaths."""

import os
import signal

from tests.system.edge.handover.processes import DOWNLOAD_BYTES, SECONDS
from tests.system.keeper.kept_edge import KeptEdgeTestCase
from warp_twisted.keeper.asking import RequestFailed


class KeptEdgeTests(KeptEdgeTestCase):
    """An edge that a keeper keeps."""

    def test_under_load(self) -> None:
        """Over two hand-overs nothing fails, and what began at the first process ends there."""
        self.visitors.start()
        download = self.visitors.add(self.visitors.download)
        self.visitors.until_asked(100)
        for _ in range(2):
            self.assertEqual(self.ask("restart").text("what"), "handed over")
            self.visitors.until_asked(100)
        self.assertEqual(len(self.ask("status").words("draining")), 2)
        download.join(SECONDS)
        self.visitors.stop()
        self.assertEqual((self.visitors.failures, self.visitors.downloaded), ([], DOWNLOAD_BYTES))
        print(f"\n{self.visitors.requests} requests, the worst took {self.visitors.worst_seconds * 1000:.0f} ms")

    def test_key_that_needs_a_new_process(self) -> None:
        """A reload hands over by itself when the edge says that it must; a wrong file changes nothing."""
        self.assertEqual(self.ask("reload").text("what"), "reloaded")
        before = self.ask("status").number("serving")
        text = self.configuration.read_text()
        self.configuration.write_text(self.changed(text, "settle: 60", "settle: none"))
        error = self.assertRaises(RequestFailed, self.ask, "reload")
        self.assertIn("timeouts.settle", str(error))
        error = self.assertRaises(RequestFailed, self.ask, "restart")
        self.assertIn("The old one serves on", str(error))
        self.assertEqual(self.ask("status").number("serving"), before)
        self.configuration.write_text(self.changed(text, "name: edge1", "name: edge1\n  weight: 7"))
        self.assertEqual(self.ask("reload").text("what"), "handed over")
        self.assertNotEqual(self.ask("status").number("serving"), before)
        self.assertTrue(self.page().startswith(b"HTTP/1.1 200"))

    def test_edge_is_killed(self) -> None:
        """Another serves as soon as it can, and agents come back to it."""
        os.kill(self.ask("status").number("serving"), signal.SIGKILL)
        self.until(lambda: self.page().startswith(b"HTTP/1.1 200"))
        self.assertIn("signal SIGKILL", self.log.read_text())
