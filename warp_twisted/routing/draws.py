"""
Draws: numbers that fall into every interval exactly as often as it is wide, without chance.

A draw has 64 bits. The upper half decides the share, the lower half what the upper leaves open: where the visitors of
a share go that has no healthy tunnel. Each half is an additive sequence with an irrational step (Weyl's): the first is
the golden ratio's fraction, of all steps the one that spreads best. Of the first n draws an interval of width w gets
n * w, give or take a handful: the difference grows with the logarithm of n, where that of random draws grows with the
root. So 10 % are 10 % of a hundred visitors, not only of a million; and because it holds for *every* interval, it holds
for the visitors that were drawn before a share grew as well. A round robin would do for one set of weights only, and
fall into step with pages that ask for two files each.
"""

HALF = 32
RANGE = 1 << HALF
LOW = RANGE - 1
_STEP = 0x9E3779B9  # (sqrt(5) - 1) / 2 of 2**32
_SECOND_STEP = 0x6A09E667  # sqrt(2) - 1 of 2**32


class Draws:
    """
    An endless sequence of draws.

    :param start: 64 bits; edges that began with the same would draw alike.
    """

    __slots__ = ("_first", "_second")

    def __init__(self, start: int = 0) -> None:
        self._first = start >> HALF & LOW
        self._second = start & LOW

    def next(self) -> int:
        """Return the next draw, 0 to 2**64 - 1."""
        self._first = first = (self._first + _STEP) & LOW
        self._second = second = (self._second + _SECOND_STEP) & LOW
        return first << HALF | second
