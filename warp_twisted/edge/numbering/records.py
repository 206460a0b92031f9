"""
The record by which one edge of a fleet numbers the zone, and the ranges of serials that it keeps apart.

A range is written before a serial of it is used, and each new holder's range begins after the last one's: so no serial
is ever given twice, whatever two edges believe of each other. Pure values; serials are compared by RFC 1982.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from warp_dns.zone.live import is_newer, serial_after
from warp_twisted.registry.model import NUMBERING

RANGE = 100_000  # serials, in hours of the busiest zone; a take-over skips what is left of them
MAX_TEXT = 255

_Serial = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberingRecord:
    """
    Who numbers the zone.

    :param holder: the edge; empty: it has left, and any other may.
    :param fence: larger by one with each holder.
    :param first: the first serial of the holder's range; `last` the last one.
    :param beat: changes every second, as long as the holder reaches the registry.
    """

    holder: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""
    fence: _Count = 0
    first: _Serial = 0
    last: _Serial = 0
    beat: _Count = 0


_decoder = msgspec.json.Decoder(NumberingRecord)


def key_of(zone: str) -> str:
    """Return where the record of a zone is."""
    return NUMBERING + zone


def encode_record(record: NumberingRecord) -> bytes:
    """Write a record down."""
    return msgspec.json.encode(record)


def decode_record(text: bytes) -> NumberingRecord:
    """
    Read a record.

    :raises ValueError: if it cannot be read: what serials were given is not known then.
    """
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the record of who numbers the zone cannot be read: {error}") from error


def taken(record: NumberingRecord | None, holder: str, at_least: int) -> NumberingRecord:
    """
    Return the record with another holder.

    :param record: as it is; None: there is none.
    :param at_least: the first serial, if those that were given before are all older.
    """
    first = at_least
    if record is not None and not is_newer(at_least, record.last):
        first = serial_after(record.last)
    fence = record.fence + 1 if record is not None else 1
    return NumberingRecord(holder=holder, fence=fence, first=first, last=first + RANGE & 0xFFFFFFFF)


def renewed(record: NumberingRecord, serial: int) -> NumberingRecord:
    """Return the next beat of a holder, with a longer range if less than half of it is left after a serial."""
    is_low = not is_newer(record.last, serial + RANGE // 2 & 0xFFFFFFFF)
    return replace(record, beat=record.beat + 1, last=serial + RANGE & 0xFFFFFFFF if is_low else record.last)
