"""Tests of `warp_twisted.registry.ban_records`; that they are read and written as others is `test_model`'s."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.ban_records import KeptBan
from warp_twisted.registry.errors import BadValue
from warp_twisted.registry.model import decode, encode


class KeptBanTests(SynchronousTestCase):
    """`KeptBan`."""

    def test_seconds_left(self) -> None:
        """It holds until its end, and never for longer than it was made for, whatever the clock shows."""
        ban = KeptBan(network="203.0.113.9", seconds=60.0, until=1_060.0)
        self.assertEqual([ban.seconds_left(now) for now in (1_000.0, 1_059.0, 0.0, 1_061.0)], [60.0, 1.0, 60.0, -1.0])

    def test_out_of_bounds(self) -> None:
        """What could not have been made by an operator is not read."""
        good = KeptBan(network="203.0.113.9", seconds=60.0, until=1.0)
        for text in (encode(good).replace(b"60.0", b"-1"), encode(good).replace(b"203.0.113.9", b"203.0.113.8")):
            self.assertRaises(BadValue, decode, good.key, text)
