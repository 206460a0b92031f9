"""Tests of who goes when there is no room."""

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.edge.visitors import evictions
from warp_twisted.edge.visitors.evictions import LITTLE_BYTES, IdleConnections, Silent, slowest_first
from warp_twisted.edge.visitors.half_closed import HalfClosed
from warp_twisted.edge.visitors.interfaces import OpenConnection
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.states import VisitorState


class ShakingHands:
    """A connection whose handshake is under way, until it gives way."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.is_there = True

    def give_way(self) -> bool:
        was_there, self.is_there = self.is_there, False
        return was_there


class Noted(PlainVisitor):
    """A connection that notes when it was cut."""

    gone: "list[PlainVisitor]"

    def abort(self) -> None:
        super().abort()
        self.gone.append(self)


class IdleTests(SynchronousTestCase):
    """Idle connections that make room."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.idle = IdleConnections(HalfClosed())
        self.gone: list[PlainVisitor] = []

    def connect(self, network: str, *, is_busy: bool = False) -> PlainVisitor:
        """Connect, and perhaps ask for something."""
        visitor, _ = self.edge.visitor(Noted)
        assert isinstance(visitor, Noted)
        visitor.gone, visitor.network = self.gone, network
        if is_busy:
            visitor.dataReceived(GET)
        return visitor

    def make_room(self, now: float = 0.0, shaking_hands: Iterable[Silent] = ()) -> bool:
        return self.idle.make_room(self.edge.visitors.connections, dict.fromkeys(shaking_hands), now)

    def test_largest_network_first(self) -> None:
        """Each time the oldest goes of the network that has most left; of equals, of the one that came first."""
        _, *crowd = [self.connect(network) for network in ("a", "b", "b", "c", "b", "c")]
        while self.make_room():
            pass
        wanted = [crowd[0], crowd[1], crowd[2], crowd[3], crowd[4]]
        self.assertEqual([self.gone.index(each) for each in wanted], [0, 1, 2, 3, 4])

    def test_who_has_a_request(self) -> None:
        """Who has a request is passed over, also if it came after the look."""
        busy, first, second, third = (self.connect("a", is_busy=at == 0) for at in range(4))
        self.assertTrue(self.make_room())
        second.dataReceived(GET)
        self.assertTrue(self.make_room())
        self.assertEqual(self.gone, [first, third])
        self.assertNotIn(busy, self.gone)

    def test_part_of_a_head(self) -> None:
        """Part of a head is no request."""
        visitor = self.connect("a")
        visitor.dataReceived(b"GET / HTT")
        self.assertTrue(self.make_room())
        self.assertEqual(self.gone, [visitor])

    def test_handshakes(self) -> None:
        """Connections whose handshake is under way count with their network's, and go first."""
        visitor, handshakes = self.connect("a"), [ShakingHands("a"), ShakingHands("b")]
        self.assertTrue(self.make_room(0.0, handshakes))
        self.assertEqual([each.is_there for each in handshakes], [False, True])
        self.assertEqual(self.gone, [])
        self.assertTrue(self.make_room(0.0, handshakes))
        self.assertTrue(self.make_room(1_000.0, handshakes))
        self.assertEqual((self.gone, handshakes[1].is_there), ([visitor], False))

    def test_rest(self) -> None:
        """When none is left it is not looked again at once, as that would cost each new connection as much."""
        self.assertFalse(self.make_room())
        self.connect("a")
        self.assertFalse(self.make_room())
        self.assertTrue(self.make_room(now=1_000.0))

    def test_bounded_look(self) -> None:
        """Of very many connections some are looked at, and the next ones when there is no room again."""
        self.patch(evictions, "LOOKED_AT", 3)
        busy = [self.connect("a", is_busy=True) for _ in range(5)]
        idle = [self.connect("a") for _ in range(2)]
        looks = [self.make_room(now) for now in (0.0, 1_000.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0)]
        self.assertEqual(looks, [False, True, False, True, False, False])
        self.assertEqual((self.gone, [each.state for each in busy]), (idle, [VisitorState.SERVING] * 5))

    def test_found_at_once(self) -> None:
        """A bounded number is kept of what a look finds, of the largest networks."""
        self.patch(evictions, "FOUND", 3)
        for number in range(20):
            self.connect("crowd" if number % 2 else str(number))
        while self.make_room():
            pass
        self.assertEqual([visitor.network for visitor in self.gone], ["crowd"] * 3)


class SlowestTests(SynchronousTestCase):
    """Who waits for longest."""

    def connection(self, unread: int, deadline: float) -> PlainVisitor:
        """Return a connection for which bytes wait."""
        visitor, _ = MemoryEdge().visitor()
        visitor.unread_bytes, visitor.deadline = unread, deadline
        return visitor

    def test_order(self) -> None:
        """By deadline; those of whom little waits come last, and those of whom nothing waits not at all."""
        little, late, early, none = (
            self.connection(unread, deadline)
            for unread, deadline in ((LITTLE_BYTES - 1, 1.0), (50_000, 9.0), (50_000, 2.0), (0, 0.0))
        )
        found = [each for each in slowest_first([none, little, late, early]) if each is not None]
        self.assertEqual([found.index(each) for each in (early, late, little)], [0, 1, 2])
        self.assertEqual(len(found), 3)

    def test_pauses(self) -> None:
        """While a crowd is looked at, the caller may pause."""
        self.patch(evictions, "LOOKED_AT_IN_A_STEP", 10)
        crowd: list[OpenConnection] = [self.connection(50_000, 1.0) for _ in range(25)]
        self.assertEqual([each is None for each in slowest_first(crowd)], [True] * 3 + [False] * 25)
