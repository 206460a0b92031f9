"""Tests of what routes know of a tunnel; tests.edge.routes.test_pool lends its streams."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.routes.load import Standing, TunnelLoad
from warp_twisted.edge.routes.pool import Member
from warp_twisted.http1.limits import HeadLimits


class TunnelLoadTests(SynchronousTestCase):
    """One tunnel."""

    def test_new(self) -> None:
        """A tunnel that has just registered is not busy, and keeps streams."""
        load = TunnelLoad(FakeTunnel("t-1"))
        self.assertEqual((load.tunnel.id, load.active, load.is_draining), ("t-1", 0, False))
        self.assertIs(load.standing, Standing.TRUSTED)

    def test_asked(self) -> None:
        """A tunnel that is asked while it is trusted says so once."""
        watched: list[TunnelLoad] = []

        def watch(load: TunnelLoad) -> None:
            load.standing = Standing.ASKED
            watched.append(load)

        load = TunnelLoad(FakeTunnel("t-1"), watch)
        member = Member(load, 1, HeadLimits(), 2)
        for _ in range(2):
            member.open().lend(FakeBorrower())
        self.assertEqual((watched, load.active, load.is_asked), ([load], 2, True))
