"""
Lengths of time as people write them: `30s`, `1h30m`, `7d`, `500ms`.

One grammar for settings and for options of the command: that of Go programs, with days.
"""

import re

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in _UNITS), re.ASCII)


def parse_duration(text: str) -> float:
    """
    Read a length of time: days to milliseconds, the largest first, each at most once.

    :returns: seconds.
    :raises ValueError: saying what was expected.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"expected a length of time such as 30s, 1h30m or 7d, got {text!r}")
    return sum(float(part or 0) * seconds for part, seconds in zip(match.groups(), _UNITS.values(), strict=True))
