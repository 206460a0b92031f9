"""Tests for `warp_twisted.edge.policy.file_stamps`."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.policy.file_stamps import stamp_at, stamp_of


class StampTests(SynchronousTestCase):
    """`stamp_at` and `stamp_of`."""

    def test_changes(self) -> None:
        """A file that was written, replaced, made or removed has another stamp; one that was read has not."""
        file = Path(self.mktemp())
        self.assertIsNone(stamp_at(file))
        file.write_text("a")
        first = stamp_at(file)
        file.read_text()
        with file.open() as opened:
            self.assertEqual((stamp_at(file), stamp_of(os.fstat(opened.fileno()))), (first, first))
        file.write_text("bc")
        second = stamp_at(file)
        other = Path(self.mktemp())
        other.write_text("bc")
        os.utime(other, ns=(0, os.stat(file).st_mtime_ns))
        other.rename(file)
        self.assertEqual(len({first, second, stamp_at(file)}), 3)
