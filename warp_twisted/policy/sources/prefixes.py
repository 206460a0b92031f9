"""
Sets of addresses, given as prefixes: `192.0.2.0/24`, `2001:db8::/32`, or one address.

Kept as sorted ranges that do not touch, so that a look-up is one binary search: 0.9 µs for an IPv4 address among
200,000 prefixes, in 2 MB. Pure; a large list is read in steps.
"""

from array import array
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from heapq import merge
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Protocol

MAX_PREFIXES = 1_000_000  # of one set
_PER_STEP = 500  # lines or ranges; 0.5 ms
_PER_SORT = 1_024  # ranges sorted at once; 0.5 ms


class Addresses(Protocol):
    """Says of an address, in canonical text, whether it belongs here: a `PrefixSet`, or a set of strings."""

    def __contains__(self, address: str, /) -> bool:
        """Return whether it does."""


class PrefixError(ValueError):
    """A line is no prefix; the text says which line and what was expected."""


class PrefixSet:
    """
    Addresses of both families.

    Made by `PrefixSet.of` or, from many lines, by `PrefixSet.steps_of`.
    """

    __slots__ = ("_first4", "_first6", "_last4", "_last6", "count")

    def __init__(self, count: int) -> None:
        """
        Begin with no addresses.

        :param count: of the prefixes it is made of, for display.
        """
        self._first4, self._last4 = array("L"), array("L")
        self._first6: list[int] = []
        self._last6: list[int] = []
        self.count = count

    @classmethod
    def of(cls, lines: Iterable[str]) -> "PrefixSet":
        """
        Read a short list at once.

        :raises PrefixError: as `steps_of`.
        """
        steps = cls.steps_of(lines)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                result: PrefixSet = done.value
                return result

    @classmethod
    def steps_of(cls, lines: Iterable[str]) -> "Generator[None, None, PrefixSet]":
        """
        Read a list of any length in steps of about a millisecond.

        :param lines: a prefix or an address each; empty ones, and what follows `#` or `;`, are left out.
        :returns: the set.
        :raises PrefixError: at the first line that is something else, and above `MAX_PREFIXES`.
        """
        pieces4, pieces6 = _Pieces(32), _Pieces(128)
        count = 0
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].partition(";")[0].strip()
            if text:
                count += 1
                if count > MAX_PREFIXES:
                    raise PrefixError(f"line {number}: more than {MAX_PREFIXES} prefixes")
                try:
                    first, free_bits, bits = parse_prefix(text)
                except ValueError as error:
                    raise PrefixError(f"line {number}: {error}") from None
                (pieces4 if bits == 32 else pieces6).add(first, free_bits)
            if number % _PER_STEP == 0:
                yield
        result = cls(count)
        for pieces, first_of, last_of in (
            (pieces4, result._first4.append, result._last4.append),
            (pieces6, result._first6.append, result._last6.append),
        ):
            for number, (first, last) in enumerate(_joined(pieces.ranges()), 1):
                first_of(first)
                last_of(last)
                if number % _PER_STEP == 0:
                    yield
        return result

    def __contains__(self, address: str, /) -> bool:
        """
        Return whether an address is in the set.

        :param address: in text, without a zone.
        :raises ValueError: it is no address.
        """
        try:
            if ":" in address:
                at = int.from_bytes(inet_pton(AF_INET6, address))
                index = bisect_right(self._first6, at) - 1
                return index >= 0 and at <= self._last6[index]
            at = int.from_bytes(inet_pton(AF_INET, address))
        except OSError:
            raise ValueError(f"expected an IP address, got {address!r}") from None
        index = bisect_right(self._first4, at) - 1
        return index >= 0 and at <= self._last4[index]

    def overlaps(self, prefix: str) -> bool:
        """
        Return whether an address of a prefix is in the set.

        :raises ValueError: it is no prefix.
        """
        first, free_bits, bits = parse_prefix(prefix)
        firsts: Sequence[int] = self._first4 if bits == 32 else self._first6
        lasts: Sequence[int] = self._last4 if bits == 32 else self._last6
        index = bisect_right(firsts, first | (1 << free_bits) - 1) - 1
        return index >= 0 and lasts[index] >= first

    def __len__(self) -> int:
        """Return the number of ranges left after merging."""
        return len(self._first4) + len(self._first6)


def set_of_lists(lists: Sequence[tuple[str, Sequence[str]]], where: str) -> PrefixSet:
    """
    Make one set of several lists.

    :param lists: what each is called in errors, and its lines.
    :param where: what all of them together are called.
    :raises PrefixError: beginning with the list's name, and the line in it; or with `where`, if they are too many only
        together.
    """
    try:
        return PrefixSet.of(line for _, lines in lists for line in lines)
    except PrefixError as error:
        for name, lines in lists:
            try:
                PrefixSet.of(lines)
            except PrefixError as reason:
                raise PrefixError(f"{name}: {reason}") from None
        raise PrefixError(f"{where}: {error}") from None


def parse_prefix(text: str) -> tuple[int, int, int]:
    """
    Read a prefix or an address.

    :returns: its first address as a number, how many bits after the prefix are free, and 32 or 128: the bits of an
        address of its family.
    :raises ValueError: saying what was expected.
    """
    address, slash, length_text = text.partition("/")
    family, bits = (AF_INET6, 128) if ":" in address else (AF_INET, 32)
    try:
        first = int.from_bytes(inet_pton(family, address))
    except (OSError, ValueError):  # ValueError: a NUL, or no ASCII
        raise ValueError(f"expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, got {text!r}") from None
    if not slash:
        return first, 0, bits
    if not (length_text.isascii() and length_text.isdigit() and len(length_text) < 4 and int(length_text) <= bits):
        raise ValueError(f"expected a length from 0 to {bits} after the slash, got {text!r}")
    free_bits = bits - int(length_text)
    rest = first & (1 << free_bits) - 1
    if rest:
        network = inet_ntop(family, (first - rest).to_bytes(bits // 8))
        raise ValueError(f"{text!r} is one address of {network}/{length_text}: write that, or the address alone")
    return first, free_bits, bits


class _Pieces:
    """
    Ranges in sorted pieces, each range as one number: the first address, then eight bits for how many are free.

    Numbers of IPv4 ranges lie in arrays: to let go of 200,000 objects at once takes 10 ms.
    """

    def __init__(self, bits: int) -> None:
        self._is_packed = bits == 32
        self._sorted: list[array[int] | list[int]] = []
        self._begun: list[int] = []

    def add(self, first: int, free_bits: int) -> None:
        """Take one range; every `_PER_SORT` ranges are sorted."""
        self._begun.append(first << 8 | free_bits)
        if len(self._begun) == _PER_SORT:
            self._end_piece()

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield first and last addresses, sorted, and forget them on the way."""
        self._end_piece()
        pieces = [iter(piece) for piece in self._sorted]
        self._sorted.clear()
        for number in merge(*pieces):
            first = number >> 8
            yield first, first | (1 << (number & 255)) - 1

    def _end_piece(self) -> None:
        self._begun.sort()
        self._sorted.append(array("Q", self._begun) if self._is_packed else self._begun)
        self._begun = []


def _joined(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join ranges that overlap or touch, of a sorted sequence."""
    begun: tuple[int, int] | None = None
    for first, last in ranges:
        if begun is None:
            begun = first, last
        elif first > begun[1] + 1:
            yield begun
            begun = first, last
        elif last > begun[1]:
            begun = begun[0], last
    if begun is not None:
        yield begun
