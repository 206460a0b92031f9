"""Tests of `warp_twisted.agent.links.reporting`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.links.reporting import BURST, PER_SECOND, TOLD_IN_A_TURN, Reporting
from warp_twisted.edge.agents.control_rate import MESSAGES_BURST, MESSAGES_PER_SECOND
from warp_twisted.wire.control import ControlMessage, OriginHealth


class FakeRoute:
    """A route whose health the test sets."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_healthy = True

    def health(self) -> OriginHealth:
        """Return it as edges hear it."""
        return OriginHealth(route_id=self.number, healthy=self.is_healthy, probed=True)


class FakeTunnels:
    """Tunnels that are up, and one link."""

    up_count = 4

    def __init__(self) -> None:
        self.sent: list[ControlMessage] = []

    def send(self, message: ControlMessage) -> bool:
        """Remember."""
        self.sent.append(message)
        return True


class ReportingTests(SynchronousTestCase):
    """What edges are told, and how often."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tunnels = FakeTunnels()
        self.reporting = Reporting(self.clock, self.tunnels)

    def told(self) -> list[tuple[int, bool]]:
        """Return what was told."""
        return [(each.route_id, each.healthy) for each in self.tunnels.sent if isinstance(each, OriginHealth)]

    def test_next_turn(self) -> None:
        """A change is told in the next turn, when the routes that it is about are offered; only the newest of each."""
        one, two = FakeRoute(1), FakeRoute(2)
        one.is_healthy = False
        self.reporting.changed(one)
        self.reporting.changed(two)
        one.is_healthy = True
        self.reporting.changed(one)
        self.assertEqual(self.told(), [])
        self.clock.advance(0)
        self.assertEqual(self.told(), [(1, True), (2, True)])

    def test_new_tunnel(self) -> None:
        """A tunnel that comes up hears of those that are not healthy."""
        routes = [FakeRoute(number) for number in range(3)]
        routes[1].is_healthy = False
        self.reporting.link_up(self.tunnels, routes)
        self.assertEqual(self.told(), [(1, False)])

    def test_flapping(self) -> None:
        """A hundred origins that flap without end stay below what an edge takes, and the last word is told."""
        routes = [FakeRoute(number) for number in range(100)]
        for _ in range(600):
            for route in routes:
                route.is_healthy = not route.is_healthy
                self.reporting.changed(route)
            self.clock.advance(0.1)
        self.assertLessEqual(len(self.told()) * 4, BURST + 60 * PER_SECOND + 4)
        self.assertLess(BURST + 100, MESSAGES_BURST)
        self.assertLess(PER_SECOND, MESSAGES_PER_SECOND)
        for _ in range(200):
            self.clock.advance(0.2)
        self.assertEqual(dict(self.told()), {route.number: route.is_healthy for route in routes})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """Hundreds that change at once are all told of, over some turns."""
        for number in range(300):
            self.reporting.changed(FakeRoute(number))
        turns = 0
        while self.clock.getDelayedCalls():
            call = self.clock.calls.pop(0)
            call.func(*call.args)
            turns += 1
        self.assertEqual(turns, -(-300 // TOLD_IN_A_TURN))
        self.assertEqual(len(self.told()), 300)

    def test_stop(self) -> None:
        """Nothing is told any more."""
        self.reporting.changed(FakeRoute(1))
        self.reporting.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
