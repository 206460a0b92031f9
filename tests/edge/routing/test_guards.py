"""Tests of guards at edges that share one registry: what they let go on, take back, and tell."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar, cast
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.fakes import FakeTunnel
from tests.registry.fakes import FlakyStore
from warp_base.slices import Slices
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.share_counters import MAX_SHARES
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.routing.guards import Guards
from warp_twisted.edge.routing.notices import Notices
from warp_twisted.edge.routing.shifts import Shifts
from warp_twisted.names import Hostname
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Tunnel, encode
from warp_twisted.registry.route_records import Guarded
from warp_twisted.routing.guard import Guard
from warp_twisted.routing.outliers import FAILURES
from warp_twisted.routing.split import Split
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

NOW = 1_800_000_000.0
HOSTNAME = "a.example"
POLICY = """
routing:
- hostname: a.example
  split: [{selector: r=stable, weight: %d}, {selector: r=canary, weight: 10}, {selector: r=other, weight: 10}]
  guard: {selector: r=canary, over: 1m, minimum: 100, p99: 1.5x, on_worse: %s}
"""
STABLE, CANARY, OTHER = range(3)
T = TypeVar("T")


class FakeNotices:
    """Remembers what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def tell(self, url: str, notice: Any) -> None:
        """Note it."""
        self.told.append((url, notice))

    def stop(self) -> None:
        """There is nothing to stop."""


class Edge:
    """One edge's part in it."""

    def __init__(self, case: "GuardsTestCase", name: str, releases: tuple[str, ...]) -> None:
        self.case = case
        self.mirror = Mirror(case.store, case.clock)
        case.wait(self.mirror.start())
        case.addCleanup(self.mirror.stop)
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics)
        splitting = self.table.splitting
        self.shifts = Shifts(case.store, self.mirror, case.clock, case.wall, splitting)
        self.notices = FakeNotices()
        self.guards = Guards(
            case.store,
            self.mirror,
            case.clock,
            case.wall,
            splitting,
            self.shifts,
            Slices(case.clock),
            name,
            cast(Notices, self.notices),
        )
        for part in (self.shifts, self.guards):
            part.start()
            case.addCleanup(part.stop)
        for release in releases:
            self.join(release)
        self.use()

    def join(self, release: str) -> None:
        """Let an agent of a release connect."""
        self.table.add(FakeTunnel(release, release, {"r": release}), [RouteOffer(id=0, hostname=HOSTNAME)])

    def use(self, weight: int = 80, on_worse: str = "back", text: str = "") -> None:
        """Follow a policy."""
        routing = RoutingTable(parse_policy(text or POLICY % (weight, on_worse), "p").routing)
        for _ in self.table.splitting.follow(routing, self.table.routes):
            pass

    @property
    def split(self) -> Split:
        """What is in use."""
        return self.table.splitting.splits[HOSTNAME]

    def parts(self) -> list[float]:
        """Return what each share gets now, in percent."""
        (user,) = self.table.splitting.users_of(self.split)
        return [round(part * 100, 2) for part in user.layout.parts]

    def answer(self, share: int, count: int, status: int = 200, seconds: float = 0.01) -> None:
        """Count some requests."""
        for _ in range(count):
            self.table.splitting.counted(self.split)[share].count(status, seconds)

    def found(self) -> str:
        """Return this edge's verdict now."""
        return self.guards.found(self.split)[1].verdict.value


