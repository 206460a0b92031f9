"""Tests of what routes know of a tunnel; tests.edge.routes.test_pool lends its streams."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.routes.load import Standing, StreamCounts, TunnelLoad
from warp_twisted.edge.routes.pool import Member, OriginStream
from warp_twisted.http1.limits import ResponseRules


def opened(member: Member) -> OriginStream:
    """Lend a new stream to an origin that was reached."""
    origin = member.lend(FakeBorrower(), float("inf"))
    origin.is_opened = True
    return origin


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
        member = Member(load, 1, ResponseRules(), 2)
        for _ in range(2):
            member.lend(FakeBorrower(), 0.0)
        self.assertEqual((watched, load.active, load.is_asked), ([load], 2, True))

    def test_counts(self) -> None:
        """Streams are counted over all tunnels, however they are given back."""
        counts = StreamCounts()
        members = [
            Member(TunnelLoad(FakeTunnel(name), counts=counts), 1, ResponseRules(), 2) for name in ("t-1", "t-2")
        ]
        origins = [opened(member) for member in members for _ in range(4)]
        self.assertEqual((counts.used, counts.idle), (8, 0))
        for origin in (*origins[:3], origins[4]):
            origin.stream.peer_heard = True
            origin.release(1.0)  # the third finds no room
        self.assertEqual((counts.used, counts.idle), (4, 3))
        origins[5].discard()
        origins[6].end()
        self.assertEqual((counts.used, counts.idle), (2, 3))
        self.assertIs(members[0].lend(FakeBorrower(), 0.0), origins[1])
        self.assertNotIn(members[0].lend(FakeBorrower(), 2.0), origins)
        self.assertEqual((counts.used, counts.idle), (4, 2))
        origins[0].end_received()
        members[1].close_idle()
        self.assertEqual((counts.used, counts.idle), (4, 0))
