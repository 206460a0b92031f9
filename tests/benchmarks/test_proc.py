"""`benchmarks.proc`: reading /proc."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import proc

# A name with spaces and brackets is the trap of this format.
_STAT = (
    "4711 (tw (edge) d) S 42 4711 4711 0 -1 4194304 9000 0 3 0 1234 567 8 9 20 0 5 0 998877 1200000 8000 "
    "18446744073709551615 1 1 0 0 0 0 0 4096 81922 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
_STATUS = "Name:\ttwistd\nVmPeak:\t  200000 kB\nVmRSS:\t   45120 kB\nRssAnon:\t   30000 kB\n"


class ParseTests(SynchronousTestCase):
    """What the kernel's text means."""

    def test_cpu(self) -> None:
        """User and system time are counted in seconds; those of waited-for children are left out."""
        self.assertEqual(proc.parse_cpu_times(_STAT, 100), (12.34, 5.67))

    def test_parent(self) -> None:
        """The parent is the field after the state."""
        self.assertEqual(proc.parse_parent(_STAT), 42)

    def test_start(self) -> None:
        """The start is field 22."""
        self.assertEqual(proc.parse_start(_STAT), 998877)

    def test_memory(self) -> None:
        """The kernel's kB are 1,024 bytes."""
        self.assertEqual(proc.parse_resident_bytes(_STATUS), 45120 * 1024)

    def test_zombie(self) -> None:
        """A process without memory holds none."""
        self.assertEqual(proc.parse_resident_bytes("Name:\tgone\nState:\tZ (zombie)\n"), 0)


class ReadTests(SynchronousTestCase):
    """The same for a living process: this one."""

    def test_own_figures(self) -> None:
        """This process is among the descendants of its parent, has used CPU time and holds memory."""
        self.assertIn(os.getpid(), proc.descendants(os.getppid()))
        self.assertGreater(proc.cpu_seconds(os.getpid()), 0)
        self.assertLess(abs(proc.cpu_seconds(os.getpid()) - sum(proc.cpu_times(os.getpid()))), 0.1)
        self.assertGreater(proc.resident_bytes(os.getpid()), 1 << 20)
        self.assertIsNotNone(proc.started_at(os.getpid()))

    def test_no_such_process(self) -> None:
        """A process that is gone used nothing and holds nothing."""
        nobody = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
        self.assertEqual((proc.cpu_seconds(nobody), proc.resident_bytes(nobody)), (0, 0))
        self.assertIsNone(proc.started_at(nobody))
