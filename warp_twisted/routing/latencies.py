"""
How long requests took, counted finely enough to compare two shares: each bound is a tenth above the one before.

The buckets of the metrics are for drawing, up to 2.5 times apart, and would hide a share that takes twice as long.
"""

from bisect import bisect_left
from collections.abc import Sequence

FIRST = 0.001  # seconds
STEP = 1.1
BOUNDS = tuple(FIRST * STEP**number for number in range(116))  # to 57 s; what took longer is counted last
BUCKETS = len(BOUNDS) + 1


def bucket_of(seconds: float) -> int:
    """Return the index of the bucket that a length of time is counted in."""
    return bisect_left(BOUNDS, seconds)


def quantile(counts: Sequence[int], part: float) -> float | None:
    """
    Return what a part of the requests took at most: the upper bound of the bucket that it ends in.

    :param counts: of each bucket.
    :param part: above 0, to 1; 0.99 for the 99th percentile.
    :returns: seconds; None if nothing was counted, or it took longer than the last bound.
    """
    wanted = part * sum(counts)
    seen = 0
    for bound, count in zip(BOUNDS, counts, strict=False):
        seen += count
        if seen and seen >= wanted:
            return bound
    return None


def slower_than(counts: Sequence[int], seconds: float) -> int:
    """Return how many took longer than a length of time, those aside that may have taken as long."""
    return sum(counts[bucket_of(seconds * (1 - 1e-9)) + 1 :])