class GuardsTestCase(SynchronousTestCase):
    """Edges on one registry."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.store = FlakyStore(self.clock)
        self.edge = Edge(self, "edge1", ("stable", "canary"))

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns at once."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def shift(self, percent: float, over: float = 0.0, selector: str = "r=canary") -> None:
        """Shift a share."""
        self.wait(self.edge.shifts.shift(HOSTNAME, selector, percent, float(over), "ann"))

    def run_for(
        self, seconds: int, canary: int = 5, failing: int = 0, stable: int = 45, edge: Edge | None = None
    ) -> None:
        """Let each second bring requests, some of which fail."""
        at = edge or self.edge
        for _ in range(seconds):
            at.answer(STABLE, stable)
            at.answer(CANARY, canary - failing)
            at.answer(CANARY, failing, 500)
            self.clock.pump([0.5, 0.5])

    def record(self) -> Guarded | None:
        """Return what the registry has."""
        return self.edge.mirror.guarded.get(HOSTNAME)


class VouchingTests(GuardsTestCase):
    """How far a shift goes."""

    def test_as_good(self) -> None:
        """While the share is as good as the others its shift goes on, a window later than without a guard at most."""
        self.shift(50, 120)
        self.run_for(20)
        self.assertEqual(self.edge.parts()[CANARY], 10)  # too few requests until now
        self.run_for(130)
        self.assertEqual(self.edge.parts()[CANARY], 50)

    def test_undecided(self) -> None:
        """A shift never goes on while nothing is known; and it goes on when that is over, from where it was."""
        self.shift(50, 120)
        self.run_for(60)
        held = self.edge.parts()[CANARY]
        self.assertTrue(10 < held < 40, held)
        self.run_for(70, 0)
        self.assertEqual(self.edge.found(), "undecided")
        held = self.edge.parts()[CANARY]
        self.run_for(300, 0)
        self.assertEqual(self.edge.parts()[CANARY], held)
        self.run_for(40)
        self.assertGreater(self.edge.parts()[CANARY], held)

    def test_from_nothing(self) -> None:
        """A share that has nothing gets a percent, as nobody could judge it otherwise."""
        self.shift(0)
        self.shift(50, 120)
        self.run_for(60, 0)
        self.assertEqual(self.edge.parts()[CANARY], 1)

    def test_less(self) -> None:
        """A shift that gives it less needs nobody to vouch for it; one that takes from the others does."""
        self.shift(0, 100)
        self.run_for(50, 0)
        self.assertEqual(self.edge.parts()[CANARY], 5)
        self.wait(self.edge.shifts.reset(HOSTNAME))
        self.shift(20, 100, "r=stable")
        self.run_for(50, 0)
        self.assertEqual(self.edge.parts()[STABLE], 80)

    def test_registry_away(self) -> None:
        """While the registry cannot be written a shift stands still, and goes on after."""
        self.shift(50, 120)
        self.run_for(50)
        self.store.is_away = True
        held = self.edge.parts()[CANARY]
        self.run_for(60)
        self.assertEqual(self.edge.parts()[CANARY], held)
        self.store.is_away = False
        self.run_for(90)
        self.assertEqual(self.edge.parts()[CANARY], 50)

    def test_error_of_our_own(self) -> None:
        """A look that fails holds the shift and is logged once; the next that does not fail goes on."""
        self.shift(50, 120)
        self.run_for(50)
        held = self.edge.parts()[CANARY]
        with mock.patch.object(Guard, "look", side_effect=ZeroDivisionError):
            self.run_for(60)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.edge.parts()[CANARY], self.edge.found()), (held, "undecided"))
        self.run_for(110)
        self.assertEqual(self.edge.parts()[CANARY], 50)

    def test_clock_set(self) -> None:
        """A shift goes no faster and does not stop when the calendar's clock is set."""
        self.shift(50, 400)
        self.run_for(60)
        before = self.edge.parts()[CANARY]
        for step in (86_400.0, -7 * 86_400.0):
            self.wall.set(self.wall.now() + step)
            self.run_for(40)
            grown, before = self.edge.parts()[CANARY] - before, self.edge.parts()[CANARY]
            self.assertTrue(3 <= grown <= 5, grown)  # 40 of 400 s are 4 %

    def test_restart(self) -> None:
        """An edge that starts later begins where the shift is, and holds nobody up who sees enough."""
        self.shift(50, 120)
        self.run_for(70)
        later = Edge(self, "edge2", ("stable", "canary"))
        self.assertEqual(later.parts(), self.edge.parts())
        self.run_for(90)
        self.assertEqual((later.parts()[CANARY], later.found()), (50, "undecided"))

    def test_two_edges(self) -> None:
        """Two edges that vouch for the same time do not make the shift twice as fast."""
        other = Edge(self, "edge2", ("stable", "canary"))
        self.shift(90, 800)
        for _ in range(100):
            self.run_for(1, edge=other)
            self.edge.answer(STABLE, 45)
            self.edge.answer(CANARY, 5)
        self.assertEqual(self.edge.found(), other.found())
        self.assertLessEqual(self.edge.parts()[CANARY], 20)


