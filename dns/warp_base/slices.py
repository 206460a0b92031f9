"""
Long work in slices: each turn of the reactor does a few milliseconds of it, and jobs take turns.

A job is an iterator that yields between small steps; a step should take well under a millisecond, because a slice ends
only between two steps. Twisted's `Cooperator` runs them; this module gives it a budget in real time and lets visitors
be served between two slices.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, MutableMapping
from time import perf_counter
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Cooperator, SchedulerStopped

SLICE_SECONDS = 0.003  # for all jobs of one `Slices` in one turn: under the 5 ms that any input may cost

_DISCARDED_PER_STEP = 64

T = TypeVar("T")


class CallsLater(Protocol):
    """The part of a reactor that is needed here."""

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall:
        """Call a function in a later turn."""


class Slices:
    """
    All long jobs of one process, or of one kind; they share the budget and take turns step by step.

    :param reactor: runs the slices.
    :param budget_seconds: how long the jobs may run in one turn of the reactor, together.
    :param share: how much of the reactor's time they may take over time, more than 0 and up to 1; they rest between two
        slices.
    """

    def __init__(self, reactor: CallsLater, budget_seconds: float = SLICE_SECONDS, share: float = 1.0) -> None:
        self._reactor = reactor
        self._budget_seconds = budget_seconds
        self._rest = 1 / share - 1  # seconds for each second of work
        self._budget: _Budget | None = None  # of the slice that runs
        self._cooperator = Cooperator(terminationPredicateFactory=self._begin, scheduler=self._schedule)

    def _begin(self) -> "_Budget":
        self._budget = _Budget(self._budget_seconds)
        return self._budget

    def _schedule(self, slice_: Callable[[], object]) -> IDelayedCall:
        """Call the next slice: after a rest if one has just run, but for a slice that ran long ago."""
        budget, self._budget = self._budget, None
        spent = 0.0 if budget is None else min(budget.spent_seconds(), 2 * self._budget_seconds)
        return self._reactor.callLater(spent * self._rest, slice_)

    def run(self, steps: Iterable[object]) -> Deferred[Iterator[object]]:
        """
        Run a job to its end, a slice at a time.

        :param steps: the job; what it yields is ignored, but a Deferred, which is waited for.
        :returns: fires when the job is done, fails with what the job raises. Cancelling it stops the job, and it fails
            with `twisted.internet.task.TaskStopped`.
        """
        task = self._cooperator.cooperate(iter(steps))
        done: Deferred[Iterator[object]] = Deferred(lambda _: task.stop())
        task.whenDone().chainDeferred(done)
        return done

    def start(self, steps: Iterable[object]) -> None:
        """Run a job that nobody waits for: what it raises is logged, and `stop` ends it without a word."""
        self.run(steps).addErrback(lambda failure: failure.trap(SchedulerStopped) and None)

    async def result_of(self, steps: Generator[object, None, T]) -> T:
        """
        Run a generator as `run` does, and return what it returns.

        What awaits this goes on in the same turn, right after the last step.
        """
        results: list[T] = []

        def collecting() -> Iterator[object]:
            results.append((yield from steps))

        await self.run(collecting())
        return results[0]

    def discard(self, container: MutableMapping[Any, Any] | list[Any], per_step: int = _DISCARDED_PER_STEP) -> None:
        """
        Empty a container that nobody else uses any more.

        To let go of 100,000 objects at once takes 10 ms and more.

        :param per_step: how many to let go of at once; fewer where each holds many others.
        """
        if container:
            self.start(_emptied(container, per_step))

    def stop(self) -> None:
        """Stop all jobs; their Deferreds fail with `SchedulerStopped`."""
        self._cooperator.stop()


def in_steps(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """
    Cut a sequence into lists, the steps of a job.

    :param size: items in a list, 1 or more; the last one may be shorter.
    """
    step: list[T] = []
    for item in items:
        step.append(item)
        if len(step) >= size:
            yield step
            step = []
    if step:
        yield step


def _emptied(container: MutableMapping[Any, Any] | list[Any], per_step: int) -> Iterator[None]:
    take: Callable[[], object] = container.pop if isinstance(container, list) else container.popitem
    while container:
        for _ in range(min(len(container), per_step)):
            take()
        yield


class _Budget:
    """Says True when the slice is over; at least one step is taken in each."""

    __slots__ = ("_began_at", "_ends_at")

    def __init__(self, seconds: float) -> None:
        self._began_at = perf_counter()
        self._ends_at = self._began_at + seconds

    def spent_seconds(self) -> float:
        """Return how long ago the slice began."""
        return perf_counter() - self._began_at

    def __call__(self) -> bool:
        return perf_counter() >= self._ends_at
