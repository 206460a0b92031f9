"""`wire.limits`: which limits make sense."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.limits import Limits


class LimitsTests(SynchronousTestCase):
    """Limits are checked at construction."""

    def test_defaults(self) -> None:
        """The defaults are allowed, and so is no growth."""
        self.assertGreater(Limits().max_growth_bytes, 0)
        self.assertEqual(Limits(max_growth_bytes=0, max_refusals=0).max_growth_bytes, 0)

    def test_zero(self) -> None:
        """A limit that would allow nothing is refused by name."""
        self.assertIn("max_streams", str(self.assertRaises(InvalidSettings, Limits, max_streams=0)))

    def test_windows(self) -> None:
        """A window smaller than yamux's, or larger than a frame may be, is refused."""
        self.assertRaises(InvalidSettings, Limits, max_window_bytes=1000)
        self.assertRaises(InvalidSettings, Limits, max_window_bytes=2 * 1024 * 1024)
        self.assertRaises(InvalidSettings, Limits, max_frame_bytes=2**31)
