"""`tunnel.step_queue`: at once while there is time, then in turns, network by network."""

from collections.abc import Callable
from time import perf_counter

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.step_queue import StepQueue


def busy(seconds: float) -> None:
    """Compute for so long."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


class StepQueueTests(SynchronousTestCase):
    """`StepQueue` with steps that each use up a turn's time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.queue = StepQueue(self.clock, 0.001)
        self.taken: list[str] = []

    def step(self, name: str, seconds: float = 0.002) -> Callable[[], None]:
        def take() -> None:
            self.taken.append(name)
            busy(seconds)

        return take

    def test_at_once(self) -> None:
        """Steps that take little are taken as they come, and nothing is left behind."""
        for name in "abc":
            self.queue.take("192.0.2.1", self.step(name, 0.0))
        self.assertEqual((self.taken, len(self.queue)), (["a", "b", "c"], 0))
        self.clock.pump([0] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_turns(self) -> None:
        """When the turn's time is used up the others wait, and each turn takes what it has time for."""
        for name in "abcd":
            self.queue.take("192.0.2.1", self.step(name))
        self.assertEqual((self.taken, len(self.queue)), (["a"], 3))
        self.queue._run()
        self.assertEqual(self.taken, ["a", "b"])
        self.clock.pump([0] * 5)
        self.assertEqual((self.taken, len(self.queue)), (["a", "b", "c", "d"], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_networks_in_turns(self) -> None:
        """A network with one step does not wait for all of one that caused many."""
        for number in range(5):
            self.queue.take("192.0.2.1", self.step(f"a{number}"))
        self.queue.take("198.51.100.1", self.step("b"))
        self.clock.pump([0] * 10)
        self.assertEqual(self.taken, ["a0", "a1", "b", "a2", "a3", "a4"])

    def test_who_comes_while_others_wait(self) -> None:
        """A step that comes while others wait goes behind them, even if this turn has time left."""
        self.queue.take("192.0.2.1", self.step("a"))
        self.queue.take("192.0.2.1", self.step("b", 0.0))
        self.queue._spent = 0.0
        self.queue.take("192.0.2.1", self.step("c", 0.0))
        self.assertEqual(self.taken, ["a"])
        self.clock.advance(0)
        self.assertEqual(self.taken, ["a", "b", "c"])
