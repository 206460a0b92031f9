"""
The parts of RFC 9112's grammar that requests, responses and trailers share.

An allow-list: what these expressions do not match is refused, never repaired. Each runs in linear time (every
repetition is possessive and neighbouring classes do not overlap). Values may hold obs-text (0x80 to 0xFF,
RFC 9110 §5.5) and tabs, no other control byte.
"""

import re
from collections.abc import Iterable

from warp_twisted.http1.refusals import BAD_CONNECTION, BAD_LENGTH, MessageRefused

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
FIELD_LINES = rb"(?:" + TOKEN + rb":" + VALUE + rb"\r\n)*+"

_TOKEN = re.compile(TOKEN)
_LENGTH = re.compile(rb"[0-9]{1,18}+")  # 10**18 - 1 fits every signed 64-bit counter behind us
# CR at the very end of what has arrived may still be followed by its LF.
_BAD_BYTE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")

_COMMON_OPTIONS = {b" keep-alive": b"keep-alive", b" Keep-Alive": b"keep-alive", b" close": b"close"}

OPTIONAL_WHITESPACE = b" \t"


def has_bad_byte(data: bytes, start: int) -> bool:
    """Whether a head that is still arriving already holds a bare CR or LF or another control byte after `start`."""
    return _BAD_BYTE.search(data, start) is not None


def parse_length(value: bytes) -> int:
    """
    Read the value of Content-Length: digits, nothing else.

    :raises MessageRefused: for a sign, a list, inner spaces, an empty value or more than 18 digits.
    """
    value = value.strip(OPTIONAL_WHITESPACE)
    if not _LENGTH.fullmatch(value):
        raise MessageRefused(BAD_LENGTH)
    return int(value)


def parse_options(values: Iterable[bytes]) -> frozenset[bytes]:
    """
    Read the values of all Connection fields (or of another field that is a list of tokens), in lower case.

    Empty list elements are ignored, as RFC 9110 §5.6.1 requires of a recipient.

    :raises MessageRefused: if an element is no token.
    """
    options = set()
    for value in values:
        common = _COMMON_OPTIONS.get(value)
        if common is not None:
            options.add(common)
            continue
        for part in value.split(b","):
            option = part.strip(OPTIONAL_WHITESPACE)
            if not option:
                continue
            if not _TOKEN.fullmatch(option):
                raise MessageRefused(BAD_CONNECTION)
            options.add(option.lower())
    return frozenset(options)


def spellings(*names: bytes) -> frozenset[bytes]:
    """Return field names in the spellings that are in use: as given, in title case, and in lower case."""
    return frozenset(spelling for name in names for spelling in (name, name.title(), name.lower()))
