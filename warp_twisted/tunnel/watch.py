"""
One timer for all tunnels of a process: each is looked at when its time has come, and says when to look again.

A timer of its own for each tunnel cost a quarter of a core at 16,000 idle ones, most of it in pings that nobody needed:
a tunnel is only asked for a sign of life when it was silent for long, and what is due at once is done in slices.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from math import ceil
from time import perf_counter
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

# Looks are gathered to multiples of it: a turn of the event loop for each would cost ten times what the look does.
TICK_SECONDS = 0.1
AT_ONCE_SECONDS = 0.001  # of one turn; what is due besides is shared


class Watched(Protocol):
    """Who is looked at."""

    def look(self, now: float) -> float | None:
        """
        Do what is due; must not raise.

        :returns: seconds until the next look, or None if there is to be none.
        """


class _Look:
    """
    One entry of the heap, in the order of time.

    :ivar at: when, by the clock.
    :ivar number: of entries of one time the first made comes first.
    :ivar watched: who; None: nobody any more, the entry is passed over.
    """

    __slots__ = ("at", "number", "watched")

    def __init__(self, at: float, number: int, watched: Watched) -> None:
        self.at = at
        self.number = number
        self.watched: Watched | None = watched

    def __lt__(self, other: "_Look") -> bool:
        return (self.at, self.number) < (other.at, other.number)


class Watch:
    """
    Looks at each of its tunnels in time.

    :param clock: the reactor.
    :param share: takes the steps of something long.
    """

    def __init__(self, clock: IReactorTime, share: Callable[[Iterable[object]], None]) -> None:
        self._clock = clock
        self._share = share
        self._due: dict[Watched, _Look] = {}
        self._heap: list[_Look] = []
        self._numbers = count()
        self._call: IDelayedCall | None = None
        self._is_looking = False

    def add(self, watched: Watched, seconds: float) -> None:
        """Look at a tunnel after so many seconds, or up to `TICK_SECONDS` later, with others."""
        self._put(watched, self._clock.seconds() + seconds)
        self._schedule()

    def remove(self, watched: Watched) -> None:
        """Look at it no more; it is let go of at once, as thousands that end would be freed together later."""
        look = self._due.pop(watched, None)
        if look is not None:
            look.watched = None
        if not self._due:
            self._heap.clear()
            self._schedule()

    def __contains__(self, watched: Watched) -> bool:
        return watched in self._due

    def _put(self, watched: Watched, at: float) -> None:
        former = self._due.get(watched)
        if former is not None:
            former.watched = None
        look = self._due[watched] = _Look(ceil(at / TICK_SECONDS - 1e-6) * TICK_SECONDS, next(self._numbers), watched)
        heappush(self._heap, look)

    def _schedule(self) -> None:
        """Have one call under way, for the earliest look, if there is any."""
        if self._is_looking:
            return  # and then scheduled
        call = self._call
        at = self._heap[0].at if self._heap else None
        if call is not None and call.active():
            if at is not None and call.getTime() <= at:
                return
            call.cancel()
        self._call = None if at is None else self._clock.callLater(max(0.0, at - self._clock.seconds()), self._run)

    def _run(self) -> None:
        self._is_looking = True
        steps = self._look()
        until = perf_counter() + AT_ONCE_SECONDS
        for _ in steps:
            if perf_counter() >= until:
                self._share(steps)
                return

    def _look(self) -> Iterator[None]:
        heap, due = self._heap, self._due
        now = self._clock.seconds()
        while heap and heap[0].at <= now + 1e-6:
            watched = heappop(heap).watched
            if watched is None:
                continue
            del due[watched]
            seconds = watched.look(now)
            if seconds is not None:
                self._put(watched, now + seconds)
            yield
            now = self._clock.seconds()
        self._is_looking = False
        self._schedule()
