"""Tests of the calls about split hostnames; the shifts behind them are a fake."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyChannel, DummyRequest

from tests.edge.fakes import FakeTunnel
from warp_twisted.edge.operators.routing_calls import RoutingCalls
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.mirror_counters import Unanswered
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.registry.route_records import Guarded, Shift
from warp_twisted.routing.guard import Finding, Verdict
from warp_twisted.routing.outliers import FAILURES, FIRST_SECONDS
from warp_twisted.routing.split import Split
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

SHIFT = Shift(
    hostname="a.example", split="x", selector="r=b", start=1_000, target=2_500, began_at=5.0, over_seconds=60.0,
    author="ann",
)  # fmt: skip
POLICY = """
routing:
- hostname: a.example
  split: [{selector: r=a, weight: 3}, {selector: r=b, weight: 1}, {selector: r=c, weight: 1, tier: 2}]
  sticky: {cookie: warp_route}
  mirror: {selector: r=n, percent: 5}
- {hostname: "*.b.example", split: [{selector: "", weight: 1}], sticky: {address: true}, when_empty: 503,
   testers: {header: X-A, identities: ["basic:a"]}}
"""


class FakeShifts:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.splits: list[tuple[Split, tuple[Shift, int] | None]] = []
        self.asked: list[object] = []

    def listed(self) -> Iterator[tuple[Split, tuple[Shift, int] | None]]:
        """Return what the test says."""
        return iter(self.splits)

    async def shift(self, hostname: str, selector: str, percent: float, over_seconds: float, author: str = "") -> Shift:
        """Note it."""
        self.asked.append((hostname, selector, percent, over_seconds))
        return SHIFT

    async def reset(self, hostname: str, author: str = "") -> Shift:
        """Note it."""
        self.asked.append(hostname)
        return SHIFT


class FakeGuards:
    """Says what the test says."""

    def __init__(self) -> None:
        self.record: Guarded | None = None
        self.finding = Finding(Verdict.UNDECIDED, "it had 1 of 100 requests")

    def found(self, split: Split) -> tuple[Guarded | None, Finding]:
        """Return what the test says."""
        return self.record, self.finding


class RoutingCallsTests(SynchronousTestCase):
    """One call at a time."""

    def setUp(self) -> None:
        self.shifts = FakeShifts()
        self.guards = FakeGuards()
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics)
        calls = RoutingCalls(self.shifts, self.guards, self.table.splitting, self.table.ejection, execute)
        self.calls = {f"{method} {path}": function for method, path, function in calls.calls()}

    def call(self, call: str, body: bytes, *arguments: str) -> Any:
        """Make a call, and return what it answers."""
        request: Any = DummyRequest([])
        request.channel = DummyChannel()
        request.content = BytesIO(body)
        return self.successResultOf(Deferred.fromCoroutine(self.calls[call](request, *arguments)))

    def splits(self) -> Any:
        """List the splits."""
        return json.loads(b"".join(self.calls["GET /v1/splits"](None)))

    def test_none(self) -> None:
        """Without splits the list is empty."""
        self.assertEqual(self.splits(), [])

    def test_listed(self) -> None:
        """Each split is told with its shares, what they got and what serves them."""
        routing = RoutingTable(parse_policy(POLICY, "p").routing)
        list(self.table.splitting.follow(routing, []))
        self.shifts.splits = [(routing.splits[0], (SHIFT, 1_750)), (routing.splits[1], None)]
        for number, release in enumerate("aacxn"):
            tunnel = FakeTunnel(f"t{number}", f"agent-{number}", {"r": release})
            self.table.add(tunnel, [RouteOffer(id=0, hostname="a.example")])
        self.metrics.shares.of("a.example", "r=a").count(200, 0.1)
        self.metrics.shares.of("a.example", "r=a").count(503, 0.1)
        self.metrics.mirrors.of("a.example").count(500, 0.1)
        self.metrics.mirrors.of("a.example").unanswered[Unanswered.LATE] = 1
        first, second = self.splits()
        self.assertEqual((first["sticky"], first["tier"], first["unmatched"]), ("cookie warp_route", 0, 1))
        self.assertEqual((first["shift"]["part"], first["shift"]["author"]), (0.175, "ann"))
        self.assertEqual(first["shares"][0], {
            "selector": "r=a", "weight": 3, "tier": 0, "part": 0.75, "tunnels": 2, "healthy": 2, "requests": 2,
            "errors": 1,
        })  # fmt: skip
        self.assertEqual([share["part"] for share in first["shares"]], [0.75, 0.25, 0.0])
        self.assertEqual(first["mirror"], {
            "selector": "r=n", "percent": 5.0, "tunnels": 1, "healthy": 1, "copies": 2, "answered": 1, "errors": 1,
            "unanswered": {"late": 1},
        })  # fmt: skip
        self.assertIsNone(second["mirror"])
        self.assertEqual((first["testers"], second["testers"]), ("", "header X-A"))
        self.assertEqual((second["hostname"], second["sticky"], second["when_empty"]), ("*.b.example", "address", 503))
        self.assertIsNone(second["shift"])

    def test_unhealthy(self) -> None:
        """Agents whose origins are not healthy by their probes are told with their shares, each once."""
        routing = RoutingTable(parse_policy(POLICY, "p").routing)
        list(self.table.splitting.follow(routing, []))
        self.shifts.splits = [(split, None) for split in routing.splits]
        for number in range(3):
            tunnel = FakeTunnel(f"t{number}", f"agent-{number // 2}", {"r": "ab"[number // 2]})
            self.table.add(tunnel, [RouteOffer(id=0, hostname="a.example")])
            self.table.report(tunnel, "a.example", "", "it answers 500" if number < 2 else None)
        first, second = self.splits()
        self.assertEqual(first["unhealthy"], [{"selector": "r=a", "agent": "agent-0", "reason": "it answers 500"}])
        self.assertEqual((second["unhealthy"], second["when_all_unhealthy"]), ([], "try"))

    def test_ejected(self) -> None:
        """An origin that is ejected is told with its split, and with no other one's."""
        routing = RoutingTable(parse_policy(POLICY, "p").routing)
        list(self.table.splitting.follow(routing, []))
        self.shifts.splits = [(split, None) for split in routing.splits]
        tunnels = [FakeTunnel(f"t{number}", f"agent-{number}", {"r": release}) for number, release in enumerate("ab")]
        for tunnel in tunnels:
            self.table.add(tunnel, [RouteOffer(id=0, hostname="a.example")])
        route = self.table.find("a.example", b"/")
        assert isinstance(route, Route)
        self.assertEqual([each["ejected"] for each in self.splits()], [[], []])
        (member,) = [each for each in route.members if each.load.tunnel is tunnels[1]]
        for _ in range(FAILURES):
            self.table.ejection.failed(route, member, 7.0)
        first, second = self.splits()
        self.assertEqual(first["ejected"], [{
            "hostname": "a.example", "path": "", "agent": "agent-1", "state": "ejected", "failures": FAILURES,
            "seconds": FIRST_SECONDS, "selector": "r=b",
        }])  # fmt: skip
        self.assertEqual((first["shares"][1]["healthy"], first["shares"][1]["tunnels"]), (0, 1))
        self.assertEqual(second["ejected"], [])

    def guard(self, guard: str) -> Any:
        """Return what is told of the guard of a split."""
        text = "routing: [{hostname: a.example, split: [{selector: r=a, weight: 3}, {selector: r=b, weight: 1}]%s}]"
        (split,) = RoutingTable(parse_policy(text % guard, "p").routing).splits
        list(self.table.splitting.follow(RoutingTable(parse_policy(text % guard, "p").routing), []))
        self.shifts.splits = [(split, None)]
        return self.splits()[0]["guard"]

    def test_guard(self) -> None:
        """A guard is told with what it finds, and what it has done, also when a policy has no guard any more."""
        self.assertIsNone(self.guard(""))
        found = self.guard(", guard: {selector: r=b}")
        self.assertEqual((found["selector"], found["verdict"], found["action"]), ("r=b", "undecided", ""))
        self.guards.record = Guarded(
            hostname="a.example", split="x", selector="r=b", action="back", reason="errors", edge="edge1", at=5.0
        )
        for guard in ("", ", guard: {selector: r=b}"):
            self.assertEqual(self.guard(guard), {
                "selector": "r=b", "verdict": "worse", "reason": "errors", "action": "back", "edge": "edge1", "at": 5.0,
            })  # fmt: skip

    def test_shift(self) -> None:
        """A wish is read strictly, and what came of it is told in parts of 1."""
        body = b'{"hostname": "a.example", "selector": "r=b", "percent": 25, "over_seconds": 60}'
        told = self.call("POST /v1/shifts", body)
        self.assertEqual((told["start"], told["target"], told["part"]), (0.1, 0.25, 0.1))
        self.call("DELETE /v1/shifts/<hostname>", b"", "*.b.example")
        self.assertEqual(self.shifts.asked, [("a.example", "r=b", 25.0, 60.0), "*.b.example"])
        for wrong in (b"{}", b'{"hostname": "a", "selector": "b", "percent": 101}', body.replace(b"over", b"ovr")):
            request: Any = DummyRequest([])
            request.content = BytesIO(wrong)
            self.failureResultOf(Deferred.fromCoroutine(self.calls["POST /v1/shifts"](request)), ValueError)
