"""Tests of `warp_twisted.edge.health.reports`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.edge.health.reports import IN_A_TURN, REST_SECONDS, Reports
from warp_twisted.wire.control import OriginHealth, RouteOffer


class FakeTunnel:
    """A tunnel with a hundred routes."""

    def __init__(self) -> None:
        self.healthy = dict.fromkeys(range(100), True)

    def note_health(self, message: OriginHealth) -> RouteOffer | None:
        """Note what changes."""
        if self.healthy.get(message.route_id, message.healthy) is message.healthy:
            return None
        self.healthy[message.route_id] = message.healthy
        return RouteOffer(id=message.route_id, hostname="a.example")


class ReportsTests(SynchronousTestCase):
    """When a report holds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.held: list[tuple[float, int, bool]] = []
        self.turns_over = 0
        self.reports = Reports[FakeTunnel](self.clock, self.hold, self.turn_over)
        self.tunnel = FakeTunnel()

    def turn_over(self) -> None:
        """Count."""
        self.turns_over += 1

    def hold(self, tunnel: FakeTunnel, route: RouteOffer, message: OriginHealth) -> None:
        """Remember."""
        self.held.append((self.clock.seconds(), route.id, message.healthy))

    def say(self, route: int, *, healthy: bool, tunnel: FakeTunnel | None = None) -> None:
        """Report."""
        self.reports.said(tunnel or self.tunnel, OriginHealth(route_id=route, healthy=healthy, probed=True))

    def turn(self) -> None:
        """Let one timed call run."""
        call = self.clock.calls.pop(0)
        call.called = True
        call.func(*call.args)

    def test_at_once(self) -> None:
        """The first report of a route holds in the next turn, and so does that of another route or tunnel."""
        self.say(1, healthy=False)
        self.assertEqual(self.held, [])
        self.clock.advance(0)
        self.say(2, healthy=False)
        self.say(1, healthy=False, tunnel=FakeTunnel())
        self.clock.advance(0)
        self.assertEqual([route for _, route, _ in self.held], [1, 2, 1])

    def test_not_more_often(self) -> None:
        """What follows within a second waits for its end; of what came meanwhile the newest holds."""
        self.say(1, healthy=False)
        self.clock.advance(0)
        self.clock.advance(0.25)
        for healthy in (True, False, True):
            self.say(1, healthy=healthy)
            self.clock.advance(0)
        self.clock.advance(0.5)
        self.assertEqual(len(self.held), 1)
        self.clock.advance(0.25)
        self.assertEqual(self.held[1:], [(1.0, 1, True)])
        self.clock.advance(REST_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.say(1, healthy=False)
        self.clock.advance(0)
        self.assertEqual(len(self.held), 3)

    def test_nothing_new(self) -> None:
        """What says what is known, or is about no route, holds nothing up."""
        self.say(1, healthy=True)
        self.say(4_000, healthy=False)
        self.clock.advance(0)
        self.assertEqual((self.held, self.clock.getDelayedCalls()), ([], []))

    def test_flood(self) -> None:
        """Thousands of reports cost next to nothing when they come, and few of them hold in one turn of the reactor."""
        messages = [OriginHealth(route_id=at % 100, healthy=at % 200 >= 100) for at in range(4_000)]

        def flood() -> None:
            for message in messages:
                self.reports.said(self.tunnel, message)

        noted = count_operations(flood)
        self.assertLess(noted / len(messages), 90)
        for message in messages[:100]:
            self.reports.said(self.tunnel, message)
        turns = 0
        while self.clock.calls and self.clock.calls[0].time <= 0:
            before = len(self.held)
            self.turn()
            self.assertLessEqual(len(self.held) - before, IN_A_TURN)
            turns += 1
        self.assertEqual((len(self.held), turns), (100, -(-100 // IN_A_TURN)))
        self.assertEqual(self.turns_over, turns)
        for _ in range(50):
            for healthy in (True, False):
                for route in range(100):
                    self.say(route, healthy=healthy)
                self.clock.advance(0.01)
        self.assertLessEqual(len(self.held), 300)

    def test_stop(self) -> None:
        """Nothing holds any more."""
        self.say(1, healthy=False)
        self.reports.stop()
        self.clock.advance(5)
        self.assertEqual(self.held, [])
