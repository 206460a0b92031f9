"""
Path rules: which expressions an agent may write, and how much it may cost to match them.

RE2 takes time in proportion to the size of the compiled expression and to the length of the path, at worst (measured
with `[ab]*a[ab]{990}`) 10 ns for each instruction and byte. So for each hostname the product of both is bounded,
whoever its rules come from: the more instructions, the shorter the longest path that is matched; what is longer is
refused, because a rule must not be evaded by a long path.

All rules in one `re2.Set` were tried and rejected: it is faster for many simple rules, but it has no way out of a state
machine that explodes, and took 3 to 300 times as long as the rules one by one (550 ms for 2,000 instructions and 8
KiB). Rules that only name a prefix, as most do, are compared without RE2.
"""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import re2

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.refusals import PATH_TOO_LONG
from warp_twisted.http1.refusals import MessageRefused

OFFER_INSTRUCTIONS = 1_600  # of the rules that one tunnel offers for a hostname; `[.]png$` has 7, `\pL` 1,200
HOST_INSTRUCTIONS = 3_200  # of all rules of a hostname: while an agent changes its rules there are old and new ones
LONGEST_PATH = 2_048  # in bytes, decoded, that is matched at all
LARGEST_PRICE = 400_000  # instructions times bytes for the rules of one hostname: 4 ms at worst
_MAX_PATTERN_MEMORY = 1 << 18  # of RE2 for one expression; larger ones are refused
_PREFIX = re.compile(r"\^([A-Za-z0-9/_~-]*)")


class BadPathRule(EdgeError):
    """The path rule is not a regular expression that RE2 accepts, or it is too large."""


class PathRule:
    """
    One rule, compiled.

    :raises BadPathRule: if it is no expression that RE2 accepts, or it is too large.
    :ivar instructions: its share of what may be matched.
    """

    __slots__ = ("_pattern", "_prefix", "instructions")

    def __init__(self, text: str) -> None:
        prefix = _PREFIX.fullmatch(text)
        self._prefix: bytes | None = None if prefix is None else prefix[1].encode()
        self._pattern = _compile(text) if prefix is None else None
        self.instructions: int = 1 if self._pattern is None else self._pattern.programsize
        if self.instructions > OFFER_INSTRUCTIONS:
            raise BadPathRule(f"path {text!r} cannot be used: it is too large for this edge")

    def matches(self, path: bytes) -> bool:
        """Whether the rule matches a decoded path."""
        if self._prefix is not None:
            return path.startswith(self._prefix)
        return self._pattern is not None and self._pattern.search(path) is not None


def longest_path(instructions: int) -> int:
    """Return how many bytes of a path may be matched against rules of so many instructions."""
    return min(LONGEST_PATH, LARGEST_PRICE // max(1, instructions))


def decoded_path(target: bytes, longest: int) -> bytes:
    """
    Return what rules are matched against: a request target without its query, decoded.

    :param longest: bytes that it may have.
    :raises MessageRefused: if it has more.
    """
    path = target.partition(b"?")[0]
    if len(path) <= longest * 3:  # as much as it may shrink
        path = unquote_to_bytes(path)
        if not path.isascii():  # RE2's `.` takes no byte that is not UTF-8; as in Go, a rule must not be evaded by one
            path = path.decode("utf-8", "replace").encode()
        if len(path) <= longest:
            return path
    raise MessageRefused(PATH_TOO_LONG)


def _compile(text: str) -> Any:
    """Compile an agent's expression; raises `BadPathRule`."""
    options = re2.Options()
    options.max_mem = _MAX_PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile(text.encode(), options)
    except re2.error as error:
        raise BadPathRule(f"path {text!r} cannot be used: {error.args[0]!r}") from error
