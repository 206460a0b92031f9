"""
Whether an origin counts as healthy, by what its probes found: so many in a row change it, and fewer do not.

Pure. The first probe decides alone, so that an agent which starts before its application does not hold it for
healthy. Until then the origin counts as healthy, as one without probes does.
"""

from enum import Enum


class Verdict(Enum):
    """What is known of an origin."""

    UNKNOWN = "it was not probed yet, and counts as healthy"
    HEALTHY = "its probes are good"
    UNHEALTHY = "its probes fail: edges send its requests elsewhere, if they can"


_UNKNOWN, _HEALTHY, _UNHEALTHY = Verdict.UNKNOWN, Verdict.HEALTHY, Verdict.UNHEALTHY

# Verdict, and what a probe found → the verdict after enough of that in a row.
TRANSITIONS: dict[tuple[Verdict, bool], Verdict] = {
    (_UNKNOWN, True): _HEALTHY,
    (_UNKNOWN, False): _UNHEALTHY,
    (_HEALTHY, True): _HEALTHY,
    (_HEALTHY, False): _UNHEALTHY,
    (_UNHEALTHY, True): _HEALTHY,
    (_UNHEALTHY, False): _UNHEALTHY,
}


class Tally:
    """
    The probes of one origin.

    :param rise: good ones in a row after which it is healthy again.
    :param fall: failures in a row after which it is not healthy any more.
    :ivar in_a_row: how many speak for the other verdict.
    """

    __slots__ = ("_needed", "in_a_row", "verdict")

    def __init__(self, rise: int, fall: int) -> None:
        self._needed = {_UNKNOWN: 1, _HEALTHY: fall, _UNHEALTHY: rise}
        self.verdict = _UNKNOWN
        self.in_a_row = 0

    @property
    def is_healthy(self) -> bool:
        """Whether requests should go there."""
        return self.verdict is not _UNHEALTHY

    def note(self, is_good: bool) -> bool:
        """Count a probe; return whether the verdict is another one now."""
        after = TRANSITIONS[self.verdict, is_good]
        if after is self.verdict:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        if self.in_a_row < self._needed[self.verdict]:
            return False
        self.verdict = after
        self.in_a_row = 0
        return True
