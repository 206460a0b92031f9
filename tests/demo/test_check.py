"""Tests of `warp_twisted.demo.check`: how steps are taken and told; what the steps show is in tests.system.demo."""

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.errors import DemoFailed
from warp_twisted.demo.check import STEP_SECONDS, Step, run_steps


class RunStepsTests(SynchronousTestCase):
    """Taking steps one after the other."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.done: list[str] = []

    def run_them(self, *steps: Step) -> "Deferred[bool]":
        """Begin."""
        return Deferred.fromCoroutine(run_steps(list(steps), self.clock, self.said.append))

    def works(self, seconds: float = 0.0) -> Callable[[], Awaitable[None]]:
        """Return a step that takes some time."""

        async def do() -> None:
            if seconds:
                later: Deferred[None] = Deferred()
                self.clock.callLater(seconds, later.callback, None)
                await later
            self.done.append("step")

        return do

    def test_each_step_is_told_with_its_time(self) -> None:
        """Steps are taken in order, and each line has the time that its step took."""
        running = self.run_them(Step("one works", self.works()), Step("two works", self.works(0.25)))
        self.clock.advance(0.25)
        self.assertTrue(self.successResultOf(running))
        self.assertEqual(self.said, ["ok        0 ms  one works", "ok      250 ms  two works"])

    def test_first_failure_ends_it(self) -> None:
        """A step that fails is told with its reason, and no further step is taken."""

        async def fail() -> None:
            raise DemoFailed("the origin saw\nnothing")

        self.assertFalse(self.successResultOf(self.run_them(Step("one works", fail), Step("two", self.works()))))
        self.assertEqual(self.said, ["FAIL      0 ms  one works: the origin saw nothing"])
        self.assertEqual(self.done, [])

    def test_error_without_words_is_named(self) -> None:
        """An error that says nothing is told by its kind."""

        async def fail() -> None:
            raise KeyError

        self.assertFalse(self.successResultOf(self.run_them(Step("one works", fail))))
        self.assertIn("one works: KeyError", self.said[0])

    def test_step_that_hangs_is_given_up(self) -> None:
        """No step takes longer than its limit."""
        running = self.run_them(Step("one works", self.works(10 * STEP_SECONDS)))
        self.assertNoResult(running)
        self.clock.advance(STEP_SECONDS)
        self.assertFalse(self.successResultOf(running))
        self.assertIn("not done in 20 s", self.said[0])
