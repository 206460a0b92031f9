"""Tests of other edges' tunnels in the table of routes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.remote_agents import RemoteAgents
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.wire.control import RouteOffer


@dataclass(frozen=True)
class Told:
    """A route of a tunnel."""

    hostname: str
    path: str = ""
    max_requests: int = 0
    host_header: str = ""
    own_scheme: Literal["", "http", "https"] = ""
    failing: bool = False


@dataclass(frozen=True)
class ToldTunnel:
    """A tunnel of another edge."""

    id: str
    edge: str = "edge-2"
    agent: str = "agent-1"
    labels: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    registered_at: float = 1.0
    routes: Sequence[Told] = (Told("a.example"),)


class RemoteAgentsTests(SynchronousTestCase):
    """`RemoteAgents`."""

    def setUp(self) -> None:
        self.table = RouteTable(DataPathMetrics())
        self.jobs: list[Iterator[None]] = []
        self.agents = RemoteAgents(self.table, lambda edge: None, RelayCounters(), self.jobs.append)

    def tell(self, before: ToldTunnel | None, after: ToldTunnel | None) -> None:
        """Tell of one change, and let it be put in place."""
        self.agents.changed([(before, after)])
        self.work()

    def work(self) -> None:
        """Do what is to be done."""
        for job in self.jobs:
            for _ in job:
                pass
        self.jobs.clear()

    def route(self, hostname: str = "a.example", path: bytes = b"/") -> Route | None:
        found = self.table.find(hostname, path)
        assert found is None or isinstance(found, Route)
        return found

    def served(self, hostname: str = "a.example") -> list[tuple[str, str]]:
        """Return edge and agent of each tunnel that serves a hostname."""
        route = self.route(hostname)
        tunnels = [] if route is None else [member.load.tunnel for member in route.members]
        return sorted((tunnel.via, tunnel.agent) for tunnel in tunnels)

    def test_come_and_go(self) -> None:
        """All tunnels of an agent at an edge are one member, which goes with the last of them."""
        first, second = ToldTunnel("t-1"), ToldTunnel("t-2", registered_at=2.0)
        self.tell(None, first)
        self.tell(None, second)
        self.tell(None, ToldTunnel("t-1", edge="edge-3"))
        self.assertEqual(self.served(), [("edge-2", "agent-1"), ("edge-3", "agent-1")])
        self.tell(first, None)
        self.assertEqual(self.agents.count, 2)
        self.tell(second, replace(second, draining=True))
        self.assertEqual(self.served(), [("edge-3", "agent-1")])
        self.tell(replace(second, draining=True), None)
        self.tell(ToldTunnel("t-1", edge="edge-3"), None)
        self.assertEqual((self.served(), self.agents.count), ([], 0))
        route = self.route()
        assert route is not None
        self.assertIsNotNone(route.gone_at)  # remembered, so 503 rather than 404

    def test_the_newest_says(self) -> None:
        """The newest tunnel says what is served, by which labels, and how many requests its origin takes."""
        old = ToldTunnel("t-1", routes=[Told("a.example"), Told("b.example")])
        new = ToldTunnel(
            "t-2",
            registered_at=2.0,
            labels={"release": "canary"},
            routes=[Told("b.example", "^/v1", 2), Told("b.example")],
        )
        self.tell(None, old)
        self.tell(None, new)
        self.assertEqual(self.served("a.example"), [])
        rule = self.route("b.example", b"/v1/x")
        assert rule is not None
        (member,) = rule.members
        self.assertEqual(
            (rule.path, member.max_requests, member.load.tunnel.labels), ("^/v1", 2, {"release": "canary"})
        )
        self.tell(new, None)
        self.assertEqual(self.served("a.example"), [("edge-2", "agent-1")])

    def test_local_ones_first(self) -> None:
        """A tunnel of this edge is used before, and one that goes leaves the others."""
        self.tell(None, ToldTunnel("t-1", agent="agent-2"))
        local = FakeTunnel("here")
        self.table.add(local, [RouteOffer(id=0, hostname="a.example")])
        route = self.route()
        assert route is not None
        self.assertEqual({route.borrow(FakeBorrower()).member.load.tunnel.id for _ in range(5)}, {"here"})
        self.assertEqual(route.healthy, 2)

    def test_failing(self) -> None:
        """An origin that is not healthy by the other edge's word is chosen last, until it is healthy again."""
        sick = ToldTunnel("t-1", routes=[Told("a.example", failing=True), Told("b.example")])
        self.tell(None, sick)
        route, other = self.route(), self.route("b.example")
        assert route is not None
        assert other is not None
        self.assertEqual((route.healthy, other.healthy), (0, 1))
        self.assertEqual(list(route.complaints), [("agent-1", "edge edge-2 says that its agent's probes fail")])
        well = replace(sick, routes=[Told("a.example"), Told("b.example")])
        self.tell(sick, well)
        self.assertEqual(route.healthy, 1)

    def test_rules_that_are_too_large(self) -> None:
        """What this edge cannot take is said, and the agent gets nothing of it from here."""
        good = ToldTunnel("t-1")
        self.tell(None, good)
        bad = replace(good, routes=[Told("a.example", "(")])
        with capturedLogs() as logged:
            self.tell(good, bad)
        self.assertEqual([event["log_level"] for event in logged], [LogLevel.warn])
        self.assertEqual((self.served(), self.agents.count), ([], 0))

    def test_many_at_once(self) -> None:
        """Thousands are put in place a step each, the last word on each counts, and one job does it all."""
        tunnels = [ToldTunnel(f"t-{number}", agent=f"agent-{number}") for number in range(2_000)]
        self.agents.changed([(None, tunnel) for tunnel in tunnels])
        self.agents.changed([(tunnels[0], None)])
        self.assertEqual(len(self.jobs), 1)
        self.assertEqual(sum(1 for _ in self.jobs[0]), 2_000)
        self.assertEqual(self.agents.count, 1_999)
        self.jobs.clear()
        self.tell(tunnels[1], None)
        self.assertEqual(self.agents.count, 1_998)
