"""Tests of how a policy's splits reach the routes that there are, and those to come."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTunnel
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.split_hostnames import FOLLOWED_IN_A_STEP
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer


def routing(hostname: str, more: str = "") -> RoutingTable:
    """Return the splits of a policy with one entry."""
    text = f"routing: [{{hostname: '{hostname}', split: [{{selector: a, weight: 1}}]{more}}}]"
    return RoutingTable(parse_policy(text, "p").routing)


class SplitHostnamesTests(SynchronousTestCase):
    """`SplitHostnames`, of a table."""

    def setUp(self) -> None:
        self.table = RouteTable(DataPathMetrics())
        self.splitting = self.table.splitting

    def add(self, count: int) -> None:
        """Serve some hostnames."""
        offers = [RouteOffer(id=number, hostname=f"h{number}.a.example") for number in range(count)]
        self.table.add(FakeTunnel("t", labels={"a": "1"}), offers)

    def split(self) -> int:
        """Return how many routes are split."""
        return sum(route.splits is not None for route in self.table.routes)

    def test_in_steps(self) -> None:
        """Routes follow some at a time, those to come at once; a policy without splits takes them out again."""
        self.add(4 * FOLLOWED_IN_A_STEP)
        steps = self.splitting.follow(routing("*.a.example"), self.table.routes)
        next(steps)
        self.assertLessEqual(self.split(), FOLLOWED_IN_A_STEP)
        self.table.add(FakeTunnel("u"), [RouteOffer(id=0, hostname="new.a.example")])
        self.assertIsNotNone(self.table._exact["new.a.example"][0].splits)
        self.assertGreaterEqual(len(list(steps)), 3)
        self.assertEqual(self.split(), len(self.table.routes))
        list(self.splitting.follow(RoutingTable(), self.table.routes))
        self.assertEqual(self.split(), 0)

    def test_overtaken(self) -> None:
        """A policy that comes while another is followed is the one that all routes have in the end."""
        self.add(4 * FOLLOWED_IN_A_STEP)
        first = self.splitting.follow(routing("*.a.example"), self.table.routes)
        next(first)
        second = self.splitting.follow(routing("h1.a.example"), self.table.routes)
        list(first)
        list(second)
        self.assertEqual(self.split(), 1)

    def test_cookies(self) -> None:
        """Keys for cookies are needed as soon as a policy keeps visitors by one."""
        for more, expected in (("", False), (", sticky: {address: true}", False), (", sticky: {cookie: r}", True)):
            list(self.splitting.follow(routing("a.example", more), []))
            self.assertEqual(self.splitting.keeps_by_cookie, expected)
