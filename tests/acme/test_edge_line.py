"""Tests for warp_twisted.acme.edge_line."""

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme.edge_line import EdgeLine
from warp_twisted.acme.errors import EdgeGone


class EdgeLineTests(SynchronousTestCase):
    """Waiting while the edge may call."""

    def setUp(self) -> None:
        reading, self.writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.line = EdgeLine(reading)

    def test_called(self) -> None:
        """A call ends a wait, also one that came during a pause before; a pause is not shortened."""
        os.write(self.writing, b"\n\n")
        began_at = time.monotonic()
        self.line.pause(0.05)
        self.assertGreater(time.monotonic() - began_at, 0.045)
        self.line.wait(60)
        self.assertLess(time.monotonic() - began_at, 30)
        began_at = time.monotonic()
        self.line.wait(0.05)
        self.assertGreater(time.monotonic() - began_at, 0.045)
        os.close(self.writing)

    def test_gone(self) -> None:
        """The end of the edge ends both."""
        os.close(self.writing)
        for wait in (self.line.wait, self.line.pause):
            with self.assertRaises(EdgeGone):
                wait(60)
