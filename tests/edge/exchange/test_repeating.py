"""Tests of whether a request that got no answer is sent again, and to whom."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.exchange.repeating import MAX_SENT, Cause, Repeating
from warp_twisted.edge.routes.counters import DataPathMetrics, HostCounters
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.pool import Member, OriginStream
from warp_twisted.edge.routes.route import Route
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.routing.retry_budget import RESERVE


class RepeatingTests(SynchronousTestCase):
    """Agent `a` has two tunnels; others join where a test says so."""

    def setUp(self) -> None:
        self.metrics = DataPathMetrics()
        self.route = Route("a.example", "", HostCounters(), None)
        self.loads: dict[str, TunnelLoad] = {}
        self.join("a1", "a2")
        self.repeating = Repeating(self.route, None, self.metrics)

    def join(self, *names: str) -> None:
        """Let tunnels join; the first letter is the agent's id."""
        for name in names:
            load = self.loads[name] = TunnelLoad(FakeTunnel(name, name[0]))
            self.route.join(Member(load, 0, ResponseRules(), 2))

    def stream(self, name: str, *, was_used: bool = False) -> OriginStream:
        """Return a stream of a tunnel that the request was sent on."""
        member = self.route.member_of(self.loads[name])
        assert member is not None
        origin = member.lend(FakeBorrower(), float("inf"))
        origin.was_used = was_used
        return origin

    def send(self, left: OriginStream, cause: Cause) -> str | None:
        """Send the request again; return which tunnel it goes to."""
        origin = self.repeating.borrow(FakeBorrower(), left, cause)
        return None if origin is None else origin.member.load.tunnel.id

    def test_other_agent(self) -> None:
        """A request without an answer goes to another agent, although the same one has another tunnel."""
        for cause in (Cause.CUT, Cause.TUNNEL_LOST, Cause.SUSPECTED, Cause.REFUSED):
            for was_used in (False, True):
                self.setUp()
                self.join("b1")
                self.assertEqual(self.send(self.stream("a1", was_used=was_used), cause), "b1", cause)

    def test_nobody_else(self) -> None:
        """Where one agent serves alone its other tunnel will do, but not for an origin that has just died of it."""
        for cause, was_used, expected in (
            (Cause.CUT, False, None),
            (Cause.CUT, True, {"a1", "a2"}),
            (Cause.TUNNEL_LOST, False, {"a2"}),
            (Cause.REFUSED, False, None),
        ):
            self.setUp()
            found = self.send(self.stream("a1", was_used=was_used), cause)
            self.assertTrue(found in expected if expected else found is None, (cause, found))

    def test_never_worked_on_three_times(self) -> None:
        """What may have been worked on is sent once more, whatever becomes of that."""
        self.join("b1", "c1")
        self.assertIn(self.send(self.stream("a1"), Cause.CUT), ("b1", "c1"))
        for cause in (Cause.CUT, Cause.TUNNEL_LOST, Cause.SUSPECTED):
            self.assertIsNone(self.send(self.stream("b1"), cause))
        self.assertEqual(self.metrics.retries, 1)

    def test_refused_meanwhile(self) -> None:
        """An agent that never reached its origin does not count as one that worked on it, but it is not asked again."""
        self.join("b1", "c1")
        second = self.send(self.stream("a1", was_used=True), Cause.CUT)
        assert second is not None
        third = self.send(self.stream(second), Cause.REFUSED)
        self.assertEqual({second, third}, {"b1", "c1"})
        self.assertIsNone(self.send(self.stream("a2"), Cause.REFUSED))
        self.assertEqual(self.metrics.retries, MAX_SENT - 1)

    def test_suspected_others(self) -> None:
        """A silent agent gets no request of another silent one; a new connection of a healthy one is better."""
        self.join("b1")
        self.route.suspect(self.loads["b1"])
        self.assertIsNone(self.send_of_suspected())
        self.setUp()
        self.join("b1")
        self.route.suspect(self.loads["b1"])
        self.assertIn(self.send(self.stream("a1", was_used=True), Cause.CUT), ("a1", "a2"))

    def send_of_suspected(self) -> str | None:
        """All tunnels of the agent are suspected, and the request on one is to be sent again."""
        for name in ("a1", "a2"):
            self.route.suspect(self.loads[name])
        return self.send(self.stream("a1"), Cause.SUSPECTED)

    def test_budget(self) -> None:
        """Beyond the hostname's budget nothing that may have been worked on is sent again, and that is counted."""
        self.join("b1")
        for _ in range(int(RESERVE)):
            self.repeating = Repeating(self.route, None, self.metrics)
            self.assertEqual(self.send(self.stream("a1"), Cause.CUT), "b1")
        for cause in (Cause.CUT, Cause.SUSPECTED):
            self.repeating = Repeating(self.route, None, self.metrics)
            self.assertIsNone(self.send(self.stream("a1"), cause))
        self.assertEqual((self.metrics.retries, self.metrics.retries_over_budget), (RESERVE, 2))
        self.route.counters.sent += 5
        self.assertEqual(self.send(self.stream("a1"), Cause.CUT), "b1")

    def test_free(self) -> None:
        """What no origin saw, or what a lost tunnel had, is load that moves: the budget is not asked."""
        self.join("b1")
        for _ in range(int(RESERVE) * 3):
            for cause in (Cause.REFUSED, Cause.TUNNEL_LOST):
                self.repeating = Repeating(self.route, None, self.metrics)
                self.assertEqual(self.send(self.stream("a1"), cause), "b1")
        self.assertTrue(self.route.counters.retry_budget.allows(0))
        self.assertEqual(self.metrics.retries_over_budget, 0)

    def test_nobody_costs_nothing(self) -> None:
        """A request that nobody takes is no retry."""
        self.assertIsNone(self.send(self.stream("a1"), Cause.CUT))
        self.assertEqual((self.metrics.retries, self.metrics.retries_over_budget), (0, 0))
