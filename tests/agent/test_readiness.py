"""Tests of when an agent is ready, and of what it says meanwhile."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.events import ClockSuspected, Delayed, Dialing, Enrolled, TunnelDown, TunnelUp
from warp_twisted.agent.readiness import Readiness

UP = TunnelUp(tunnel=0, edge="edge1", address="192.0.2.1:7844")


def down(tunnel: int, retry_seconds: float | None = 1.0) -> TunnelDown:
    """Return the event of a tunnel that is down."""
    return TunnelDown(tunnel=tunnel, address="192.0.2.1:7844", reason="refused", retry_seconds=retry_seconds)


class ReadinessTests(SynchronousTestCase):
    """Events in, answers out."""

    def setUp(self) -> None:
        """Begin with an agent that starts."""
        self.readiness = Readiness()
        self.assertEqual((self.readiness.is_ready, self.readiness.status(4)), (False, "starting"))

    def test_enrolled_before(self) -> None:
        """It is ready as soon as it dials, and says that it waits, and for what."""
        self.readiness.heard(Dialing(agent_id="a-1"))
        self.assertEqual((self.readiness.is_ready, self.readiness.status(4)), (True, "waiting for an edge"))
        self.readiness.heard(down(0))
        self.assertEqual((self.readiness.is_ready, self.readiness.status(4)), (True, "waiting for an edge: refused"))

    def test_wrong_clock(self) -> None:
        """What is suspected of the clock is said first, as long as it is."""
        self.readiness.heard(Dialing(agent_id="a-1"))
        self.readiness.heard(ClockSuspected(suspicion="this machine's clock seems to be 2 h behind the edge's"))
        self.assertEqual(
            self.readiness.status(4), "this machine's clock seems to be 2 h behind the edge's; waiting for an edge"
        )
        self.readiness.heard(ClockSuspected(suspicion=""))
        self.assertEqual(self.readiness.status(4), "waiting for an edge")

    def test_never_enrolled(self) -> None:
        """It is ready with its first tunnel, however long that takes; what keeps it waiting is said."""
        self.readiness.heard(Delayed(reason="the registry is full", retry_seconds=30))
        self.assertEqual(self.readiness.status(4), "waiting: the registry is full")
        self.readiness.heard(Enrolled(agent_id="a-1", hostnames=[]))
        self.readiness.heard(Dialing(agent_id="a-1"))
        self.readiness.heard(down(0))
        self.assertFalse(self.readiness.is_ready)
        self.readiness.heard(UP)
        self.assertEqual((self.readiness.is_ready, self.readiness.status(4)), (True, "1 of 4 tunnels are up"))

    def test_tunnels_come_and_go(self) -> None:
        """Tunnels are counted while any is up; when the last is lost, the reason is told; it stays ready."""
        for tunnel in (0, 1):
            self.readiness.heard(TunnelUp(tunnel=tunnel, edge="edge1", address="192.0.2.1:7844"))
        self.readiness.heard(down(1))
        self.readiness.heard(down(1))
        self.assertEqual(self.readiness.status(4), "1 of 4 tunnels are up")
        self.readiness.heard(down(0))
        self.assertEqual((self.readiness.is_ready, self.readiness.status(4)), (True, "waiting for an edge: refused"))
        self.readiness.heard(down(2, retry_seconds=None))
        self.assertEqual(self.readiness.status(4), "waiting for an edge: refused")
