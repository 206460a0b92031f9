"""
What a busy Warp process asks of its platform: a heap that is kept, a reactor that runs on the monotonic clock and
whose turns are measured, and look-ups of names that hold up nobody else.

Called once at start by the taps and the command, for the whole process; nothing here knows tunnels or requests.
"""

import ctypes
import sys

from twisted.internet.interfaces import IReactorCore, IReactorPluggableNameResolver

from warp_base.loop.event_loop import watch
from warp_base.loop.turn_times import TurnTimes
from warp_base.machine_time import use_monotonic_time
from warp_base.nonblocking_writer import finish_all
from warp_base.reactor import as_reactor
from warp_twisted.lookups import SharedLookups

# glibc's mallopt(3) parameters, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

KEPT_HEAP_BYTES = 32 * 1024 * 1024  # free memory at the top of the heap that stays ours
MAPPED_BYTES = 4 * 1024 * 1024  # an allocation from this size on gets pages of its own

# The reactor waits for so long at each turn while a thread computes, such as one that reads a thousand rules for 0.5 s.
SWITCH_SECONDS = 0.0005


def prepare(reactor: object) -> TurnTimes:
    """
    Prepare heap, clock and reactor: time-outs by the monotonic clock, turns measured, look-ups shared, the log's last
    lines waited for.

    :param reactor: nothing has been scheduled with it yet.
    :returns: what the reactor's turns take, from now on.
    """
    keep_heap()
    sys.setswitchinterval(SWITCH_SECONDS)
    use_monotonic_time(reactor)
    times = TurnTimes()
    watch(reactor, times)
    if IReactorPluggableNameResolver.providedBy(reactor):
        IReactorPluggableNameResolver(reactor).installNameResolver(SharedLookups(as_reactor(reactor)))
    if IReactorCore.providedBy(reactor):  # twistd ends by a signal after that, which `atexit` does not hear of
        IReactorCore(reactor).addSystemEventTrigger("after", "shutdown", finish_all)
    return times


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
