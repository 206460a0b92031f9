"""Tests of `warp_twisted.edge.health.health`; with agents in `tests.edge.agents.test_tunnels`."""

from collections.abc import Collection

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.health.test_reports import FakeTunnel
from warp_twisted.edge.health.health import OriginsHealth
from warp_twisted.wire.control import OriginHealth, RouteOffer


class FakeServed(FakeTunnel):
    """A tunnel of an agent, with one hostname."""

    agent = "a-1"

    def __init__(self) -> None:
        super().__init__()
        self.unhealthy: dict[int, str] = {}
        self.failing: set[int] = set()
        self.published_failing: tuple[str, ...] = ()

    def note_health(self, message: OriginHealth) -> RouteOffer | None:
        """Note what changes."""
        route = super().note_health(message)
        if route is not None:
            (self.failing.discard if message.healthy else self.failing.add)(route.id)
            self.unhealthy = dict.fromkeys(self.failing, message.detail)
        return route

    @property
    def failing_hostnames(self) -> tuple[str, ...]:
        """Return its hostname if a route fails."""
        return ("a.example",) if self.failing else ()


class OriginsHealthTests(SynchronousTestCase):
    """What follows from a report."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tunnels = [FakeServed(), FakeServed()]
        self.complaints: list[tuple[FakeServed, str | None]] = []
        self.published: list[FakeServed] = []
        self.owed = 0.0
        self.health = OriginsHealth[FakeServed](self.clock, self, lambda agent: self.tunnels, self.pay, self.publish)

    def report(self, tunnel: FakeServed, hostname: str, path: str, complaint: str | None) -> None:
        """See `Steered`."""
        self.complaints.append((tunnel, complaint))

    def pay(self, tunnel: FakeServed, hostnames: Collection[str]) -> float:
        """Say how long to wait."""
        self.assertEqual(set(hostnames), {"a.example"})
        return self.owed

    def publish(self, tunnel: FakeServed) -> None:
        """Tell the registry."""
        self.published.append(tunnel)
        tunnel.published_failing = tunnel.failing_hostnames

    def say(self, tunnel: FakeServed, *, healthy: bool) -> None:
        """Report, and wait until that holds."""
        self.health.said(tunnel, OriginHealth(route_id=1, healthy=healthy, detail="" if healthy else "no", probed=True))
        self.clock.pump([0.0, 1.0, 0.0])

    def test_in_force(self) -> None:
        """The route table hears of each change, and the registry of what it changes."""
        first, _ = self.tunnels
        self.say(first, healthy=False)
        self.say(first, healthy=True)
        self.assertEqual(self.complaints, [(first, "no"), (first, None)])
        self.assertEqual(self.published, [first, first])

    def test_published_once(self) -> None:
        """Of many routes that change in one turn the registry hears once."""
        first, _ = self.tunnels
        for route in range(10):
            self.health.said(first, OriginHealth(route_id=route, healthy=False, probed=True))
        self.clock.advance(0)
        self.assertEqual((len(self.complaints), self.published), (10, [first]))

    def test_what_cannot_be_paid(self) -> None:
        """Steering does not wait for DNS; what is not paid is published when it can be, as it is then."""
        first, _ = self.tunnels
        self.owed = 5.0
        self.say(first, healthy=False)
        self.say(first, healthy=True)
        self.say(first, healthy=False)
        self.assertEqual((len(self.complaints), self.published), (3, []))
        self.owed = 0.0
        self.clock.advance(5)
        self.assertEqual((self.published, first.published_failing), ([first], ("a.example",)))

    def test_undone_before_it_was_paid(self) -> None:
        """What has not changed in the end is not published."""
        first, _ = self.tunnels
        self.owed = 5.0
        self.say(first, healthy=False)
        self.say(first, healthy=True)
        self.owed = 0.0
        self.clock.advance(5)
        self.assertEqual((self.published, self.clock.getDelayedCalls()), ([], []))

    def test_gone(self) -> None:
        """Nothing is published of a tunnel that is gone, or after the end."""
        first, second = self.tunnels
        self.owed = 5.0
        self.say(first, healthy=False)
        self.say(second, healthy=False)
        self.health.forget(first)
        self.health.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
