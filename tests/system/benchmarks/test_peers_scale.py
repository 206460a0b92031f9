"""`benchmarks.peers_scale`: edges with many tunnels tell each other of them in time, and in short turns."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.peers_scale import scale
from tests.case import short_directory_of

TUNNELS, HOSTNAMES = 800, 500
LIMIT_SECONDS = 120.0  # on a machine that does much else
KNOWN_SECONDS, CURRENT_SECONDS = 5.0, 3.0
MAX_COMPUTING_MS = 50


class PeersScaleTests(SynchronousTestCase):
    """Eight hundred tunnels on two edges, and a third edge that starts."""

    def test_some_hundreds(self) -> None:
        """Each edge knows all soon, also one that has just started, and none computes long in one piece."""
        directory = short_directory_of(self)
        seen = scale(directory, TUNNELS, HOSTNAMES, LIMIT_SECONDS, lambda step: None)
        self.assertLess(seen.known_seconds, KNOWN_SECONDS)
        self.assertLess(seen.restarted_cpu_seconds, CURRENT_SECONDS)
        self.assertEqual(len(seen.computing_ms), 3)
        self.assertLess(max(seen.computing_ms), MAX_COMPUTING_MS, seen.turns)
