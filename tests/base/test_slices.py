"""Tests for `warp_base.slices`."""

import gc
from collections.abc import Callable, Generator, Iterator
from time import perf_counter
from typing import Any

from twisted.internet import reactor
from twisted.internet.base import DelayedCall
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock, SchedulerStopped, TaskStopped
from twisted.trial.unittest import SynchronousTestCase, TestCase

from warp_base import slices
from warp_base.slices import SLICE_SECONDS, Slices, in_steps


def burn(seconds: float) -> None:
    """Compute for so long."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


class Turns:
    """A reactor that only calls later, a turn at a time; `Clock` makes calls of no delay within the same turn."""

    def __init__(self) -> None:
        self._calls: list[DelayedCall] = []

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any, **kwargs: Any) -> IDelayedCall:
        """Keep a call for the next turn."""
        call = DelayedCall(delay, callable, args, kwargs, self._calls.remove, lambda call: None)
        self._calls.append(call)
        return call

    def turn(self) -> None:
        """Make the calls that wait."""
        calls, self._calls = self._calls, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)


class SlicesTests(SynchronousTestCase):
    """`Slices`, turn by turn."""

    def setUp(self) -> None:
        self.reactor = Turns()
        self.slices = Slices(self.reactor)

    def turns(self, done: "Deferred[Iterator[object]]") -> int:
        """Return how many turns a job takes."""
        count = 0
        while not done.called:
            self.reactor.turn()
            count += 1
        return count

    def test_long_job_takes_many_turns(self) -> None:
        """A job of 20 steps that each fill a slice takes a turn for each."""
        done = self.slices.run(map(burn, [SLICE_SECONDS] * 20))
        self.assertGreaterEqual(self.turns(done), 20)
        self.successResultOf(done)

    def test_short_job_takes_one(self) -> None:
        """Steps that fit into a slice are taken in one turn."""
        taken: list[int] = []
        done = self.slices.run(map(taken.append, range(5)))
        self.assertLessEqual(self.turns(done), 2)
        self.assertEqual(taken, [0, 1, 2, 3, 4])

    def test_jobs_take_turns(self) -> None:
        """A short job that comes while a long one runs does not wait for its end."""
        order: list[str] = []

        def job(name: str, steps: int) -> Iterator[None]:
            for _ in range(steps):
                order.append(name)
                burn(SLICE_SECONDS)
                yield

        long = self.slices.run(job("long", 10))
        short = self.slices.run(job("short", 2))
        self.turns(short)
        self.assertFalse(long.called)
        self.assertLessEqual(order.count("long"), 4)
        self.turns(long)

    def test_failure(self) -> None:
        """What a job raises is its Deferred's failure, and other jobs go on."""

        def broken() -> Iterator[None]:
            yield
            raise ValueError("broken")

        done = self.slices.run(broken())
        other = self.slices.run(iter([1, 2, 3]))
        self.turns(other)
        self.failureResultOf(done, ValueError)

    def test_cancel(self) -> None:
        """A cancelled job takes no further step."""
        taken: list[int] = []

        def job() -> Iterator[None]:
            for number in range(1000):
                taken.append(number)
                burn(SLICE_SECONDS)
                yield

        done = self.slices.run(job())
        self.reactor.turn()
        done.cancel()
        self.failureResultOf(done, CancelledError, TaskStopped)
        count = len(taken)
        self.reactor.turn()
        self.assertEqual(len(taken), count)

    def test_result(self) -> None:
        """What a generator returns comes out in the turn of its last step."""

        def job() -> Generator[None, None, str]:
            for _ in range(3):
                burn(SLICE_SECONDS)
                yield
            return "made"

        result = Deferred.fromCoroutine(self.slices.result_of(job()))
        while not result.called:
            self.reactor.turn()
        self.assertEqual(self.successResultOf(result), "made")

    def test_a_share_of_the_time(self) -> None:
        """Between two slices the jobs rest for as long as their share asks, however long each slice took."""
        now = 0.0
        self.patch(slices, "perf_counter", lambda: now)
        clock = Clock()
        done = 0.0

        def job() -> Iterator[None]:
            nonlocal now, done
            while True:
                now += SLICE_SECONDS / 4
                done += SLICE_SECONDS / 4
                yield

        working = Slices(clock, share=0.25)
        working.run(job()).addErrback(lambda failure: failure.trap(SchedulerStopped) and None)
        while clock.seconds() < 1.0:
            clock.advance(SLICE_SECONDS / 8)
        working.stop()
        self.assertApproximates(done / (clock.seconds() + done), 0.25, 0.05)

    def test_start(self) -> None:
        """What a job raises that nobody waits for is logged; that it was stopped is not."""

        def fail() -> Iterator[None]:
            yield
            raise ZeroDivisionError

        self.slices.start(fail())
        self.reactor.turn()
        gc.collect()  # it is logged when the Deferred is freed
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.slices.start(iter([None]))
        self.slices.stop()
        self.slices.start(iter([None]))
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_discard(self) -> None:
        """Large containers are emptied in slices, and nobody hears of it when they are stopped."""
        table = {number: object() for number in range(1000)}
        sequence = list(range(1000))
        self.slices.discard(table)
        self.slices.discard(sequence)
        while table or sequence:
            self.reactor.turn()
        self.slices.discard({1: 2})
        self.slices.stop()
        self.slices.discard({1: 2})

    def test_in_steps(self) -> None:
        """A sequence is cut into lists; nothing is lost and nothing is empty."""
        self.assertEqual(list(in_steps(range(5), 2)), [[0, 1], [2, 3], [4]])
        self.assertEqual(list(in_steps([], 2)), [])


class ReactorTests(TestCase):
    """`Slices` on the real reactor."""

    async def test_others_run_between_slices(self) -> None:
        """A timed call of somebody else runs while the job is under way."""
        heard: list[int] = []
        taken = 0

        def job() -> Iterator[None]:
            nonlocal taken
            for _ in range(30):
                taken += 1
                burn(SLICE_SECONDS)
                yield

        reactor.callLater(0.01, lambda: heard.append(taken))
        await Slices(reactor).run(job())
        self.assertEqual(len(heard), 1)
        self.assertLess(heard[0], 30)
