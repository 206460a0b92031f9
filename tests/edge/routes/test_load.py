"""Tests of what routes know of a tunnel; tests.edge.routes.test_pool lends its streams."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTunnel
from warp_twisted.edge.routes.load import TunnelLoad


class TunnelLoadTests(SynchronousTestCase):
    """One tunnel."""

    def test_new(self) -> None:
        """A tunnel that has just registered is not busy, and keeps streams."""
        load = TunnelLoad(FakeTunnel("t-1"))
        self.assertEqual((load.tunnel.id, load.active, load.is_draining), ("t-1", 0, False))
