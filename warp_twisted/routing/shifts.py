"""
Shifts: what a share gets while it goes from one part to another.

Between its two ends a shift follows the calendar's clock, as it outlives restarts and every edge must come to the same.
"""

from warp_twisted.routing.layout import WHOLE

PERCENT = WHOLE // 100


def part_at(start: int, target: int, began_at: float, over_seconds: float, now: float) -> int:
    """
    Return what a share gets at an instant.

    :param start: 0 to `WHOLE`, as are `target` and what is returned.
    :param began_at: seconds since the epoch, as is `now`; a clock that was set back shows the beginning.
    """
    if over_seconds <= 0:
        return target
    progress = min(1.0, max(0.0, (now - began_at) / over_seconds))
    return round(start + (target - start) * progress)


def further(start: int, target: int, one: int, other: int) -> int:
    """Return which of two parts a shift comes to later: no visitor goes back because a clock was set back."""
    return max(one, other) if target >= start else min(one, other)
