"""Tests of how long the phases of a hand-over may take."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper.times import MAX_TAKE_SECONDS, TAKE_SECONDS, take_seconds


class TakeTests(SynchronousTestCase):
    """What a process gets that takes over."""

    def test_tunnels(self) -> None:
        """More for more tunnels, up to a limit."""
        self.assertEqual([take_seconds(count) for count in (0, 100)], [TAKE_SECONDS, TAKE_SECONDS + 10])
        self.assertEqual(take_seconds(1_000_000), MAX_TAKE_SECONDS)
