"""
A limit of time for whatever blocks: name look-ups, handshakes, heads that arrive a byte at a time.

Time-outs of sockets are for each wait, so a peer that sends a byte now and then is never late; this is for the whole.
It is a signal (SIGALRM), so it works in the main thread only, and there is one limit at a time.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 1.0  # an exception that something in between swallowed is raised again


class TooSlow(Exception):
    """It took too long."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """
    Do something, and end it when the time is over.

    :raises TooSlow: in the middle of whatever is done then.
    """

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"not within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
