"""Tests for warp_twisted.acme.time_limit."""

import contextlib
import os
import signal
import time

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.acme import time_limit
from warp_twisted.acme.time_limit import TooSlow, within


class WithinTests(SynchronousTestCase):
    """A limit of time."""

    def test_ended(self) -> None:
        """What waits for ever is ended, and what comes after it is not disturbed."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        before = signal.getsignal(signal.SIGALRM)
        with self.assertRaisesRegex(TooSlow, r"not within 0\.05 s"), within(0.05):
            os.read(reading, 1)
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))
        self.assertIs(signal.getsignal(signal.SIGALRM), before)

    def test_in_time(self) -> None:
        """What is done in time is not ended later."""
        with within(30):
            pass
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))

    def test_swallowed(self) -> None:
        """If something in between swallows it, it is raised again."""
        self.patch(time_limit, "AGAIN_SECONDS", 0.02)
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        began_at = time.monotonic()
        with self.assertRaises(TooSlow), within(0.02):
            with contextlib.suppress(TooSlow):
                os.read(reading, 1)
            os.read(reading, 1)
        self.assertGreater(time.monotonic() - began_at, 0.035)
