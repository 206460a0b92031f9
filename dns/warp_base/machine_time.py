"""
The clocks of this machine: the one for the time of day, and the one that every reactor of ours runs on.

Twisted's reactors measure time-outs by the wall clock: set back by an hour, nothing that waits happens for an hour
(https://github.com/twisted/twisted/issues/2424). The monotonic clock goes on evenly, whatever is done to the other.
"""

import time
from typing import Any


class MachineWallClock:
    """The wall clock of this machine; a `WallClock`."""

    now = staticmethod(time.time)


MACHINE_WALL_CLOCK = MachineWallClock()


def use_monotonic_time(reactor: Any) -> None:
    """
    Let a reactor's `seconds`, and all that it calls later, follow the monotonic clock.

    Called first thing in each process that runs a reactor. What asks `reactor.seconds()` for the time of day is wrong
    from then on; in Twisted that is the date in the access log of `twisted.web` alone, which nothing of ours writes.

    :raises ValueError: if something is scheduled already, by the other clock.
    """
    if reactor.seconds is time.monotonic:
        return
    if reactor.getDelayedCalls():
        raise ValueError("the reactor has scheduled calls already")
    reactor.seconds = time.monotonic
