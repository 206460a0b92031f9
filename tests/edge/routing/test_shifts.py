"""Tests of shifts: records in the registry that every edge follows."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.fakes import FakeTunnel
from tests.registry.fakes import FlakyStore
from warp_twisted.edge.errors import CannotShift, NotShifted
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.routing.shifts import Shifts
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.registry.errors import StoreClosed
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.route_records import Shift
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer

NOW = 1_800_000_000.0
SPLIT = "{selector: release=stable, weight: %d}, {selector: release=canary, weight: 10}"
T = TypeVar("T")


class Edge:
    """One edge's part in it."""

    def __init__(self, case: "ShiftsTests") -> None:
        self.mirror = Mirror(case.store, case.clock)
        case.wait(self.mirror.start())
        case.addCleanup(self.mirror.stop)
        self.table = RouteTable(DataPathMetrics())
        self.shifts = Shifts(case.store, self.mirror, case.clock, case.wall, self.table.splitting)
        self.shifts.start()
        case.addCleanup(self.shifts.stop)
        offers = [RouteOffer(id=number, hostname=f"{name}.example") for number, name in enumerate("ab")]
        self.table.add(FakeTunnel("t", labels={"release": "stable"}), offers)

    def use(self, weight: int = 90, hostname: str = "a.example") -> None:
        """Follow a policy; weight 0: one without splits."""
        entry = f"{{hostname: {hostname}, split: [{SPLIT % weight}]}}" if weight else ""
        routing = RoutingTable(parse_policy(f"routing: [{entry}]", "p").routing)
        for _ in self.table.splitting.follow(routing, self.table.routes):
            pass

    def canary(self) -> float:
        """Return what the canary gets of a.example, in percent."""
        (split,) = [split for split, _ in self.shifts.listed() if split.hostname == "a.example"]
        (user,) = self.table.splitting.users_of(split)
        return round(user.layout.parts[1] * 100, 2)


