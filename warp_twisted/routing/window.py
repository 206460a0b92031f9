"""
What was counted in the last seconds, of counters that only grow: the difference to what they were then.

The counters are noted `SLOTS` times in a window, so it is bounded whatever is counted, and between one and one and a
twelfth as long as asked.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

SLOTS = 12


class Counts(msgspec.Struct, frozen=True):
    """
    Requests of one share or several.

    :param errors: answers of 500 and above.
    :param latencies: in the buckets of `latencies`; upgrades are in none.
    """

    requests: int = 0
    errors: int = 0
    latencies: Sequence[int] = ()

    def since(self, before: "Counts") -> "Counts":
        """Return what came since."""
        earlier = before.latencies or (0,) * len(self.latencies)
        return Counts(
            self.requests - before.requests,
            self.errors - before.errors,
            [now - then for now, then in zip(self.latencies, earlier, strict=True)],
        )


class Moment(msgspec.Struct, frozen=True):
    """What a share's and the others' counters were at an instant."""

    at: float
    share: Counts
    others: Counts


class Window:
    """
    The last `seconds` seconds of a share and of the others.

    :param seconds: how long.
    """

    __slots__ = ("_moments", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._moments: deque[Moment] = deque(maxlen=SLOTS + 2)

    def note(self, moment: Moment) -> bool:
        """
        Take what the counters are now.

        :returns: False if they began anew, and the window with them.
        """
        moments = self._moments
        if moments and _began_anew(moments[-1], moment):
            moments.clear()
            moments.append(moment)
            return False
        if not moments or moment.at - moments[-1].at >= self._seconds / SLOTS:
            moments.append(moment)
        while len(moments) > 1 and moments[1].at <= moment.at - self._seconds:
            moments.popleft()
        return True

    def counted(self, moment: Moment) -> tuple[Counts, Counts]:
        """Return what came in the window until now: of the share, and of the others."""
        first = self._moments[0]
        return moment.share.since(first.share), moment.others.since(first.others)


def _began_anew(before: Moment, now: Moment) -> bool:
    return now.share.requests < before.share.requests or now.others.requests < before.others.requests
