"""Tests for what tests on hosts count as the machine's time, not Warp's: waits for a CPU."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.delays import Delays

# Wants to run for half a second of the clock, on the one CPU that it shares.
_BUSY = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
print("here", flush=True)
sys.stdin.readline()
end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
print("done", flush=True)
sys.stdin.readline()
"""


class DelaysTests(SynchronousTestCase):
    """Tests for Delays."""

    def busy(self) -> "subprocess.Popen[str]":
        """Start a process that is going to be busy, and afterwards waits to be ended."""
        command = [sys.executable, "-c", _BUSY, str(min(os.sched_getaffinity(0)))]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.hear(process, "here\n")
        return process

    def tell(self, process: "subprocess.Popen[str]") -> None:
        """Have it go on."""
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    def hear(self, process: "subprocess.Popen[str]", line: str) -> None:
        """Wait until it has said something."""
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), line)

    def test_waits_are_counted(self) -> None:
        """Of two that want one CPU, one always waits; what was counted of one that has ended is not forgotten."""
        both = [self.busy(), self.busy()]
        delays = Delays([Path(self.mktemp())], [process.pid for process in both])
        before = delays.seconds()
        for process in both:
            self.tell(process)
        for process in both:
            self.hear(process, "done\n")
        waited = delays.seconds() - before
        self.assertGreater(waited, 0.3)
        for process in both:
            process.kill()
            process.wait()
        self.assertGreaterEqual(delays.seconds() - before, waited)

    def test_members_of_a_group(self) -> None:
        """The processes of a group are looked up each time."""
        group = Path(self.mktemp())
        group.mkdir()
        (group / "cgroup.procs").write_text("")
        delays = Delays([group])
        self.assertEqual(delays.seconds(), 0.0)
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        self.assertGreater(delays.seconds(), 0.0)
