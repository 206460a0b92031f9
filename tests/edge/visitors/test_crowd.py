"""Tests of what the connections of all visitors share."""

from collections.abc import Callable

from twisted.internet.base import DelayedCall
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_twisted.edge.refusals import GAVE_WAY, TOO_MANY_CONNECTIONS, TOO_MANY_FROM_ADDRESS, TOO_MUCH_UNREAD
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.crowd import LATE_PER_TURN, NEW_SECONDS
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream


class UnreadTests(SynchronousTestCase):
    """What waits for all visitors together."""

    limit = 1_000_000
    piece = 120_000

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(unread_bytes=self.limit))

    def asking(self) -> tuple[PlainVisitor, FakeTransport, Stream]:
        """Let a visitor ask for something long that it does not read."""
        visitor, transport = self.edge.visitor()
        transport.room = 0
        visitor.dataReceived(GET)
        stream = self.edge.streams()[-1]
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        return visitor, transport, stream

    def arrive(self, stream: Stream) -> None:
        self.edge.tunnel.protocol.arrive(stream, b"x" * self.piece)

    def test_slowest_are_cut(self) -> None:
        """At the limit those are cut that have not read for the longest time, and no more of them than needed."""
        asking = []
        for _ in range(7):
            asking.append(self.asking())
            self.arrive(asking[-1][2])
            self.edge.clock.advance(1.0)
        for _, transport, _ in asking[:5]:  # the two who came last have not read since
            transport.read(70_000)
        self.edge.clock.advance(1.0)
        fast = self.asking()
        self.assertLess(self.edge.metrics.unread_bytes, self.limit)
        for _ in range(5):
            self.arrive(fast[2])
        self.assertGreater(self.edge.metrics.unread_bytes, self.limit)
        self.assertFalse(any(transport.is_aborted for _, transport, _ in asking))
        self.edge.clock.advance(0)
        self.assertEqual([transport.is_aborted for _, transport, _ in asking], [False] * 5 + [True] * 2)
        self.assertFalse(fast[1].is_aborted)
        self.assertLessEqual(self.edge.metrics.unread_bytes, self.limit * 7 // 8)
        self.assertEqual([asking[at][2].state for at in (5, 6)], [StreamState.CLOSED] * 2)
        self.assertEqual(self.edge.metrics.refusals[TOO_MUCH_UNREAD], 2)

    def test_count(self) -> None:
        """Every byte that waits is counted, until it is read, its visitor leaves or the edge stops."""
        first, second, third = (self.asking() for _ in range(3))
        for _, _, stream in (first, second, third):
            self.arrive(stream)
        counts = [visitor.unread_bytes for visitor, _, _ in (first, second, third)]
        self.assertEqual(counts[0], len(first[1].waiting) + sum(map(len, first[0]._queue)))
        self.assertEqual(self.edge.metrics.unread_bytes, sum(counts))
        first[1].read(70_000)
        self.assertEqual(first[0].unread_bytes, 54_464)  # a piece of 64 KiB is gone, and of the next not all
        first[1].read(1 << 20)
        self.assertEqual((first[0].unread_bytes, self.edge.metrics.unread_bytes), (0, sum(counts[1:])))
        second[0].connectionLost()
        self.assertEqual((second[0].unread_bytes, self.edge.metrics.unread_bytes), (0, counts[2]))
        self.edge.visitors.stop()
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_read_in_time(self) -> None:
        """Nobody is cut if enough was read by the end of the turn, or if the edge stops first."""
        for stops in (False, True):
            (_, transport, stream), (_, _, other) = self.asking(), self.asking()
            for _ in range(5):
                self.arrive(stream)
                self.arrive(other)
            self.assertGreater(self.edge.metrics.unread_bytes, self.limit)
            if stops:
                self.edge.visitors.stop()
            else:
                transport.read(1 << 20)
            self.edge.clock.advance(0)
            self.assertNotIn(TOO_MUCH_UNREAD, self.edge.metrics.refusals)


class RoomTests(SynchronousTestCase):
    """No room for one more connection."""

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(connections=4, connections_per_address=3))
        self.visitors = self.edge.visitors

    def connect(self, address: str) -> tuple[PlainVisitor, FakeTransport]:
        """Let a visitor in."""
        self.assertIsNone(self.visitors.admit(address))
        connection, transport = PlainVisitor(self.visitors, address), FakeTransport()
        connection.makeConnection(transport)
        return connection, transport

    def test_idle_one_gives_way(self) -> None:
        """The oldest connection without a request goes, of the network that has most of those."""
        crowd = [self.connect("192.0.2.1") for _ in range(3)]
        alone = self.connect("192.0.2.2")
        crowd[0][0].dataReceived(GET)
        new = self.connect("192.0.2.3")
        gone = [transport.is_aborted for _, transport in [*crowd, alone, new]]
        self.assertEqual(gone, [False, True, False, False, False])
        self.assertEqual(self.edge.metrics.refusals, {GAVE_WAY: 1})
        crowd[1][0].connectionLost()
        self.assertEqual((self.visitors.counts.total, len(self.visitors.connections)), (4, 4))

    def test_all_are_busy(self) -> None:
        """Connections with a request, or with an answer that is not read, stay; there is no room for the new one."""
        busy = [self.connect(f"192.0.2.{number}") for number in range(4)]
        for visitor, _ in busy[:3]:
            visitor.dataReceived(GET)
        busy[3][1].room = 0
        busy[3][0].dataReceived(GET.replace(b"app.", b"no."))
        self.assertTrue(busy[3][0].is_clogged)
        self.assertIs(self.visitors.admit("192.0.2.9"), TOO_MANY_CONNECTIONS)
        self.assertFalse(any(transport.is_aborted for _, transport in busy))
        self.assertEqual(self.visitors.counts.total, 4)

    def test_no_room_for_its_address(self) -> None:
        """A connection that its own address has no room for costs nobody else's."""
        everybody = [self.connect(address) for address in ["192.0.2.1"] * 3 + ["192.0.2.2"]]
        self.assertIs(self.visitors.admit("192.0.2.1"), TOO_MANY_FROM_ADDRESS)
        self.assertFalse(any(transport.is_aborted for _, transport in everybody))


