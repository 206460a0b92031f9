"""
Long work as a generator that yields between short steps, and returns what comes out of it.

The caller runs it to its end with `finish`, or in slices of the event loop's turns (`warp_base.slices`).
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]  # each step takes well under a millisecond


def finish(steps: Steps[T]) -> T:
    """Do all steps at once, and return what comes out."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def in_batches(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Cut something into lists of so many items; the last one may be shorter. It may not change meanwhile."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
