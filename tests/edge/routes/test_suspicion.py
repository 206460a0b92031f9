"""Tests of which tunnels are suspected of being dead."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel, opened
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.load import Standing
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.suspicion import (
    LOOKS_PER_TURN,
    STANDING_TRANSITIONS,
    TICK_SECONDS,
    TOLD_PER_TURN,
    StandingEvent,
    Suspicion,
)
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.wire.control import RouteOffer

PATIENCE = 2.0


class StandingTests(SynchronousTestCase):
    """The table."""

    def test_every_standing_is_reached(self) -> None:
        """Each standing but the first is somewhere an event leads, each event leads somewhere, and GONE is the end."""
        self.assertEqual({Standing.TRUSTED, *STANDING_TRANSITIONS.values()}, set(Standing))
        self.assertEqual({event for _, event in STANDING_TRANSITIONS}, set(StandingEvent))
        after = {STANDING_TRANSITIONS.get((Standing.GONE, event)) for event in StandingEvent}
        self.assertEqual(after, {None, Standing.GONE})

    def test_suspected_only_after_a_ping(self) -> None:
        """Only who does not answer a ping is suspected, and being heard is all that it takes to be trusted again."""
        before = {state for (state, _), after in STANDING_TRANSITIONS.items() if after is Standing.SUSPECTED}
        self.assertEqual(before, {Standing.PINGED})
        self.assertIs(STANDING_TRANSITIONS[Standing.SUSPECTED, StandingEvent.HEARD], Standing.ASKED)


class SuspicionTests(SynchronousTestCase):
    """Two agents serve one hostname."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.table = RouteTable(DataPathMetrics())
        self.suspicion = Suspicion(self.clock, self.table, lambda: PATIENCE)
        self.table.watch = self.suspicion.watch
        self.silent, self.other = FakeTunnel("t-1", "agent-1"), FakeTunnel("t-2", "agent-2")
        for tunnel in (self.silent, self.other):
            self.table.add(tunnel, [RouteOffer(id=0, hostname="a.example")])
        route = self.table.find("a.example", b"/")
        assert isinstance(route, Route)
        self.route = route

    def borrow(self, tunnel: FakeTunnel) -> OriginStream:
        """Give a request to a tunnel."""
        avoid = {self.silent, self.other} - {tunnel}
        return self.route.borrow(FakeBorrower(), avoid)

    def pass_time(self, seconds: float, heard: FakeTunnel | None = None) -> None:
        """Let time pass, in which one tunnel is heard all the time."""
        for _ in range(round(seconds / TICK_SECONDS)):
            if heard is not None:
                heard.protocol.heard_at += 1.0
            self.clock.advance(TICK_SECONDS)

    def suspected(self) -> list[str]:
        """Return the tunnels that are suspected."""
        return [load.tunnel.id for load in self.suspicion.suspected]

    def served_by(self, count: int = 6) -> set[str]:
        """Say which tunnels further requests are given to; those of another than the silent one are answered."""
        origins = [self.route.borrow(FakeBorrower()) for _ in range(count)]
        return {origin.member.load.tunnel.id for origin in origins}

    def test_suspected(self) -> None:
        """A tunnel that is silent is pinged half-way, then suspected: who uses it is told, and others are chosen."""
        origin = self.borrow(self.silent)
        self.pass_time(1.2)
        self.assertEqual((self.silent.protocol.pings, self.suspected()), (1, []))
        self.pass_time(1.0)
        self.clock.advance(0)
        self.assertEqual((self.silent.protocol.pings, self.suspected()), (1, ["t-1"]))
        assert isinstance(origin.borrower, FakeBorrower)
        self.assertEqual(origin.borrower.events, ["suspected"])
        self.assertEqual(self.served_by(), {"t-2"})
        self.assertEqual(self.suspicion.total, 1)

    def test_heard_again(self) -> None:
        """One byte of a suspected tunnel, and it is chosen again; nobody is told of what is over."""
        origin = self.borrow(self.silent)
        self.pass_time(2.2)
        self.silent.protocol.heard_at += 1.0
        self.pass_time(TICK_SECONDS)
        self.assertEqual(self.suspected(), [])
        self.assertEqual(self.served_by(), {"t-1", "t-2"})
        self.assertIs(origin.member.load.standing, Standing.ASKED)

    def test_slow_origin(self) -> None:
        """An agent that answers pings is not suspected, however long its origin takes."""
        origin = self.borrow(self.silent)
        for _ in range(30):
            pings = self.silent.protocol.pings
            self.pass_time(TICK_SECONDS)
            if self.silent.protocol.pings > pings:
                self.silent.protocol.heard_at += 1.0
        self.assertEqual((self.suspected(), self.silent.protocol.pings), ([], 1))
        self.assertIs(origin.member.load.standing, Standing.TRUSTED)  # heard long after it was asked: it lives

    def test_what_was_on_its_way(self) -> None:
        """Bytes that may have left the agent before it heard the request do not end the watch."""
        self.borrow(self.silent)
        self.pass_time(0.4, heard=self.silent)
        self.pass_time(2.4)
        self.assertEqual(self.suspected(), ["t-1"])

    def test_busy(self) -> None:
        """A tunnel that is asked and heard all the time is never pinged."""
        for _ in range(50):
            opened(self.borrow(self.silent)).discard()
            self.pass_time(TICK_SECONDS, heard=self.silent)
        self.assertEqual((self.silent.protocol.pings, self.suspected()), (0, []))

    def test_not_for_later_requests(self) -> None:
        """The patience of a tunnel of which nothing was wanted meanwhile begins with the next request."""
        self.borrow(self.silent).discard()
        self.pass_time(60)
        self.borrow(self.silent)
        self.pass_time(1.8)
        self.assertEqual(self.suspected(), [])
        self.pass_time(0.4)
        self.assertEqual(self.suspected(), ["t-1"])

    def test_edge_stood_still(self) -> None:
        """An edge that was itself stopped holds that against nobody: the bytes are there, and not read yet."""
        self.borrow(self.silent)
        self.pass_time(1.2)
        self.clock.advance(30)
        self.assertEqual(self.suspected(), [])
        self.silent.protocol.heard_at += 1.0
        self.pass_time(3 * TICK_SECONDS)
        self.assertEqual(self.suspected(), [])

    def test_all_suspected(self) -> None:
        """If every tunnel is silent, they are used: one of them may only be slow."""
        for tunnel in (self.silent, self.other):
            self.borrow(tunnel)
        self.pass_time(2.2)
        self.assertEqual(sorted(self.suspected()), ["t-1", "t-2"])
        self.assertEqual(self.served_by(), {"t-1", "t-2"})

    def test_new_routes(self) -> None:
        """A suspected tunnel that offers another route is suspected there as well, and trusted when it is heard."""
        self.borrow(self.silent)
        self.pass_time(2.2)
        offers = [RouteOffer(id=0, hostname="a.example"), RouteOffer(id=1, hostname="b.example")]
        for tunnel in (self.silent, self.other):
            self.table.add(tunnel, offers)
        route = self.table.find("b.example", b"/")
        assert isinstance(route, Route)
        self.assertEqual([member.load.tunnel.id for member in route.members], ["t-2", "t-1"])
        self.assertEqual({route.borrow(FakeBorrower()).member.load.tunnel.id for _ in range(4)}, {"t-2"})
        self.silent.protocol.heard_at += 1.0
        self.pass_time(TICK_SECONDS)
        self.assertEqual({route.borrow(FakeBorrower()).member.load.tunnel.id for _ in range(6)}, {"t-1", "t-2"})

    def test_gone(self) -> None:
        """A tunnel that is lost is not watched any more, suspected or not; then the clock has nothing to do."""
        origins = [self.borrow(tunnel) for tunnel in (self.silent, self.other)]
        self.pass_time(2.2)
        for tunnel, origin in zip((self.silent, self.other), origins, strict=True):
            self.table.remove(tunnel)
            origin.discard()
        self.pass_time(2 * TICK_SECONDS)
        self.assertEqual((self.suspected(), self.clock.getDelayedCalls()), ([], []))

    def test_crowd(self) -> None:
        """Many tunnels are looked at, and many users of one told, some in each turn."""
        tunnels = [FakeTunnel(f"c-{number}", "agent-3") for number in range(LOOKS_PER_TURN + 10)]
        for tunnel in tunnels:
            self.table.add(tunnel, [RouteOffer(id=0, hostname="c.example")])
        route = self.table.find("c.example", b"/")
        assert isinstance(route, Route)
        for _ in tunnels:
            route.borrow(FakeBorrower())
        users = [self.borrow(self.silent) for _ in range(TOLD_PER_TURN + 5)]
        for _ in range(11):
            self.clock.advance(TICK_SECONDS)
            self.clock.advance(0)
        self.assertEqual(len(self.suspected()), len(tunnels) + 1)

        def told() -> int:
            return sum(isinstance(user.borrower, FakeBorrower) and bool(user.borrower.events) for user in users)

        counts: list[int] = []
        while not counts or told() < len(users):
            self.assertLess(len(counts), 200)
            before = told()
            self.clock.advance(0)
            counts.append(told() - before)
        self.assertLessEqual(max(counts), TOLD_PER_TURN)

    def test_stopped(self) -> None:
        """When the edge stops, nothing is looked at any more."""
        self.borrow(self.silent)
        self.pass_time(2.2)
        self.suspicion.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
