"""Tests of who is next when an origin has a place; whoever waits here is a stand-in for an exchange."""

from collections.abc import Callable, Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel
from tests.operations import count_operations
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.members import AtLimit, Members, NoTunnel
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.queue import QueueState
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.wire.control import RouteOffer

HOST = "a.example"


class Waiter:
    """One request: asks for a stream, and waits if there is none."""

    def __init__(self, route: Route, network: str, done: Callable[["Waiter"], None], avoid: Sequence[str] = ()) -> None:
        self.route = route
        self.avoid = avoid
        self.network = network
        self._done = done
        self.origin: OriginStream | None = None
        self.refused = ""

    def ask(self, *, is_first: bool = False) -> None:
        """Ask for a stream."""
        try:
            self.origin = self.route.borrow(FakeBorrower(self.network), self.avoid)
        except AtLimit as limit:
            assert self.route.queue is not None
            if not self.route.queue.add(self, limit.members, is_first=is_first):
                self.refused = "full"
        except NoTunnel:
            self.refused = "no tunnel"
        if self.origin is not None:
            self._done(self)

    def place_due(self) -> None:
        """Ask again."""
        self.ask(is_first=True)

    def turned_away(self) -> None:
        """Wait no longer."""
        self.refused = "turned away"

    def end(self) -> None:
        """Give the stream back."""
        assert self.origin is not None
        self.origin.discard()


