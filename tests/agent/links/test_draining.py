"""Tests of `warp_twisted.agent.links.draining`; whole links that drain are tested in `test_link`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.links.ends import end_of
from warp_twisted.agent.links.draining import (
    LEAVE_SECONDS,
    MAX_LEFT_SECONDS,
    NOTICE_SECONDS,
    LeftTunnels,
    finish_tunnel,
)
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, TunnelPair, tunnel_pair


class DrainingTestCase(SynchronousTestCase):
    """Tunnels in memory on one clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lost = 0
        self.left = LeftTunnels(self.clock, self.note_lost)

    def note_lost(self) -> None:
        """Count."""
        self.lost += 1

    def tunnel(self) -> tuple[TunnelPair, RecordingDelegate]:
        """Open a tunnel; returns it and what its edge hears."""
        edge = RecordingDelegate()
        return tunnel_pair(edge, RecordingDelegate(), clock=self.clock), edge

    def pending_drains(self) -> list[float]:
        """Return when tunnels will refuse new streams."""
        return [call.getTime() for call in self.clock.getDelayedCalls() if "drain" in str(call)]


class FinishTests(DrainingTestCase):
    """`finish_tunnel`."""

    def test_notice(self) -> None:
        """The edge is told at once; a stream that it opened before it heard is taken, one after the notice is not."""
        pair, edge = self.tunnel()
        finish_tunnel(self.clock, pair.agent, "stop", 30.0)
        pair.pump()
        self.assertEqual([(drain.reason, drain.deadline_seconds) for drain in edge.drains], [("stop", 30.0)])
        self.assertTrue(pair.edge.can_open_stream)
        visit = RecordingReceiver()
        visit.stream = pair.edge.open_route(1, visit)
        pair.pump()
        self.clock.advance(NOTICE_SECONDS)
        pair.pump()
        self.assertFalse(pair.edge.can_open_stream)
        self.assertEqual(visit.errors, [])

    def test_short_deadline(self) -> None:
        """A deadline that is shorter than the notice ends the tunnel at the deadline."""
        pair, _ = self.tunnel()
        finish_tunnel(self.clock, pair.agent, "stop", NOTICE_SECONDS / 2)
        self.clock.advance(NOTICE_SECONDS / 2)
        pair.pump()
        self.assertEqual(end_of(pair.agent), "NORMAL: the tunnel was drained")


class LeftTunnelsTests(DrainingTestCase):
    """`LeftTunnels`."""

    def test_edge_that_drains(self) -> None:
        """A tunnel whose edge drains is not finished by us before its time, and counts until it ends."""
        pair, edge = self.tunnel()
        self.left.add_drained(pair.agent, 30.0)
        self.left.finish_moved()
        self.assertTrue(self.left)
        self.assertEqual(edge.drains, [])
        self.left.lost(pair.agent)
        self.assertEqual((bool(self.left), self.lost, self.pending_drains()), (False, 1, []))

    def test_edge_that_never_closes(self) -> None:
        """A tunnel whose edge drains and forgets it is finished by us at last."""
        pair, _ = self.tunnel()
        self.left.add_drained(pair.agent, 30.0)
        self.assertEqual(self.pending_drains(), [LEAVE_SECONDS])

    def test_edge_that_drains_for_hours(self) -> None:
        """A tunnel is kept for as long as its edge says that it drains, within a bound."""
        for seconds, kept in ((7200.0, 7200.0), (1e12, MAX_LEFT_SECONDS)):
            pair, _ = self.tunnel()
            self.left.add_drained(pair.agent, seconds)
            self.assertEqual(self.pending_drains(), [kept])
            self.left.lost(pair.agent)

    def test_moved(self) -> None:
        """A tunnel that we left serves until its successor is up; then its edge is told."""
        pair, edge = self.tunnel()
        self.left.add(pair.agent)
        pair.pump()
        self.assertEqual((edge.drains, self.pending_drains()), ([], []))
        self.left.finish_moved()
        self.left.finish_moved()
        pair.pump()
        self.assertEqual([drain.reason for drain in edge.drains], ["moved to another edge"])

    def test_all(self) -> None:
        """Every kind can be finished by one deadline, or closed at once."""
        pairs = [self.tunnel()[0] for _ in range(2)]
        self.left.add_drained(pairs[0].agent, 300.0)
        self.left.add(pairs[1].agent)
        self.left.finish_all("stop", 1.0)
        self.left.close_all("now")
        for pair in pairs:
            pair.pump()
            self.assertEqual(end_of(pair.agent), "NORMAL: now")
            self.left.lost(pair.agent)
        self.assertEqual((bool(self.left), self.lost), (False, 2))

    def test_strangers(self) -> None:
        """The end of a tunnel that is none of these means nothing."""
        self.left.lost(self.tunnel()[0].agent)
        self.assertEqual(self.lost, 0)
