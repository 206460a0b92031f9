"""
Shifts: what a share gets while it goes from one part to another.

Between its two ends a shift follows the calendar's clock, as it outlives restarts and every edge must come to the same.
One that gives a guarded share more follows what its guard vouched for instead.
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


def guarded_part(start: int, target: int, progress_seconds: float, over_seconds: float) -> int:
    """
    Return what a share gets that its guard lets go on no further than it vouched for.

    One that had nothing begins with a percent: without a request nobody can be judged.

    :param progress_seconds: for how long it was found as good as the others, since the shift began.
    """
    part = part_at(start, target, 0.0, over_seconds, progress_seconds)
    if start == 0:
        return max(part, min(target, PERCENT))
    return min(part, max(target, WHOLE - PERCENT)) if start == WHOLE else part


def further(start: int, target: int, one: int, other: int) -> int:
    """Return which of two parts a shift comes to later: no visitor goes back because a clock was set back."""
    return max(one, other) if target >= start else min(one, other)
