"""`benchmarks.peers_scale`: edges with many tunnels tell each other of them in time, and in short turns."""

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.peers_scale import scale

TUNNELS, HOSTNAMES = 800, 500
LIMIT_SECONDS = 120.0  # on a machine that does much else
KNOWN_SECONDS, CURRENT_SECONDS = 5.0, 3.0
MAX_COMPUTING_MS = 50


class PeersScaleTests(SynchronousTestCase):
    """Eight hundred tunnels on two edges, and a third edge that starts."""

    def test_some_hundreds(self) -> None:
        """Each edge knows all soon, also one that has just started, and none computes long in one piece."""
        directory = Path(tempfile.mkdtemp(prefix="warp-"))  # a socket's path has 107 bytes
        self.addCleanup(shutil.rmtree, directory)
        seen = scale(directory, TUNNELS, HOSTNAMES, LIMIT_SECONDS, lambda step: None)
        self.assertLess(seen.known_seconds, KNOWN_SECONDS)
        self.assertLess(seen.restarted_cpu_seconds, CURRENT_SECONDS)
        self.assertEqual(len(seen.computing_ms), 3)
        self.assertLess(max(seen.computing_ms), MAX_COMPUTING_MS, seen.turns)
