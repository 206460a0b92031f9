"""Tests for `warp_twisted.process`; how events are delivered and measured is `tests.base.loop.test_event_loop`."""

import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted import process


class PrepareTests(SynchronousTestCase):
    """`prepare`."""

    def test_other_reactors(self) -> None:
        """A reactor that cannot be measured is used as it is; a thread that computes lets it run soon in any case."""
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        clock = Clock()
        times = process.prepare(clock)
        self.assertAlmostEqual(sys.getswitchinterval(), process.SWITCH_SECONDS)
        clock.callLater(0, lambda: None)
        clock.advance(1)
        self.assertEqual(sum(times.counts), 0)


class KeepHeapTests(SynchronousTestCase):
    """`keep_heap` in a process of its own."""

    def test_large_reads(self) -> None:
        """A large buffer that is made and dropped again and again costs no page faults any more."""
        program = """
import resource, sys
from warp_twisted.process import keep_heap
assert keep_heap()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
size = 3 * 1024 * 1024
bytearray(size)
before = faults()
for turn in range(20):
    bytearray(size)
print(faults() - before)
"""
        output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        self.assertLess(int(output.stdout), 20 * 16)  # each would be 768 faults
