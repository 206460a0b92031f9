"""
What one peer's heads have in common: the lines that stay the same from head to head, and those whose values differ.

A browser sends the same dozen fields with each request, and only a few of them (Cookie, Referer) have new values; an
origin's answers differ in ETag, Date and the like. When two heads in turn have the same names in the same order, their
reader learns a `Template`: the unchanged bytes, and between them the places of values. A head that fits it is then read
by comparing bytes: only the values are looked at, and they are held to the same grammar as ever. What does not fit is
read in full.

It decides only what is the same. Which fields may differ without changing what a head means is the reader's to say.
"""

import re
from collections.abc import Callable, Collection, Sequence

from warp_twisted.http1.grammar import VALUE

MAX_BYTES = (
    4_096  # of a section that is remembered; a longer one is read in full, so that an idle connection stays small
)
MAX_TEMPLATES = 2  # of one reader: the fields of a page's own request, and those of what the page loads

_match_value = re.compile(rb"(" + VALUE + rb")\r\n").match


class Template:
    """
    Heads that differ only in some values.

    :ivar places: the indices of the lines whose values may differ, among all lines of the section; sorted.
    """

    __slots__ = ("_constants", "_last", "_passed", "_written", "places")

    def __init__(
        self,
        prefix: bytes,
        lines: Sequence[bytes],
        kept: Sequence[bytes],
        places: Sequence[int],
        written: tuple[bytes, bytes],
    ) -> None:
        """
        Make a template of one head that was read in full.

        :param prefix: the line before the field lines, or the end of it, with its CR LF.
        :param lines: the field lines without their CR LF.
        :param kept: those that are passed on as they came: the same objects in the same order.
        :param places: indices of the lines whose values may differ; sorted.
        :param written: what is passed on before the kept lines and after them.
        """
        self.places = places
        constants: list[bytes] = []
        pieces: list[bytes] = []
        passed: list[int] = []  # which of the values are passed on
        constant, piece = prefix, written[0]
        waiting = iter(kept)
        next_kept = next(waiting, None)
        for at, line in enumerate(lines):
            is_kept = line is next_kept
            if is_kept:
                next_kept = next(waiting, None)
            if at in places:
                name = line[: line.index(b":") + 1]
                if is_kept:
                    passed.append(len(constants))
                    pieces += (piece + name, b"")
                    piece = b"\r\n"
                constants.append(constant + name)
                constant = b"\r\n"
            else:
                constant += line + b"\r\n"
                if is_kept:
                    piece += line + b"\r\n"
        self._constants = constants
        self._last = constant + b"\r\n"
        self._passed = passed if len(passed) < len(constants) else None
        self._written = [*pieces, piece + written[1]]

    def match(self, data: bytes, start: int) -> tuple[int, list[bytes]] | None:
        """
        Compare a head with the template.

        :param start: where the prefix begins in `data`.
        :returns: where the head ends, and its values; None if it does not fit or has not arrived whole.
        """
        values: list[bytes] = []
        for constant in self._constants:
            if not data.startswith(constant, start):
                return None
            found = _match_value(data, start + len(constant))
            if found is None:
                return None
            values.append(found[1])
            start = found.end() - 2
        last = self._last
        return (start + len(last), values) if data.startswith(last, start) else None

    def write(self, values: Sequence[bytes]) -> bytes:
        """Return what is passed on."""
        pieces = self._written.copy()
        passed = self._passed
        pieces[1::2] = values if passed is None else [values[at] for at in passed]
        return b"".join(pieces)


def differing(old: Sequence[bytes], new: Sequence[bytes], may_differ: Callable[[bytes], bool]) -> list[int] | None:
    """
    Return the indices of the lines in which two sections differ.

    :param may_differ: whether the value of a field of this lower-case name may differ without changing what else the
        head means.
    :returns: None if they differ in more than the values of such fields.
    """
    if len(old) != len(new):
        return None
    places = []
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        name = after.partition(b":")[0]
        if not may_differ(name.lower()) or not before.startswith(name + b":"):
            return None
        places.append(at)
    return places


def covers(places: Collection[int], others: Collection[int]) -> bool:
    """Whether a template with some places makes one with the other places needless."""
    return set(others) <= set(places)
