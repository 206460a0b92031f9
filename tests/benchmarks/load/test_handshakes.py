"""`benchmarks.load.handshakes`: reading what it prints."""

import dataclasses
import json

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.load.handshakes import Handshakes, parse


class ParseTests(SynchronousTestCase):
    """What one load of handshakes means."""

    def test_rates(self) -> None:
        """Connections a second, and the share of those that resumed a session."""
        seen = Handshakes(connections=200, resumed=150, errors=1, seconds=4.0, p50_seconds=0.01, p99_seconds=0.02)
        read = parse(json.dumps(dataclasses.asdict(seen)))
        self.assertEqual(read, seen)
        self.assertEqual((read.per_second, read.resumed_percent), (50, 75))

    def test_none(self) -> None:
        """Without a connection nothing was resumed."""
        none = Handshakes(connections=0, resumed=0, errors=9, seconds=1.0, p50_seconds=0, p99_seconds=0)
        self.assertEqual(none.resumed_percent, 0)
