"""
How far one machine's wall clock is from another's, measured and said.

Both sides of a tunnel compare: certificates are judged by each side's own clock, so one that is wrong ends in refusals
whose reason nobody would guess. Pure: instants are handed in. A difference is in seconds, positive where the other
clock is ahead.
"""

NOTICED_SECONDS = 60.0  # less is the way of the message, and does no harm
_UNITS = (("years", 365.25 * 86400.0), ("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


def difference(other: float | None, now: float) -> float | None:
    """
    Compare what another clock shows with ours.

    :param other: seconds since the epoch, None if it was not told.
    :param now: what ours shows.
    """
    return None if other is None else other - now


def is_noticed(seconds: float | None) -> bool:
    """Whether a difference is worth a word."""
    return seconds is not None and abs(seconds) >= NOTICED_SECONDS


def say_difference(seconds: float) -> str:
    """Say a difference, to be followed by the name of the clock that is compared with: `2 h behind`, `3 d ahead of`."""
    size = abs(seconds)
    name, unit = next(((name, unit) for name, unit in _UNITS if size >= 1.99 * unit), _UNITS[-1])
    return f"{size / unit:.0f} {name} {'behind' if seconds < 0 else 'ahead of'}"


def remark(other: float | None, now: float) -> str:
    """Return what a line says of somebody whose clock is wrong: `; its clock is 2 h behind ours`; else nothing."""
    seconds = difference(other, now)
    return f"; its clock is {say_difference(seconds)} ours" if seconds is not None and is_noticed(seconds) else ""
