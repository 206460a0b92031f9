"""`benchmarks.processes`: programs that a run starts, and their end."""

import os
import select
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.errors import ProgramFailed, ProgramMissing
from benchmarks.processes import free_port, running

# Starts a child that ignores SIGTERM, tells its pid, and ignores SIGTERM itself.
_STUBBORN = """\
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("child", child.pid, flush=True)
time.sleep(60)
"""


class RunningTests(SynchronousTestCase):
    """A program for the length of a `with` block."""

    def setUp(self) -> None:
        """Make a place for logs."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def test_listening(self) -> None:
        """A program that listens is ready, and has ended when the block ends."""
        port = free_port()
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        with running("server", command, self.directory) as server:
            server.wait_for_port(port)
            self.assertGreater(server.resident_bytes(), 0)
        self.assertRaises(ProcessLookupError, os.kill, server.pid, 0)

    def test_ended_after_an_error(self) -> None:
        """An error in the block ends the program too."""
        with self.assertRaises(KeyboardInterrupt), running("sleep", ["sleep", "60"], self.directory) as sleep:
            raise KeyboardInterrupt
        self.assertRaises(ProcessLookupError, os.kill, sleep.pid, 0)

    def test_family(self) -> None:
        """What ignores SIGTERM is killed, and what it started as well."""
        self.patch(sys.modules["benchmarks.processes"], "STOP_SECONDS", 0.1)
        with running("stubborn", [sys.executable, "-c", _STUBBORN], self.directory) as stubborn:
            child = os.pidfd_open(int(stubborn.wait_for_line(r"child (\d+)")[1]))
            self.addCleanup(os.close, child)
        # A pidfd becomes readable when its process ends (pidfd_open(2)).
        self.assertEqual(select.select([child], [], [], 5)[0], [child])

    def test_failed(self) -> None:
        """A program that ends before it is ready fails with what it said."""
        with running("broken", [sys.executable, "-c", "raise SystemExit('no such luck')"], self.directory) as broken:
            error = self.assertRaises(ProgramFailed, broken.wait_for_port, free_port())
        self.assertIn("no such luck", str(error))

    def test_late(self) -> None:
        """A program that does not become ready in time fails."""
        with running("sleep", ["sleep", "60"], self.directory) as sleep:
            error = self.assertRaises(ProgramFailed, sleep.wait_for_line, "ready", 0.1)
        self.assertIn("did not print 'ready' within", str(error))

    def test_missing(self) -> None:
        """A program that is not installed is named."""
        with self.assertRaises(ProgramMissing) as caught, running("x", ["no-such-program"], self.directory):
            self.fail("it cannot run")
        self.assertIn("no-such-program", str(caught.exception))

    def test_environment_and_own_session(self) -> None:
        """The program gets the environment it is given, and is not reached by our terminal's Ctrl-C."""
        code = "import os; print(os.environ['WORD'], os.getsid(0) == os.getpid())"
        with running("env", [sys.executable, "-c", code], self.directory, {"WORD": "found"}) as program:
            self.assertEqual(program.wait_for_end(10), 0)
        self.assertEqual(program.log.read_text(), "found True\n")
