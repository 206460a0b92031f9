"""
The garbage collector of a process that runs for long: what is there after the start is not looked at again.

A full collection looks at every container of the process: measured 0.6 to 1 µs for each, so 100 ms and more for the
caches of a busy server, in which nobody is answered. Young objects are still collected, in a few milliseconds at most.
A reference cycle that has become old is freed by the next full collection only, if the program asks for any.
"""

import gc
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from warp_base.loop.turn_times import TurnTimes

YOUNG_OBJECTS = 2000  # new ones, until the youngest are collected
MIDDLE_COLLECTIONS = 2  # of the youngest, until the middle generation is: 4,000 objects, measured 1.5 to 2 ms
COMPUTED_SECONDS = 0.02  # after so much computing the youngest are collected in any case: 50,000 objects, some 3 ms
MIDDLE_SECONDS = 0.002  # spent on the youngest so, until the middle generation is collected
NEVER = 1_000_000_000  # collections of the middle generation, until a full one


class Youngest:
    """
    Collects the youngest by how much was computed, beside the collector's own count of new objects.

    That count goes down with each object that is freed, old ones as well. Where new ones take the place of old ones, as
    thousands of names are published anew or tunnels come in the place of others, it stays near 0 while hundreds of
    thousands gather: measured 250,000, which then took 13 ms, 50 ms on a busy machine, in one turn.
    """

    def __init__(self) -> None:
        self._due_at = COMPUTED_SECONDS
        self._spent = 0.0

    def look(self, computed: float) -> None:
        """
        Collect, if it is time.

        :param computed: CPU seconds of this thread since its start.
        """
        if computed < self._due_at:
            return
        self._due_at = computed + COMPUTED_SECONDS
        began = perf_counter()
        if self._spent < MIDDLE_SECONDS:
            gc.collect(0)
            self._spent += perf_counter() - began
        else:
            gc.collect(1)
            self._spent = 0.0


class RunsCalls(Protocol):
    """The part of a reactor that is needed here."""

    def callWhenRunning(self, callable: Callable[[], object]) -> object:
        """Call a function when the reactor runs."""


def spare_old_objects(reactor: RunsCalls, full_after: int = NEVER) -> None:
    """
    Collect once when the reactor runs, and never again what is there by then.

    :param full_after: collections of the middle generation until a full one of what came later; a program whose
        connections leave reference cycles needs one now and then.
    """
    reactor.callWhenRunning(partial(freeze, full_after))


def freeze(full_after: int = NEVER) -> None:
    """Collect once, and never again what is there now; the parameter is that of `spare_old_objects`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_COLLECTIONS, full_after)


def measure_collections(times: TurnTimes) -> Callable[[], None]:
    """
    Tell how long each collection takes from now on; it counts as time of the turn in which it falls.

    :returns: call it to tell no more.
    """
    began = 0.0

    def collected(phase: str, information: dict[str, Any]) -> None:
        nonlocal began
        if phase == "start":
            began = perf_counter()
        else:
            times.collection_ended(perf_counter() - began)

    gc.callbacks.append(collected)
    return lambda: gc.callbacks.remove(collected)
