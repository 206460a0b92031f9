"""`benchmarks.dns.large`: the table of the large zone."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.dns.large import LargeZone, rows
from benchmarks.dns.servers import KNOT, WARP


def _zone(cpu: float) -> LargeZone:
    return LargeZone(
        cpu_seconds=cpu, extra_bytes=3 << 20, reload_seconds=1.5, longest_seconds=0.02, p99_seconds=0.001, lost=2
    )


class RowsTests(SynchronousTestCase):
    """One server a row."""

    def test_beside_knot(self) -> None:
        """What reading costs is told as a multiple of Knot's."""
        found = rows({KNOT: _zone(0.5), WARP: _zone(4.0)})
        self.assertEqual(found[2], ["Warp", "4.00", "8.0", "3", "1.5", "1.0", "20.0", "2"])

    def test_alone(self) -> None:
        """Without Knot there is no multiple."""
        self.assertEqual(rows({WARP: _zone(4.0)})[1][2], "")
