"""
The records of one owner as one string of bytes: how a zone holds what it read from a file.

A row for each record, in the order of the file: type, TTL, length of the data (8 octets, big endian), the data. A row
of type 0, which no record has, holds the owner as it was written when that is not the folded form. Such a string takes
a tenth of the memory of the objects that it stands for, the garbage collector never looks at it, and two files are
compared by comparing strings. `unpack` makes RRsets of it when a name is asked for.
"""

from struct import Struct

from warp_dns.message.records import RRset

OWNER_TYPE = 0
_HEAD = Struct("!HIH")
HEAD_BYTES = _HEAD.size


def row(rtype: int, ttl: int, rdata: bytes) -> bytes:
    """Return one record's row."""
    return _HEAD.pack(rtype, ttl, len(rdata)) + rdata


def owner_row(owner: bytes) -> bytes:
    """Return the row that keeps an owner as it was written."""
    return _HEAD.pack(OWNER_TYPE, 0, len(owner)) + owner


def unpack(owner: bytes, packed: bytes) -> dict[int, RRset]:
    """
    Return the RRsets of an owner, by type.

    The lowest TTL counts for its whole RRset (RFC 2181 §5.2). Duplicates are dropped (RFC 2181 §5).

    :param owner: folded.
    """
    rtype, ttl, length = _HEAD.unpack_from(packed)
    if HEAD_BYTES + length == len(packed) and rtype != OWNER_TYPE:
        return {rtype: RRset(owner, rtype, ttl, (packed[HEAD_BYTES:],))}
    ttls: dict[int, int] = {}
    grouped: dict[int, dict[bytes, None]] = {}
    at = 0
    while at < len(packed):
        rtype, ttl, length = _HEAD.unpack_from(packed, at)
        at += HEAD_BYTES + length
        rdata = packed[at - length : at]
        if rtype == OWNER_TYPE:
            owner = rdata
            continue
        members = grouped.get(rtype)
        if members is None:
            members = grouped[rtype] = {}
            ttls[rtype] = ttl
        elif ttl < ttls[rtype]:
            ttls[rtype] = ttl
        members[rdata] = None
    return {rtype: RRset(owner, rtype, ttls[rtype], tuple(members)) for rtype, members in grouped.items()}


def single_row(packed: bytes) -> tuple[int, int, bytes] | None:
    """Return type, TTL and data when there is one record, and its owner was written folded; None otherwise."""
    rtype, ttl, length = _HEAD.unpack_from(packed)
    return (rtype, ttl, packed[HEAD_BYTES:]) if HEAD_BYTES + length == len(packed) and rtype != OWNER_TYPE else None
