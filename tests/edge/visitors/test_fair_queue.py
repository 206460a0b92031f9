"""Tests of the queue in which visitors' work waits for its turn."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import MemoryEdge
from warp_twisted.edge.visitors.fair_queue import SHARE, SLICE_PIECES, SLICE_SECONDS, FairQueue
from warp_twisted.edge.visitors.states import VisitorState

REFUSED = b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n"


class Work:
    """So many pieces, each of which takes some time."""

    address = "192.0.2.7"

    def __init__(
        self, test: "FairQueueTests", pieces: int, seconds: float = 0.0, fails: bool = False, network: str = "192.0.2.7"
    ) -> None:
        self.network = network
        self.test = test
        self.left = pieces
        self.seconds = seconds
        self.fails = fails
        self.is_aborted = False

    def take_turn(self) -> bool:
        self.test.served.append(self)
        self.test.now += self.seconds
        if self.fails:
            raise ZeroDivisionError
        self.left -= 1
        return self.left > 0

    def abort(self) -> None:
        self.is_aborted = True


class FairQueueTests(SynchronousTestCase):
    """A queue with a reactor and a clock of the test's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.now = 0.0
        self.served: list[Work] = []
        self.queue = FairQueue(self.clock, lambda: self.now)

    def test_rounds(self) -> None:
        """Everybody gets one piece before anybody gets a second."""
        first, second = Work(self, 3), Work(self, 2)
        self.queue.add(first)
        self.queue.add(second)
        self.assertEqual(self.served, [])
        self.clock.advance(0)
        self.assertEqual(self.served, [first, second, first, second, first])
        self.assertEqual(len(self.queue), 0)

    def test_networks(self) -> None:
        """Rounds are over networks: many connections of one wait behind one another, and not others behind them."""
        crowd = [Work(self, 2) for _ in range(10)]
        for each in crowd:
            self.queue.add(each)
        alone = Work(self, 3, network="198.51.100.1")
        self.queue.add(alone)
        self.assertEqual(len(self.queue), 11)
        self.clock.advance(0)
        self.assertEqual(self.served[:6], [crowd[0], alone, crowd[1], alone, crowd[2], alone])
        self.clock.pump([0.05] * 10)
        self.assertEqual((len(self.served), len(self.queue)), (23, 0))

    def test_time(self) -> None:
        """A slice ends with the piece that uses its time up; what follows it waits for as long as the share asks."""
        self.queue.add(Work(self, 100, SLICE_SECONDS * 0.6))
        self.clock.advance(0)
        self.assertEqual(len(self.served), 2)
        spent = SLICE_SECONDS * 1.2
        self.clock.advance(spent * (1 / SHARE - 1) * 0.9)
        self.assertEqual(len(self.served), 2)
        self.clock.advance(spent * (1 / SHARE - 1) * 0.11)
        self.assertEqual(len(self.served), 4)

    def test_pieces(self) -> None:
        """A slice has a number of pieces, too, as some cause work that only follows."""
        self.queue.add(Work(self, 100))
        self.clock.advance(0)
        self.assertEqual(len(self.served), SLICE_PIECES)
        self.clock.advance(0)
        self.assertEqual(len(self.served), SLICE_PIECES)

    def test_rest_of_an_empty_queue(self) -> None:
        """Who comes just after a slice waits as well: asking one by one is no way round the share."""
        self.queue.add(Work(self, 1, SLICE_SECONDS))
        self.clock.advance(0)
        late = Work(self, 1)
        self.queue.add(late)
        self.clock.advance(0)
        self.assertNotIn(late, self.served)
        self.clock.advance(SLICE_SECONDS * (1 / SHARE - 1))
        self.assertIn(late, self.served)

    def test_charge(self) -> None:
        """Time that was spent for those who wait, elsewhere, is kept to the share as well."""
        self.queue.add(Work(self, 1))
        self.queue.charge(0.004)
        self.queue.charge(0.004)
        self.clock.advance(0.008 * (1 / SHARE - 1) * 0.9)
        self.assertEqual(self.served, [])
        self.clock.advance(0.008 * (1 / SHARE - 1) * 0.2)
        self.assertEqual(len(self.served), 1)

    def test_failure(self) -> None:
        """Who fails is cut, and the others go on."""
        bad, good = Work(self, 2, fails=True), Work(self, 1)
        self.queue.add(bad)
        self.queue.add(good)
        self.clock.advance(0)
        self.assertEqual((self.served, bad.is_aborted), ([bad, good], True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        """After the end nobody is served."""
        self.queue.add(Work(self, 1))
        self.queue.stop()
        self.clock.advance(1.0)
        self.assertEqual(self.served, [])


class PipelinedTests(SynchronousTestCase):
    """Requests that the edge answers by itself, sent at once."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def answers(self) -> int:
        """Count the answers so far."""
        return self.transport.taken.count(b"HTTP/1.1 404 ")

    def test_turns(self) -> None:
        """The first is answered at once, the others in turns with those of other visitors, and none is lost."""
        other, transport = self.edge.visitor()
        self.visitor.dataReceived(REFUSED * 100)
        other.dataReceived(REFUSED * 2)
        self.assertEqual((self.answers(), transport.taken.count(b"HTTP/1.1 404 ")), (1, 1))
        self.assertIs(self.visitor.state, VisitorState.QUEUED)
        self.edge.clock.advance(0)
        self.assertEqual(transport.taken.count(b"HTTP/1.1 404 "), 2)
        self.assertLess(self.answers(), 20)
        self.edge.clock.pump([0.05] * 20)
        self.assertEqual(self.answers(), 100)
        self.assertIs(self.visitor.state, VisitorState.IDLE)

    def test_held_bytes(self) -> None:
        """What waits is counted, and a visitor that sends too much of it is not read until there is room."""
        limit = self.edge.visitors.limits.held_bytes
        self.visitor.dataReceived(REFUSED * 10)
        self.visitor.dataReceived(REFUSED * (limit // len(REFUSED) + 1))
        self.assertTrue(self.visitor.is_paused)
        self.assertEqual(self.edge.metrics.unread_bytes, len(self.visitor._held))
        self.assertGreaterEqual(self.edge.metrics.unread_bytes, limit)
        self.edge.clock.advance(0)
        self.assertFalse(self.visitor.is_paused)
        while self.visitor.state is VisitorState.QUEUED:
            self.edge.clock.advance(0.05)
        self.assertEqual((self.edge.metrics.unread_bytes, self.answers()), (0, 10 + limit // len(REFUSED) + 1))

    def test_waiting_is_no_fault(self) -> None:
        """A visitor is not timed out while it waits for its turn."""
        self.visitor.dataReceived(REFUSED * 3)
        self.visitor.deadline = 0.0
        self.edge.visitors.sweep()
        self.edge.clock.advance(0)
        self.assertEqual((self.answers(), self.transport.is_closing), (3, False))
