"""
Which share a draw belongs to, for given weights.

The range of draws is laid out in one interval for each share, in the order of the split, as wide as its weight. It is a
function of the weights alone, so every edge lays it out alike, also after a restart. Of two shares, what the wider one
loses is what the other gains. A share that is shifted from its weight in the split grows by the same part of every
other's interval, and shrinks by the end of its own, which is handed to the others by the second half of the draw. So a
shift moves exactly as many visitors as it must, of any number of shares, and nobody back. Only a document that changes
three weights or more at once may move some more.

A share that was taken back hands everything to one heir, whatever it had: no other share gets more by it.
"""

from bisect import bisect_right
from collections.abc import Sequence

from warp_twisted.routing.draws import HALF, LOW, RANGE

WHOLE = 10_000  # parts of a share that is shifted: a hundredth of a percent
NOBODY = -1


class Layout:
    """
    Intervals of draws.

    :param weights: of each share, 0 or more; at least one above 0.
    :param shifted: the index of a share, and what it gets in place of its weight: 0 to `WHOLE`.
    :param taken: the index of a share that gets nothing, and of the one that gets what it had.
    :ivar parts: of each share, 0 to 1.
    """

    __slots__ = ("_bounds", "_given_up", "_owners", "parts")

    def __init__(
        self,
        weights: Sequence[int],
        shifted: tuple[int, int] | None = None,
        taken: tuple[int, int] | None = None,
    ) -> None:
        total = sum(weights)
        before = [weight / total for weight in weights]
        self.parts = before if shifted is None else shifted_parts(before, *shifted)
        self._given_up = list(self.parts)  # whom the second half chooses among, for what a share has given up
        if shifted is not None:
            self._given_up[shifted[0]] = 0.0
        self._bounds: list[int] = []
        self._owners: list[int] = []
        at = 0.0
        for share, (old, new) in enumerate(zip(before, self.parts, strict=True)):
            kept = min(old, new)
            self._add(share, at + kept)
            if old > kept:
                # What it loses: to the one that grew, or, of the one that shrank, to all others.
                self._add(NOBODY if shifted is None or shifted[0] == share else shifted[0], at + old)
            at += old
        self._bounds[-1] = RANGE  # whatever was lost in rounding
        if taken is not None:
            share, heir = taken
            self._owners = [heir if owner == share else owner for owner in self._owners]
            for parts in (self.parts, self._given_up):
                parts[heir] += parts[share]
                parts[share] = 0.0

    def _add(self, owner: int, end: float) -> None:
        bound = round(end * RANGE)
        if self._owners and self._owners[-1] == owner:
            self._bounds[-1] = bound
        elif bound > (self._bounds[-1] if self._bounds else 0):
            self._bounds.append(bound)
            self._owners.append(owner)

    def share(self, draw: int) -> int:
        """Return the share of a draw by its first half, or `NOBODY`: then `another` says it."""
        return self._owners[bisect_right(self._bounds, draw >> HALF)]

    def another(self, draw: int, is_usable: Sequence[bool]) -> int:
        """
        Return the share of a draw whose own cannot be used, or has given it up, by its second half.

        :param is_usable: of each share.
        :returns: `NOBODY` if no share with a part can be used.
        """
        if self.share(draw) == NOBODY and any(map(_usable_part, self._given_up, is_usable)):
            parts = list(map(_usable_part, self._given_up, is_usable))
        else:
            parts = list(map(_usable_part, self.parts, is_usable))
        left = (draw & LOW) / RANGE * sum(parts)
        found = NOBODY
        for share, part in enumerate(parts):
            if part:
                found = share
                if left < part:
                    break
                left -= part
        return found


def _usable_part(part: float, is_usable: bool) -> float:
    return part if is_usable else 0.0


def shifted_parts(parts: Sequence[float], share: int, whole: int) -> list[float]:
    """
    Return the parts of all shares when one gets another part, and the others keep theirs against each other.

    :param whole: 0 to `WHOLE`.
    """
    part = whole / WHOLE
    rest = 1 - parts[share]
    if rest <= 0:  # nobody else has a weight that says how much it would get
        return list(parts)
    return [part if index == share else old * (1 - part) / rest for index, old in enumerate(parts)]
