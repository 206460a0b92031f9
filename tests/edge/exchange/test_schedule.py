"""Tests of the waits of exchanges."""

from time import perf_counter

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.exchange import schedule
from warp_twisted.edge.exchange.schedule import Schedule


class ScheduleTests(SynchronousTestCase):
    """`Schedule`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.schedule = Schedule(self.clock, self.clock.seconds)
        self.said: list[str] = []

    def call_at(self, due: float, word: str) -> schedule.Wait:
        """Say a word at an instant."""
        return self.schedule.call_at(due, lambda: self.said.append(word))

    def test_in_order(self) -> None:
        """Waits end when they are due, in that order, those of one instant as they began."""
        for due, word in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
            self.call_at(due, word)
        self.clock.advance(0.999)
        self.assertEqual(self.said, [])
        self.clock.advance(0.001)
        self.assertEqual(self.said, ["a", "b"])
        self.clock.advance(5)
        self.assertEqual("".join(self.said), "abcd")

    def test_one_timer(self) -> None:
        """However many wait, the reactor has one timer; when nobody does, it has none."""
        for number in range(100):
            self.call_at(1.0 + number % 7, "x")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0] * 8)
        self.assertEqual((len(self.said), self.clock.getDelayedCalls()), (100, []))

    def test_cancelled(self) -> None:
        """What is cancelled does not go on, and many that are cancelled take no memory."""
        waits = [self.call_at(1.0, "x") for _ in range(5_000)]
        self.call_at(2.0, "y")
        for wait in waits:
            wait.cancel()
            wait.cancel()
        self.assertEqual(len(self.schedule), 1)
        self.assertLess(len(self.schedule._waits), 1_100)
        self.clock.advance(2)
        self.assertEqual((self.said, len(self.schedule)), (["y"], 0))

    def test_slices(self) -> None:
        """What is due at one instant is spread over turns of a few milliseconds each."""
        self.patch(schedule, "SLICE_SECONDS", 0.001)

        def work() -> None:
            self.said.append("x")
            until = perf_counter() + 0.0003
            while perf_counter() < until:
                pass

        for _ in range(20):
            self.schedule.call_at(1.0, work)
        turns: list[int] = []
        begin = self.schedule._run

        def run() -> None:
            turns.append(len(self.said))
            begin()

        self.patch(self.schedule, "_run", run)
        self.clock.advance(1)
        self.assertEqual(len(self.said), 20)
        self.assertGreater(len(turns), 3)

    def test_a_wait_begun_in_another(self) -> None:
        """Who goes on may wait again, longer than others do, and stop everything."""
        self.schedule.call_at(1.0, lambda: (self.call_at(3.0, "again"), None)[1])
        self.call_at(2.0, "before")
        self.clock.pump([1.0, 1.0])
        self.assertEqual(self.said, ["before"])
        self.clock.advance(1.0)
        self.assertEqual(self.said, ["before", "again"])
        never = self.call_at(9.0, "never")
        self.schedule.call_at(4.0, self.schedule.stop)
        self.clock.pump([1.0, 10.0])
        never.cancel()
        self.assertEqual((len(self.said), len(self.schedule), self.clock.getDelayedCalls()), (2, 0, []))

    def test_a_bug(self) -> None:
        """A bug in one that goes on is logged, and the others go on."""
        self.schedule.call_at(1.0, lambda: 1 // 0)  # type: ignore[arg-type]  # it never returns
        self.call_at(1.0, "x")
        self.clock.advance(1)
        self.assertEqual(self.said, ["x"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