class WorseTests(GuardsTestCase):
    """What becomes of a share that does worse."""

    def test_back(self) -> None:
        """It gets nothing within its window, on every edge; what it had goes to the widest, not to another canary."""
        other = Edge(self, "edge2", ("stable", "canary"))
        self.shift(28)
        self.run_for(60)
        self.assertEqual(self.edge.parts(), [64, 28, 8])
        self.run_for(30, 5, 2)
        for edge in (self.edge, other):
            self.assertEqual(edge.parts(), [92, 0, 8])
        record = self.record()
        assert record is not None
        self.assertEqual((record.action, record.selector, record.edge), ("back", "r=canary", "edge1"))
        self.assertRegex(record.reason, "^errors .*%, of the others 0.0%$")
        self.run_for(120)
        self.assertEqual((self.edge.parts()[CANARY], self.record()), (0, record))

    def test_freeze(self) -> None:
        """With freeze its shift stays where it is, for good."""
        self.edge.use(on_worse="freeze")
        self.shift(50, 600)
        self.run_for(80)
        self.run_for(30, 5, 3)
        held = self.edge.parts()[CANARY]
        self.assertTrue(10 < held < 20, held)
        self.run_for(300)
        self.assertEqual((self.edge.parts()[CANARY], self.edge.found()), (held, "worse"))

    def test_freeze_on_the_way_down(self) -> None:
        """A shift that gives the share less goes on all the same."""
        self.edge.use(on_worse="freeze")
        self.shift(0, 100)
        self.run_for(60, 5, 5)
        self.assertEqual((self.edge.found(), self.edge.parts()[CANARY]), ("worse", 4))

    def test_without_a_shift(self) -> None:
        """The weight of the policy is taken back as well, and `warp route reset` has the share judged anew."""
        self.run_for(40, 5, 5)
        self.assertEqual(self.edge.parts(), [90, 0, 10])
        held = self.wait(self.edge.shifts.reset(HOSTNAME))
        self.assertIsInstance(held, Guarded)
        self.assertEqual((self.edge.parts(), self.record()), ([80, 10, 10], None))
        self.run_for(40)
        self.assertEqual(self.edge.found(), "better")

    def test_shifted_again(self) -> None:
        """A new shift begins at nothing, and anew: what the release before did is not held against the next."""
        self.run_for(40, 5, 5)
        self.shift(20, 100)
        self.assertEqual((self.edge.mirror.shifts[HOSTNAME].start, self.edge.parts()[CANARY]), (0, 1))
        self.run_for(150)
        self.assertEqual(self.edge.parts()[CANARY], 20)

    def test_all_at_once(self) -> None:
        """A share that gets all requests at once is judged by what the others did before that."""
        self.run_for(70)
        self.shift(100)
        self.run_for(10, 50, 0, 0)
        self.assertEqual(self.edge.found(), "better")
        self.run_for(20, 50, 10, 0)
        self.assertEqual(self.edge.parts()[CANARY], 0)

    def test_all_at_once_under_other_limits(self) -> None:
        """What was counted under other limits is not held against a share."""
        self.run_for(70)
        self.shift(100)
        self.edge.use(text=(POLICY % (80, "back")).replace("over: 1m", "over: 2m"))
        self.run_for(10, 50, 10, 0)
        self.assertEqual(self.edge.found(), "undecided")

    def test_restart(self) -> None:
        """A share that was taken back is so after a restart, and after a policy with the same split and no guard."""
        self.run_for(40, 5, 5)
        later = Edge(self, "edge2", ("stable", "canary"))
        self.assertEqual(later.parts()[CANARY], 0)
        without = (POLICY % (80, "back")).split("  guard")[0]
        later.use(text=without)
        self.assertEqual(later.parts()[CANARY], 0)

    def test_another_split(self) -> None:
        """A policy with another split forgets the verdict."""
        self.run_for(40, 5, 5)
        self.edge.use(30)
        self.assertEqual((self.edge.parts(), self.record()), ([60, 20, 20], None))

    def test_registry_away(self) -> None:
        """What is worse is taken back at once where it is found, and told to the registry when that is there again."""
        self.store.is_away = True
        self.run_for(40, 5, 5)
        self.assertEqual((self.edge.parts()[CANARY], self.record()), (0, None))
        self.store.is_away = False
        self.run_for(2)
        self.assertEqual(self.edge.parts()[CANARY], 0)
        self.assertIsNotNone(self.record())

    def test_ejected(self) -> None:
        """A share whose only origin is ejected gets too few requests to be judged by; it is taken back all the same."""
        (route,) = self.edge.table.routes
        (member,) = [each for each in route.members if each.load.tunnel.agent == "canary"]
        self.run_for(2, 0)
        for _ in range(FAILURES):
            self.edge.table.ejection.failed(route, member, 0.0)
        self.run_for(58, 0)
        self.assertEqual(self.edge.parts()[CANARY], 10)
        self.run_for(5, 0)
        self.assertEqual((self.edge.parts()[CANARY], self.edge.guards.found(self.edge.split)[1].reason), (
            0, "all of its origins fail, and none has given a good answer in 60 s",
        ))  # fmt: skip

    def test_never_healthy(self) -> None:
        """A share that is shifted to and has no tunnel for a whole window is taken back."""
        edge = Edge(self, "edge2", ("stable",))
        self.wait(edge.shifts.shift(HOSTNAME, "r=canary", 30, 0.0, "ann"))
        self.run_for(50, 0, edge=edge)
        self.assertEqual(edge.parts()[CANARY], 30)
        self.run_for(20, 0, edge=edge)
        self.assertEqual((edge.parts()[CANARY], edge.guards.found(edge.split)[1].reason), (
            0, "none of its tunnels became healthy in 60 s",
        ))  # fmt: skip

    def test_served_elsewhere(self) -> None:
        """A share without a tunnel here is left to the edge that has one, until its origins are not healthy there."""
        edge = Edge(self, "edge2", ("stable",))
        value = Tunnel(id="t", agent="a", slot=0, edge="edge9", hostnames=(Hostname(HOSTNAME),), labels={"r": "canary"})
        self.successResultOf(self.store.put(value.key, encode(value)))
        self.wait(edge.shifts.shift(HOSTNAME, "r=canary", 30, 0.0, "ann"))
        self.run_for(200, 0, edge=edge)
        self.assertEqual((edge.found(), edge.parts()[CANARY]), ("undecided", 30))
        failing = replace(value, failing=value.hostnames)
        self.successResultOf(self.store.put(value.key, encode(failing)))
        self.run_for(80, 0, edge=edge)
        self.assertEqual(edge.parts()[CANARY], 0)

    def test_not_deployed(self) -> None:
        """A share that nobody shifts to, and that has no tunnel, is not judged for that."""
        edge = Edge(self, "edge2", ("stable",))
        self.run_for(200, 0, edge=edge)
        self.assertEqual((edge.found(), edge.parts()[CANARY]), ("undecided", 10))

    def test_slow(self) -> None:
        """Nearly twice as slow is worse than 1.5 times, although the buckets of the metrics do not tell it."""
        for _ in range(40):
            self.edge.answer(STABLE, 45, seconds=0.026)
            self.edge.answer(CANARY, 5, seconds=0.049)
            self.clock.advance(1.0)
            self.clock.advance(0.0)
        self.assertEqual(self.edge.parts()[CANARY], 0)

    def test_notice(self) -> None:
        """The URL of the policy is told once, by the edge that found it, also while the registry is away."""
        self.edge.use(text=(POLICY % (80, "back")).replace("p99: 1.5x", "notify: 'https://hooks.example/x'"))
        self.store.is_away = True
        self.run_for(40, 5, 5)
        self.store.is_away = False
        self.run_for(40, 5, 5)
        ((url, notice),) = self.edge.notices.told
        self.assertEqual((url, notice["action"], notice["hostname"]), ("https://hooks.example/x", "back", HOSTNAME))
        self.assertIn("a.example: r=canary does worse than the others, so it gets nothing any more", notice["text"])

    def test_told_once(self) -> None:
        """A verdict is counted once, however long it holds."""
        self.run_for(100, 5, 5)
        samples = {sample.name: sample.value for family in self.edge.guards.collect() for sample in family.samples}
        self.assertEqual(samples, {"warp_edge_guard_verdict": -1, "warp_edge_guard_worse_total": 1})

    def test_not_counted_apart(self) -> None:
        """Where shares are counted together nobody is judged by what others did; guarded ones are counted apart."""
        entries = "".join(f"- {{hostname: h{n}.example, split: [{{selector: '', weight: 1}}]}}\n" for n in range(600))
        for number in range(MAX_SHARES):
            self.edge.metrics.shares.of("gone.example", f"s{number}")
        self.edge.use(text=POLICY % (80, "back") + entries)
        self.assertTrue(self.edge.table.splitting.is_judged(self.edge.split))
        for number in range(MAX_SHARES):
            self.edge.metrics.shares.of(f"h{number}.example", "")
        self.edge.use(text=(POLICY + POLICY.split("routing:\n")[1].replace("a.ex", "b.ex")) % (80, "back", 70, "back"))
        self.assertTrue(self.edge.table.splitting.is_judged(self.edge.split))
