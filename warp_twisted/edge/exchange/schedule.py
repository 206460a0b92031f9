"""
When exchanges that wait go on: one timer for all of them, and never more than a few milliseconds of work in a turn.

A thousand waits may end at one instant. Those that are due go on in the order in which they are due; what does not fit
into one turn of the reactor goes on in the next ones, and everything else that is ready is served in between. Who waits
and why is not known here.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import perf_counter

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

SLICE_SECONDS = 0.002  # of each turn of the reactor
_MOST_CANCELLED = 1_000  # that are kept until they would have been due, or the half of all


class Wait:
    """
    One wait.

    :ivar due: an instant of the schedule's clock.
    """

    __slots__ = ("_go_on", "_order", "_schedule", "due")

    def __init__(self, schedule: "Schedule", due: float, order: int, go_on: Callable[[], None]) -> None:
        self._schedule = schedule
        self.due = due
        self._order = order
        self._go_on: Callable[[], None] | None = go_on

    def __lt__(self, other: "Wait") -> bool:
        return (self.due, self._order) < (other.due, other._order)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was cancelled."""
        return self._go_on is None

    def take(self) -> Callable[[], None] | None:
        """Return what goes on, once."""
        go_on, self._go_on = self._go_on, None
        return go_on

    def cancel(self) -> None:
        """Wait no longer, if it still does."""
        if self.take() is not None:
            self._schedule.cancelled()


class Schedule:
    """
    All waits.

    What raises when it goes on is logged, and the others go on.

    :param clock: the reactor.
    :param seconds: the clock of the instants; it goes as fast as the reactor's.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, seconds: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waits: list[Wait] = []
        self._cancelled = 0
        self._next = count().__next__
        self._call: IDelayedCall | None = None
        self._called_at = 0.0

    def __len__(self) -> int:
        return len(self._waits) - self._cancelled

    def call_at(self, due: float, go_on: Callable[[], None]) -> Wait:
        """
        Begin a wait.

        :param go_on: called once, unless the wait is cancelled.
        """
        wait = Wait(self, due, self._next(), go_on)
        heappush(self._waits, wait)
        if self._call is None or due < self._called_at:
            self._call_for(due)
        return wait

    def stop(self) -> None:
        """Forget all waits."""
        for wait in self._waits:
            wait.take()
        self._waits.clear()
        self._cancelled = 0
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def cancelled(self) -> None:
        """A wait is cancelled; those that are leave when they are due, or when they have become many."""
        self._cancelled += 1
        if self._cancelled > _MOST_CANCELLED and self._cancelled * 2 > len(self._waits):
            self._waits = [wait for wait in self._waits if not wait.is_over]
            heapify(self._waits)
            self._cancelled = 0

    def _end(self, go_on: Callable[[], None]) -> None:
        """End one wait; a bug in what goes on must not keep the others waiting."""
        try:
            go_on()
        except Exception:
            self._log.failure("what a limit of bytes had held back failed to go on")

    def _call_for(self, due: float) -> None:
        """Let the timer run for what is due first."""
        self._called_at = due
        delay = max(0.0, due - self._seconds())
        if self._call is None:
            self._call = self._clock.callLater(delay, self._run)
        else:
            self._call.reset(delay)

    def _run(self) -> None:
        """End the waits that are over, as many as fit into this turn."""
        self._call = None
        began = perf_counter()
        while self._waits and self._waits[0].due <= self._seconds():
            if perf_counter() - began > SLICE_SECONDS:
                break
            go_on = heappop(self._waits).take()
            if go_on is None:
                self._cancelled -= 1
            else:
                self._end(go_on)
        if self._waits:
            self._call_for(self._waits[0].due)  # who went on may have begun waits that end later