class DrainTests(SynchronousTestCase):
    """Idle connections when the edge drains."""

    def test_in_slices(self) -> None:
        """They are closed some in a turn, then new ones; nothing is left waiting when the edge stops in between."""
        edge = MemoryEdge()
        idle = [edge.visitor() for _ in range(50)]
        for visitor, transport in idle[:40]:
            visitor.dataReceived(GET.replace(b"app.", b"no."))
            self.assertIn(b" 404 ", transport.taken)
        drained = edge.visitors.drain()
        self.assertFalse(any(transport.is_closing for _, transport in idle))
        edge.clock.advance(0)
        self.assertEqual([transport.is_closing for _, transport in idle], [True] * 40 + [False] * 10)
        edge.clock.advance(NEW_SECONDS)
        self.assertTrue(all(transport.is_closing for _, transport in idle))
        for visitor, _ in idle:
            self.assertNoResult(drained)
            visitor.connectionLost()
        self.assertIsNone(self.successResultOf(drained))

    def test_keeping_idle_ones(self) -> None:
        """A drain may wait for the next request of each, and close after its answer; it can be called off."""
        edge = MemoryEdge()
        (visitor, transport), (other, other_transport), (new, new_transport) = (edge.visitor() for _ in range(3))
        missing = GET.replace(b"app.", b"no.")
        for each in (visitor, other):
            each.dataReceived(missing)
        called_off = edge.visitors.drain(keeps_idle=True)
        edge.visitors.resume()
        other.dataReceived(missing)
        self.assertFalse(other_transport.is_closing)
        drained = edge.visitors.drain(keeps_idle=True)
        edge.clock.advance(2 * NEW_SECONDS)
        late, late_transport = edge.visitor()
        everybody = ((visitor, transport), (other, other_transport), (new, new_transport), (late, late_transport))
        self.assertFalse(any(each.is_closing for _, each in everybody))
        for each, each_transport in everybody:
            each_transport.taken = b""
            each.dataReceived(missing)
            self.assertIn(b"connection: close", each_transport.taken.lower())
            self.assertTrue(each_transport.is_closing)
            self.assertNoResult(drained)
            each.connectionLost()
        self.assertIsNone(self.successResultOf(drained))
        self.assertNoResult(called_off)

    def test_closing_after_all(self) -> None:
        """A stop in the middle of a drain that keeps idle connections closes them."""
        edge = MemoryEdge()
        visitor, transport = edge.visitor()
        visitor.dataReceived(GET.replace(b"app.", b"no."))
        drained = edge.visitors.drain(keeps_idle=True)
        self.assertFalse(transport.is_closing)
        self.assertIs(edge.visitors.drain(), drained)
        edge.clock.advance(0)
        self.assertTrue(transport.is_closing)

    def test_stopped_meanwhile(self) -> None:
        """An edge that stops before all are closed cuts the others."""
        edge = MemoryEdge()
        idle = [edge.visitor() for _ in range(50)]
        edge.visitors.drain()
        edge.visitors.stop()
        self.assertTrue(all(transport.is_aborted for _, transport in idle))
        self.assertEqual(edge.clock.getDelayedCalls(), [])


class SweepTests(SynchronousTestCase):
    """Deadlines that pass together."""

    def test_many_at_once(self) -> None:
        """A crowd that is late at one instant is answered some in a turn; who has sent its head meanwhile is served."""
        edge = MemoryEdge()
        late = [edge.visitor() for _ in range(LATE_PER_TURN * 3)]
        for visitor, _ in late:
            visitor.dataReceived(b"GET / HTT")

        def answered() -> int:
            return sum(b" 408 " in transport.taken for _, transport in late)

        turns: list[Callable[[], object]] = []

        def call_later(delay: float, function: Callable[[], object]) -> type[DelayedCall]:
            turns.append(function)
            return DelayedCall

        self.patch(edge.clock, "callLater", call_later)
        edge.clock.rightNow += edge.visitors.timeouts.header + 2 * edge.visitors.timeouts.tick
        edge.visitors.sweep()
        self.assertEqual(answered(), LATE_PER_TURN)
        waiting, transport = next(each for each in late if b" 408 " not in each[1].taken)
        waiting.wait(5.0)
        while turns:
            turns.pop(0)()
        self.assertEqual(answered(), 3 * LATE_PER_TURN - 1)
        self.assertNotIn(b" 408 ", transport.taken)
