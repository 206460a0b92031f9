"""
What a busy Warp process asks of its platform: a heap that is kept, and events delivered without a log context each.

Called once at start by the taps and the command, for the whole process; nothing here knows tunnels or requests.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor

# glibc's mallopt(3) parameters, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

KEPT_HEAP_BYTES = 32 * 1024 * 1024  # free memory at the top of the heap that stays ours
MAPPED_BYTES = 4 * 1024 * 1024  # an allocation from this size on gets pages of its own
EVENTS_PER_TURN = 64  # tunnels send at the end of a turn: the other side should not wait for hundreds of visitors


def prepare(reactor: object) -> None:
    """Do both: `keep_heap` and `deliver_directly`."""
    keep_heap()
    deliver_directly(reactor)


def keep_heap() -> bool:
    """
    Ask the C library not to give memory back after each large read.

    By default a read of 256 KiB maps its pages, faults them in and unmaps them again: measured 17 µs a read instead of
    2, and up to 450 page faults for each MB that passes the agent.

    :returns: False where the C library has no such setting (it is not glibc), and everything stays as it was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_HEAP_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))


def deliver_directly(reactor: object) -> bool:
    """
    Let the epoll reactor call what is ready without `twisted.python.log.callWithLogger` around each call.

    That sets the `system` key of Twisted's old log, which no module here reads, and costs 1 to 2 µs an event: a tenth
    of what a request costs. Exceptions are still caught, logged, and end the connection: `_doReadOrWrite` does that.

    :returns: False for any other reactor, which stays as it was.
    """
    if type(reactor) is not EPollReactor:
        return False
    _replace_iteration(reactor)
    return True


def _replace_iteration(reactor: Any) -> None:
    selectables = reactor._selectables
    deliver: Callable[[object, int, int], None] = reactor._doReadOrWrite

    def iterate(timeout: float | None) -> None:
        try:
            events = reactor._poller.poll(-1 if timeout is None else timeout, EVENTS_PER_TURN)
        except InterruptedError:
            return
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if selectable is not None:  # closed by an earlier event of this turn
                deliver(selectable, descriptor, event)

    reactor.doPoll = reactor.doIteration = iterate
