"""
Calendar time, apart from the time that durations are measured by.

Time-outs, leases, beats, back-off and rates run on the monotonic clock: a reactor's `seconds()`, or an argument named
`clock`, `monotonic` or `seconds`. What is about the calendar (certificates, tokens, instants in the registry and in
logs, TSIG) asks a `WallClock`, which is handed in as `wall`. Their interfaces differ, so a type checker refuses one in
the place of the other. Pure: the clocks themselves are in `machine_time`.
"""

from typing import Protocol


class WallClock(Protocol):
    """
    A clock that tells the time of day, and may be wrong.

    Its owner may set it, so it jumps either way; the difference of two instants says nothing about a duration.
    """

    def now(self) -> float:
        """Return seconds since the epoch (1970, UTC)."""