class ShiftsTests(SynchronousTestCase):
    """Two edges on one registry."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = SettableWallClock(NOW, self.clock)
        self.store = FlakyStore(self.clock)
        self.one, self.two = Edge(self), Edge(self)
        for edge in (self.one, self.two):
            edge.use()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns at once."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def refused(self, coroutine: Coroutine[Any, Any, object], kind: type[Exception]) -> str:
        """Return why something is refused."""
        return str(self.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)

    def shift(self, percent: float, over: float = 0.0, selector: str = "release=canary") -> None:
        """Shift the canary, asked of the first edge."""
        self.wait(self.one.shifts.shift("A.example.", selector, percent, over, "ann"))

    def both(self) -> list[float]:
        """Return what the canary gets at each edge, in percent."""
        return [self.one.canary(), self.two.canary()]

    def kept(self) -> bool:
        """Whether the registry holds a shift."""
        return bool(self.wait(self.listing()).items)

    async def listing(self) -> Any:
        """Read the shifts of the registry."""
        return await self.store.range("warp/shifts/")

    def test_at_once(self) -> None:
        """A shift holds at every edge at once, until it is reset."""
        self.assertEqual(self.both(), [10, 10])
        self.shift(25)
        self.assertEqual(self.both(), [25, 25])
        self.shift(0)
        self.assertEqual(self.both(), [0, 0])
        shift = self.wait(self.two.shifts.reset("a.example"))
        assert isinstance(shift, Shift)
        self.assertEqual((shift.target, shift.author), (0, "ann"))
        self.assertEqual(self.both(), [10, 10])
        self.assertIn("a.example is not shifted", self.refused(self.one.shifts.reset("a.example"), NotShifted))

    def test_little_by_little(self) -> None:
        """A shift over some time goes on evenly at every edge; another one begins where it is."""
        self.shift(70, 600)
        self.clock.pump([1.0] * 300)
        self.assertEqual(self.both(), [40, 40])
        self.shift(20, 100)
        self.clock.pump([1.0] * 50)
        self.assertEqual(self.both(), [30, 30])
        self.clock.pump([1.0] * 600)
        self.assertEqual(self.both(), [20, 20])

    def test_restart(self) -> None:
        """An edge that starts later has the shift as far as it has come; so has one whose routes come later."""
        self.shift(70, 600)
        self.clock.pump([1.0] * 300)
        later = Edge(self)
        later.use()
        self.assertEqual(later.canary(), 40)
        later.table.add(FakeTunnel("u"), [RouteOffer(id=0, hostname="a.example", path="^/x")])
        (split,) = [split for split, _ in later.shifts.listed()]
        self.assertEqual({user.layout.parts[1] for user in later.table.splitting.users_of(split)}, {0.4})

    def test_clock_set_back(self) -> None:
        """When the clock is set back nobody goes back, and the shift goes on when it is there again."""
        self.shift(70, 600)
        self.clock.pump([1.0] * 300)
        self.wall.set(NOW - 10_000)
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.both(), [40, 40])
        self.wall.set(NOW + 400)
        self.clock.pump([1.0] * 2)
        self.assertGreater(self.one.canary(), 50)

    def test_policy_that_leaves_it(self) -> None:
        """A policy that is applied again, or leaves the hostname out for a while, keeps the shift."""
        self.shift(25)
        for edge in (self.one, self.two):
            edge.use()
        self.assertEqual(self.both(), [25, 25])
        self.one.use(0)
        self.one.use()
        self.assertEqual((self.both(), self.kept()), ([25, 25], True))

    def test_policy_that_changes_it(self) -> None:
        """A policy with another split clears it; an edge that hears of that policy late clears no later shift."""
        self.shift(25)
        self.one.use(30)
        self.assertEqual((self.both(), self.kept()), ([25, 10], False))  # of weights 30 and 10, 90 and 10
        self.shift(50)  # of the new split, which the other edge does not have yet
        self.assertEqual(self.both(), [50, 10])
        self.two.use(30)
        self.assertEqual((self.both(), self.kept()), ([50, 50], True))

    def test_registry_away(self) -> None:
        """While the registry is away shifts hold, none is made, and one of a split that has changed does nothing."""
        self.shift(25)
        self.store.is_away = True
        self.refused(self.one.shifts.shift("a.example", "release=canary", 50, 0), StoreClosed)
        self.refused(self.one.shifts.reset("a.example"), StoreClosed)
        self.assertEqual(self.both(), [25, 25])
        self.one.use(30)
        self.assertEqual(self.one.canary(), 25)  # of weights 30 and 10
        self.store.is_away = False
        self.wait(self.one.shifts.reset("a.example"))
        self.assertFalse(self.kept())

    def test_refused(self) -> None:
        """What cannot be shifted is said with what can be."""
        shift = self.one.shifts.shift
        for coroutine, expected in (
            (shift("b.example", "release=canary", 5, 0), "no entry of the policy's routing is for b.example; hostnames"
             " with one: a.example"),
            (shift("a.example", "release=canray", 5, 0), "its shares are release=stable, release=canary"),
        ):  # fmt: skip
            self.assertIn(expected, self.refused(coroutine, CannotShift))
        for percent, over in ((101, 0), (-1, 0), (5, -1), (5, 1e9), (float("nan"), 0)):
            self.refused(shift("a.example", "release=canary", percent, over), ValueError)
        self.shift(25)
        other = self.refused(shift("a.example", "release=stable", 5, 0), CannotShift)
        self.assertIn("one share is shifted at a time; reset that first", other)

    def test_all_the_weight(self) -> None:
        """Where one share has all the weight, nothing says who would get what it gives up; it can grow again."""
        text = "routing: [{hostname: a.example, split: [{selector: x, weight: 1}, {selector: y, weight: 0}]}]"
        splitting = self.one.table.splitting
        for _ in splitting.follow(RoutingTable(parse_policy(text, "p").routing), self.one.table.routes):
            pass
        self.assertIn("has all the weight", self.refused(self.one.shifts.shift("a.example", "x", 5, 0), CannotShift))
        self.wait(self.one.shifts.shift("a.example", "y", 5, 0))
        self.assertEqual(self.one.canary(), 5)

    def test_share_without_selector(self) -> None:
        """The share that takes all others has a name wherever a message names a share."""
        text = "routing: [{hostname: a.example, split: [{selector: '', weight: 1}, {selector: y, weight: 0}]}]"
        for _ in self.one.table.splitting.follow(RoutingTable(parse_policy(text, "p").routing), []):
            pass
        shift = self.one.shifts.shift
        self.assertIn("its shares are (all others), y", self.refused(shift("a.example", "x", 5, 0), CannotShift))
        self.assertIn("(all others) has all the weight", self.refused(shift("a.example", "", 5, 0), CannotShift))
        self.wait(shift("a.example", "", 100, 0))
        self.assertIn("has a shift of (all others), and", self.refused(shift("a.example", "y", 5, 0), CannotShift))

    def test_two_at_once(self) -> None:
        """Of two who shift at one moment the second is told."""
        self.store.when_asked = lambda: self.wait(self.two.shifts.shift("a.example", "release=canary", 30, 0))
        told = self.refused(self.one.shifts.shift("a.example", "release=canary", 50, 0), CannotShift)
        self.assertIn("was shifted by somebody else meanwhile", told)
        self.assertEqual(self.both(), [30, 30])
