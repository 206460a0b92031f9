"""Tests for the limits of the tests on hosts: what hangs fails, and says where."""

import os
import signal
import sys
import time
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.case import FleetTestCase
from tests.fleet.place import FleetError, run


class Hanging(FleetTestCase):
    """A test that would never end, and one that does."""

    limit_seconds = 1

    def runTest(self) -> None:
        """Wait for a program."""
        run("sleep", "30")


class Ending(FleetTestCase):
    """A test that ends."""

    def runTest(self) -> None:
        """Run a program."""
        self.assertEqual(run(sys.executable, "-c", "print(1)"), "1\n")


class LimitTests(SynchronousTestCase):
    """Tests for both limits."""

    def test_hanging_test(self) -> None:
        """It fails with where it hung, and what it waited for is ended."""
        result, begun = TestResult(), time.monotonic()
        Hanging().run(result)
        self.assertLess(time.monotonic() - begun, 20)
        [(_, traceback)] = result.errors
        self.assertIn("did not end in 1 s", traceback)
        self.assertIn('run("sleep", "30")', traceback)

    def test_ending_test(self) -> None:
        """It passes, and no alarm is left."""
        result = TestResult()
        Ending().run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (1, [], []))

    def test_hanging_program(self) -> None:
        """It is killed, and what it said is told."""
        code = "import sys, time; print('so far', flush=True); time.sleep(30)"
        error = self.assertRaises(FleetError, run, sys.executable, "-c", code, seconds=1.0)
        self.assertRegex(str(error), "did not end in 1 s; it waited in .*, and said: so far")

    def test_program_that_leaves_another(self) -> None:
        """What stays behind with the program's output in its hands is not waited for."""
        begun = time.monotonic()
        pid = int(run("sh", "-c", "sleep 20 & echo $!"))
        self.assertLess(time.monotonic() - begun, 15)
        os.kill(pid, signal.SIGKILL)
