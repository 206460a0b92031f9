"""
The kinds of values that a policy is written with: names, lists, rates, sizes, lengths of time.

Each check raises ValueError with the key it is about first, as `warp_base.yaml_reader` words the error around it.
"""

import re
from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec

from warp_twisted.durations import parse_duration

MAX_ENTRIES = 1_000  # of any list in a policy
MAX_TEXT = 1_024

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
Texts = Text | Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)]
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?\Z",
        description="a name of at most 64 lower-case letters, digits and inner hyphens",
    ),
]

_T = TypeVar("_T")
_RATE = re.compile(r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(?P<unit>[kKMG]i?B|B)?\s*/\s*(?P<per>s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(?P<unit>[kKMG]i?B|B)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "kiB": 1 << 10, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip


def listed(value: _T | list[_T]) -> list[_T]:
    """Return what may be one value or a list of them as a list."""
    return value if isinstance(value, list) else [value]


def check_each(key: str, values: Iterable[str], read: object) -> None:
    """
    Let a function read each text of a list.

    :raises ValueError: with the key and, where there are several, the index of the first text that it refuses.
    """
    values = list(values)
    for index, value in enumerate(values):
        try:
            read(value)  # type: ignore[operator]  # any function of one text
        except ValueError as error:
            place = key if len(values) == 1 else f"{key}[{index}]"
            raise ValueError(f"{place}: {error}") from error


def parse_rate(text: str, *, of_bytes: bool = False) -> float:
    """
    Read a rate: `50/s`, `1000/h`, or of bytes `10MiB/s`.

    :returns: units a second, above 0.
    :raises ValueError: saying what was expected.
    """
    match = _RATE.fullmatch(text.strip())
    example = "10MiB/s" if of_bytes else "50/s or 1000/h"
    if match is None or bool(match["unit"]) != of_bytes or float(match["count"]) <= 0:
        raise ValueError(f"expected a rate such as {example}, got {text!r}")
    return float(match["count"]) * _BYTES[match["unit"] or "B"] / _SECONDS[match["per"]]


def parse_size(text: str) -> float:
    """
    Read a number of bytes: `512KiB`, `10MB`.

    :raises ValueError: saying what was expected.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match["count"]) <= 0:
        raise ValueError(f"expected a size such as 512KiB, got {text!r}")
    return float(match["count"]) * _BYTES[match["unit"] or "B"]


def positive_duration(text: str) -> float:
    """
    Read a length of time above zero.

    :returns: seconds.
    :raises ValueError: saying what was expected.
    """
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"expected more than no time, got {text!r}")
    return seconds