class QueueTests(SynchronousTestCase):
    """A route whose agent takes four requests at once, and a queue of six."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics, VisitorLimits(queued_requests=6))
        self.table.queues.clock = self.clock
        self.served: list[Waiter] = []
        self.agents: dict[str, FakeTunnel] = {}
        self.serve("agent-1", 4)

    def serve(self, agent: str, limit: int) -> None:
        """Let an agent serve, or change what it takes."""
        tunnel = self.agents.setdefault(agent, FakeTunnel(f"t-{agent}", agent))
        self.table.add(tunnel, [RouteOffer(id=0, hostname=HOST, max_requests=limit)])

    @property
    def route(self) -> Route:
        """The route."""
        found = self.table.find(HOST, b"/")
        assert isinstance(found, Route)
        return found

    @property
    def state(self) -> QueueState:
        """The state of its queue."""
        assert self.route.queue is not None
        return self.route.queue.state

    def ask(self, networks: str) -> list[Waiter]:
        """Let a request of each network come."""
        waiters = [Waiter(self.route, network, self.served.append) for network in networks]
        for waiter in waiters:
            waiter.ask()
        return waiters

    def turn(self) -> str:
        """Let one turn of the reactor pass; return the networks that were served in it."""
        before = len(self.served)
        self.clock.advance(0)
        return "".join(waiter.network for waiter in self.served[before:])

    def test_in_turn(self) -> None:
        """What cannot be served waits, and is served in the next turn after a place is free, nobody before it."""
        first = self.ask("abcdef")
        self.assertEqual([waiter.origin is not None for waiter in first], [True] * 4 + [False] * 2)
        self.assertEqual(self.state, QueueState(HOST, "", 2, {"agent-1": (4, 4)}))
        self.assertEqual((self.metrics.queued_now, list(self.table.queues.listed())), (2, [self.state]))
        first[0].end()
        late = self.ask("z")
        self.assertIsNone(late[0].origin)  # the place is kept for who waited
        self.assertEqual(self.turn(), "e")
        first[1].end()
        first[2].end()
        self.assertEqual(self.turn(), "fz")
        self.assertEqual((self.state, self.metrics.queued_now), (QueueState(HOST, "", 0, {"agent-1": (4, 4)}), 0))
        self.assertEqual(list(self.table.queues.listed()), [])
        for waiter in (*first[3:], *late):
            waiter.end()
        self.assertEqual(self.state, QueueState(HOST, "", 0, {"agent-1": (4, 0)}))

    def test_fewest_places_first(self) -> None:
        """A place goes to the network with the fewest; among equals it goes round."""
        running = self.ask("aaab")
        self.ask("aabbcd")
        running[3].end()  # b has none now, nor have c and d; a has as many as one network may
        order = ""
        for _ in range(4):
            order += self.turn()
            self.served[-1].end()
        self.assertEqual((order, self.turn()), ("bcdb", ""))
        running[0].end()
        self.assertEqual(self.turn(), "a")

    def test_one_waits_behind_itself(self) -> None:
        """Whoever fills the queue makes room, last come first, for others, until all wait with as many."""
        self.ask("aaab")
        crowd = self.ask("a" * 7)
        self.assertEqual([waiter.refused for waiter in crowd], [""] * 6 + ["full"])
        others = self.ask("cdcdcd")
        self.assertEqual([waiter.refused for waiter in others], [""] * 4 + ["full"] * 2)
        self.assertEqual([waiter.refused for waiter in crowd[:6]], [""] * 2 + ["turned away"] * 4)
        self.assertEqual(self.state.waiting, 6)

    def test_one_that_cannot_use_the_place(self) -> None:
        """A request that may not go to the agent that has a place holds nobody back who waits for it."""
        self.serve("agent-2", 1)
        first = self.ask("abcde")
        again = Waiter(self.route, "r", self.served.append, avoid=["agent-1"])
        again.ask()
        self.ask("fg")
        self.assertEqual(self.state.waiting, 3)
        running = [waiter.origin for waiter in first if waiter.origin is not None]
        one, other, *_ = [origin for origin in running if origin.member.load.tunnel.agent == "agent-1"]
        (last,) = [origin for origin in running if origin.member.load.tunnel.agent == "agent-2"]
        one.discard()
        self.assertEqual(self.turn(), "f")
        self.table.sweep(1.0, 55.0)
        other.discard()
        self.assertEqual(self.turn(), "g")
        self.assertIsNone(again.origin)
        last.discard()
        self.assertEqual(self.turn(), "r")

    def test_leaving(self) -> None:
        """Who leaves the queue is not served, and takes nobody's turn."""
        running = self.ask("abcd")
        waiting = self.ask("efg")
        queue = self.route.queue
        assert queue is not None
        queue.discard(waiting[0])
        queue.discard(waiting[0])
        running[0].end()
        self.assertEqual(self.turn(), "f")
        self.assertEqual(len(queue), 1)

    def test_tunnels_come_and_go(self) -> None:
        """Another agent serves who waits; when all are gone, everybody hears so."""
        self.ask("abcd")
        waiting = self.ask("efghij")
        self.serve("agent-2", 2)
        self.turn()
        self.assertEqual("".join(waiter.network for waiter in self.served[4:]), "ef")
        self.serve("agent-2", 3)
        self.turn()
        self.assertEqual(self.state, QueueState(HOST, "", 3, {"agent-1": (4, 4), "agent-2": (3, 3)}))
        for tunnel in self.agents.values():
            self.table.remove(tunnel)
        self.turn()
        self.assertEqual([waiter.refused for waiter in waiting], [""] * 3 + ["no tunnel"] * 3)
        self.assertEqual(self.state.origins, {"agent-1": (4, 4), "agent-2": (3, 3)})
        for waiter in self.served:
            waiter.end()
        self.assertEqual(self.state, QueueState(HOST, "", 0, {}))

    def test_agent_that_comes_back(self) -> None:
        """What an agent still has under way counts when it comes back."""
        running = self.ask("abcd")
        self.table.remove(self.agents.pop("agent-1"))
        self.serve("agent-1", 4)
        self.assertIsNone(self.ask("e")[0].origin)
        running[0].end()
        self.assertEqual(self.turn(), "e")

    def test_limit_that_changes(self) -> None:
        """A larger limit lets more through at once, a smaller one fewer, and none at all everybody."""
        running = self.ask("abcd")
        self.ask("efghij")
        self.serve("agent-1", 5)
        self.turn()
        self.assertEqual(self.state, QueueState(HOST, "", 5, {"agent-1": (5, 5)}))
        self.serve("agent-1", 2)
        for waiter in running[:3]:
            waiter.end()
        self.turn()
        self.assertEqual(self.state, QueueState(HOST, "", 5, {"agent-1": (2, 2)}))
        self.serve("agent-1", 0)
        self.turn()
        self.assertEqual(self.state.waiting, 0)
        self.assertEqual(len(self.ask("klmno")), 5)
        self.assertTrue(all(waiter.origin is not None for waiter in self.served[-5:]))

    def test_unseen_change(self) -> None:
        """A change of which nobody tells the queue is found within a second."""
        self.serve("agent-2", 4)
        running = self.ask("abcdefgh")
        self.ask("ij")
        assert self.route.queue is not None
        self.route.queue.places["agent-2"].limit = 6
        self.turn()
        self.assertEqual(len(self.served), 8)
        self.table.sweep(1.0, 55.0)
        self.assertEqual(self.turn(), "ij")
        self.assertEqual(len(running), 8)

    def test_groups(self) -> None:
        """A place goes only to who waits for a tunnel of its agent."""
        self.serve("agent-2", 1)
        running = self.ask("abcde")
        queue = self.route.queue
        assert queue is not None
        share = Members("share")
        for member in self.route.members:
            if member.load.tunnel.agent == "agent-2":
                share.put(member)
        picky = Waiter(self.route, "z", self.served.append)
        queue.add(picky, share)
        by_agent = {agent: [each for each in running if each.origin is not None
                            and each.origin.member.load.tunnel.agent == agent] for agent in self.agents}  # fmt: skip
        by_agent["agent-1"][0].end()
        self.assertEqual(self.turn(), "")
        self.assertEqual(len(queue), 1)
        by_agent["agent-2"][0].end()
        self.assertEqual(self.turn(), "z")

    def test_cost(self) -> None:
        """To find who is next costs little for each network that waits, and nothing for each request."""
        self.table.limits = VisitorLimits(queued_requests=1_000)

        def price(networks: int, each: int) -> int:
            self.setUp()
            self.table.limits = VisitorLimits(queued_requests=1_000)
            running = self.ask("abcd")
            for number in range(networks):
                for _ in range(each):
                    Waiter(self.route, f"n{number}", self.served.append).ask()
            running[0].end()
            return count_operations(lambda: self.clock.advance(0))

        self.assertLess(price(10, 50), price(10, 1) * 1.2)
        self.assertLess(price(500, 1), 40 * 500)
