"""
Long answers as pieces of JSON, in order: each piece is a small step, for `warp_base.answer_stream` to write.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Any, TypeVar

import msgspec

from warp_base.answer_stream import Pieces
from warp_base.slices import in_steps

ITEMS_IN_A_STEP = 32
SORTED_IN_A_STEP = 250

T = TypeVar("T")
_encode = msgspec.json.encode


def json_list(
    items: Iterable[Any], describe: Callable[[Any], object] = lambda item: item, in_a_step: int = ITEMS_IN_A_STEP
) -> Pieces:
    """
    Write a list of items, or of what describes each.

    :param in_a_step: how many; fewer than usual where it takes long to describe one.
    """
    separator = b"["
    for step in in_steps(items, in_a_step):
        yield separator + _encode([describe(item) for item in step])[1:-1]
        separator = b","
    yield b"[]" if separator == b"[" else b"]"


def json_object(items: Iterable[tuple[str, object]]) -> Pieces:
    """Write an object of keys and values."""
    separator = b"{"
    for step in in_steps(items, ITEMS_IN_A_STEP):
        yield separator + _encode(dict(step))[1:-1]
        separator = b","
    yield b"{}" if separator == b"{" else b"}"


def sorted_in_steps(items: Iterable[T], key: Callable[[T], Any], found: list[Iterable[T]]) -> Pieces:
    """
    Sort items in steps.

    :param found: is given the items in order; they are brought into order as they are taken.
    """
    runs: list[list[T]] = []
    for step in in_steps(items, SORTED_IN_A_STEP):
        runs.append(sorted(step, key=key, reverse=True))
        yield b""
    found.append(merge(*map(_emptied, runs), key=key))


def _emptied(run: list[T]) -> Iterator[T]:
    """Yield what is in a list from its end, and let go of it, rather than of everything at once at the end."""
    while run:
        yield run.pop()


def ended(pieces: Pieces) -> Pieces:
    """End an answer's text with the end of a line."""
    yield from pieces
    yield b"\n"
