"""Tests of streams to origins and of those kept for later."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeBorrower, FakeTunnel, opened
from warp_twisted.edge.routes.load import TunnelLoad
from warp_twisted.edge.routes.pool import Member, OriginStream
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import Opening, OpeningCode
from warp_twisted.wire.states import StreamState

EVER = float("-inf")
NEVER = float("inf")


class PoolTests(SynchronousTestCase):
    """One tunnel as a way to serve one route, with room for two idle streams."""

    def setUp(self) -> None:
        self.tunnel = FakeTunnel("t-1")
        self.load = TunnelLoad(self.tunnel)
        self.member = Member(self.load, 7, ResponseRules(), 2)

    def borrow(self) -> tuple[OriginStream, FakeBorrower]:
        """Open a stream and lend it."""
        borrower = FakeBorrower()
        return self.member.lend(borrower, NEVER), borrower

    def kept(self, now: float) -> OriginStream:
        """Use a stream and give it back."""
        origin, _ = self.borrow()
        opened(origin).release(now)
        return origin

    def test_opening(self) -> None:
        """A stream names the route in its preamble; the borrower hears of the origin and then its bytes."""
        origin, borrower = self.borrow()
        self.assertEqual(self.tunnel.protocol.opened[0][0], 7)
        self.assertEqual(self.load.active, 1)
        self.assertFalse(origin.is_opened)
        opened(origin)
        self.tunnel.protocol.arrive(origin.stream, b"hello")
        self.assertEqual((borrower.events, borrower.data), (["opened"], b"hello"))
        self.assertTrue(origin.is_opened)

    def test_refused(self) -> None:
        """A refusal reaches the borrower once, and the stream counts no longer."""
        origin, borrower = self.borrow()
        self.tunnel.protocol.answer(origin.stream, OpeningCode.TLS_FAILED)
        self.assertEqual(borrower.events, ["refused TLS_FAILED"])
        self.assertEqual(self.load.active, 0)
        self.assertIs(origin.stream.state, StreamState.CLOSED)
        origin.discard()
        self.assertEqual(self.load.active, 0)

    def test_agent_that_does_not_say_what_it_heard(self) -> None:
        """Its streams are used once; those of others are asked again each time that they are lent."""
        origin = opened(self.borrow()[0])
        self.assertTrue(origin.stream.peer_heard)
        origin.release(1.0)
        self.assertIs(self.member.lend(FakeBorrower(), EVER), origin)
        self.assertFalse(origin.stream.peer_heard)
        origin.release(2.0)
        self.assertEqual((self.load.active, self.load.counts.idle), (0, 0))
        self.assertIs(origin.stream.state, StreamState.CLOSED)

    def test_last_used_first(self) -> None:
        """The stream used last is lent first, at once open."""
        first, second = self.borrow()[0], self.borrow()[0]
        for now, origin in enumerate((first, second)):
            opened(origin).release(now)
        self.assertEqual((self.load.active, self.load.counts.idle), (0, 2))
        borrower = FakeBorrower()
        self.assertIs(self.member.lend(borrower, EVER), second)
        self.tunnel.protocol.arrive(second.stream, b"x")
        self.assertEqual((borrower.data, borrower.events, second.was_used), (b"x", [], True))
        self.assertIs(self.member.lend(FakeBorrower(), EVER), first)
        self.assertNotIn(self.member.lend(FakeBorrower(), EVER), (first, second))
        self.assertEqual(self.load.active, 3)

    def test_only_just_used(self) -> None:
        """A stream that has been idle for too long for a request that cannot be repeated is left alone."""
        origin = self.kept(5.0)
        self.assertIsNot(self.member.lend(FakeBorrower(), 5.1), origin)
        self.assertIs(self.member.lend(FakeBorrower(), 5.0), origin)

    def test_room(self) -> None:
        """No more are kept than there is room for."""
        origins = [self.borrow()[0] for _ in range(3)]
        for origin in origins:
            opened(origin).release(0.0)
        self.assertEqual(self.load.counts.idle, 2)
        self.assertIs(origins[2].stream.state, StreamState.CLOSED)

    def test_draining(self) -> None:
        """A draining tunnel keeps nothing."""
        self.load.is_draining = True
        origin = self.kept(0.0)
        self.assertEqual(self.load.counts.idle, 0)
        self.assertIs(origin.stream.state, StreamState.CLOSED)

    def test_retired(self) -> None:
        """A route that the tunnel no longer serves keeps nothing, not even what comes back later."""
        idle = self.kept(0.0)
        busy, _ = self.borrow()
        self.member.retire()
        self.assertIs(idle.stream.state, StreamState.CLOSED)
        opened(busy).release(1.0)
        self.assertEqual(self.load.counts.idle, 0)

    def test_closed_when_old(self) -> None:
        """Streams idle since before an instant are closed, younger ones stay."""
        first, second = self.borrow()[0], self.borrow()[0]
        opened(first).release(1.0)
        opened(second).release(3.0)
        self.member.close_idle(2.0)
        self.assertIs(first.stream.state, StreamState.CLOSED)
        self.assertIs(second.stream.state, StreamState.OPEN)
        self.assertEqual(self.load.counts.idle, 1)

    def test_origin_speaks_out_of_turn(self) -> None:
        """Bytes on an idle stream cut it."""
        origin = self.kept(0.0)
        self.tunnel.protocol.arrive(origin.stream, b"poison")
        self.assertEqual(self.load.counts.idle, 0)
        self.assertIs(origin.stream.state, StreamState.CLOSED)

    def test_origin_leaves(self) -> None:
        """An idle stream whose origin ended, or that died, is forgotten."""
        first, second = self.borrow()[0], self.borrow()[0]
        opened(first).release(0.0)
        opened(second).release(0.0)
        first.stream.peer_ended()
        self.assertEqual(self.load.counts.idle, 1)
        self.assertIs(first.stream.state, StreamState.CLOSED)
        second.stream.lose(StreamReset())
        self.assertEqual(self.load.counts.idle, 0)

    def test_lost_before_the_origin(self) -> None:
        """A stream that dies before the opening reply is heard of by the borrower."""
        origin, borrower = self.borrow()
        origin.stream.lose(StreamReset())
        self.assertEqual(len(borrower.errors), 1)

    def test_discarded(self) -> None:
        """A discarded stream is cut, and neither end hears of the other."""
        origin, borrower = self.borrow()
        opened(origin)
        origin.discard()
        self.assertIs(origin.stream.state, StreamState.CLOSED)
        self.assertEqual((self.load.active, borrower.errors), (0, []))

    def test_discarded_before_the_origin(self) -> None:
        """An opening reply that comes too late finds nobody."""
        origin, borrower = self.borrow()
        origin.discard()
        origin.opening_received(Opening(code=OpeningCode.OPENED))
        self.assertEqual((borrower.events, self.load.active), ([], 0))

    def test_ended(self) -> None:
        """A stream can be left to deliver what was written."""
        origin, _ = self.borrow()
        opened(origin)
        origin.end()
        self.assertIs(origin.stream.state, StreamState.LOCAL_ENDED)
        self.assertEqual(self.load.active, 0)

    def test_credit(self) -> None:
        """Credit before the origin is reached is passed on."""
        origin, borrower = self.borrow()
        origin.credit_received()
        self.assertEqual(borrower.credits, 1)
