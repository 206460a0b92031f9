"""Tests of the queue in which peers' work waits for its turn."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.fair_queue import REMEMBERED_NETWORKS, SHARE, SLICE_PIECES, SLICE_SECONDS, FairQueue


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

    def test_networks_by_time(self) -> None:
        """A network whose pieces are large gets fewer of them: what counts is the time that each has had."""
        large, small = Work(self, 10, SLICE_SECONDS * 4), Work(self, 10, SLICE_SECONDS / 10, network="198.51.100.1")
        self.queue.add(large)
        self.queue.add(small)
        while small.left:
            self.clock.advance(1.0)
        self.assertEqual(large.left, 9)

    def test_new_each_time(self) -> None:
        """Who comes anew for each piece has had what others of its network had, and is not served before others."""
        served: list[str] = []
        for number in range(4):
            self.queue.add(Work(self, 1, SLICE_SECONDS * 4))
            if number == 1:
                waiting = Work(self, 8, SLICE_SECONDS / 2, network="198.51.100.1")
                self.queue.add(waiting)
            self.clock.advance(0.02)
            served.extend(work.network for work in self.served)
            self.served.clear()
        self.assertEqual(waiting.left, 2)
        self.assertEqual(served, ["192.0.2.7"] + ["198.51.100.1"] * 6)

    def test_discard(self) -> None:
        """Who leaves is not served, and its network's other connections are."""
        first, second, alone = Work(self, 1), Work(self, 1), Work(self, 1, network="198.51.100.1")
        for work in (first, second, alone):
            self.queue.add(work)
        for work in (first, first, alone):
            self.queue.discard(work)
        self.assertEqual(len(self.queue), 1)
        self.queue.add(alone)
        self.clock.advance(0)
        self.assertEqual((self.served, len(self.queue)), ([second, alone], 0))
        self.queue.discard(alone)
        self.assertEqual(len(self.queue), 0)

    def test_forgotten_networks(self) -> None:
        """A bounded number of networks is remembered."""
        for number in range(REMEMBERED_NETWORKS + 100):
            self.queue.add(Work(self, 1, network=str(number)))
        while len(self.queue):
            self.clock.advance(1.0)
        self.assertEqual((len(self.queue._had), len(self.queue._waiting)), (REMEMBERED_NETWORKS, 0))

    def test_stopped_in_a_turn(self) -> None:
        """A turn may stop the queue."""

        class Stopping(Work):
            def take_turn(self) -> bool:
                self.test.queue.stop()
                return True

        self.queue.add(Stopping(self, 5))
        self.queue.add(Work(self, 1))
        self.clock.advance(1.0)
        self.assertEqual((len(self.queue), self.served, self.clock.getDelayedCalls()), (0, [], []))

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

    def test_at_once(self) -> None:
        """A piece is served at once while nobody waits and the queue does not rest, what comes then in turns."""
        first, second = Work(self, 2), Work(self, 1)
        self.queue.serve(first)
        self.assertEqual(self.served, [first])
        self.queue.serve(second)
        self.assertEqual((self.served, len(self.queue)), ([first], 2))
        self.clock.advance(1.0)
        self.assertEqual(self.served, [first, first, second])
        resting = Work(self, 1)
        self.queue.serve(resting)
        self.assertNotIn(resting, self.served)
        self.clock.pump([1.0, 1.0])
        self.queue.serve(late := Work(self, 1, SLICE_SECONDS))
        self.assertEqual(self.served[3:], [resting, late])

    def test_a_share_of_its_own(self) -> None:
        """A queue rests as long as its share asks."""
        self.queue = FairQueue(self.clock, lambda: self.now, share=0.5)
        self.queue.add(Work(self, 100, SLICE_SECONDS))
        self.clock.advance(0)
        self.clock.advance(SLICE_SECONDS * 0.9)
        self.assertEqual(len(self.served), 1)
        self.clock.advance(SLICE_SECONDS * 0.2)
        self.assertEqual(len(self.served), 2)

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
