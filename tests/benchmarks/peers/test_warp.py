"""Tests for `benchmarks.peers.warp`: what an older tree of Warp is given."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.peers.warp import THIS, Checkout


class CheckoutTests(SynchronousTestCase):
    """A tree to measure."""

    def test_known_limits(self) -> None:
        """A tree gets the limits that its own settings have."""
        limits = {"visitor_handshakes_per_second": 0, "no_such_limit": 1}
        self.assertEqual(THIS.known_limits(limits), {"visitor_handshakes_per_second": 0})
        root = Path(self.mktemp())
        (root / "warp_twisted" / "edge").mkdir(parents=True)
        (root / "warp_twisted" / "edge" / "settings.py").write_text("class Limits:\n    tunnels: int = 10_000\n")
        self.assertEqual(Checkout(root=root, programs=root).known_limits(limits), {})
