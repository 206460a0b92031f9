"""The longest turns of an edge's reactor, as its log tells of them."""

import re
from dataclasses import dataclass

_LONGEST = re.compile(r"longest turn took (\d+) ms, by (.*?); most computing (\d+) ms, by ([^\"]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestTurn:
    """
    What one line of the log says.

    :ivar computing_ms: the most that a turn computed, which says more than how long one took on a busy machine.
    :ivar sentence: both, and by what.
    """

    computing_ms: int
    sentence: str


def longest_turns(log: str) -> list[LongestTurn]:
    """Return what a log says of the longest turns, in its order."""
    return [
        LongestTurn(
            computing_ms=int(most), sentence=f"longest turn {wall} ms by {what}, computing {most} ms by {which}"
        )
        for wall, what, most, which in _LONGEST.findall(log)
    ]
