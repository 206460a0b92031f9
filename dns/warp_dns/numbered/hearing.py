"""
What another edge has numbered, as it tells it: bytes in, snapshots and changes out, in short steps.

Pure. The other edge is one of the fleet, proven by its link; all the same what it sends is bounded and checked before
it is served to a secondary: names below the zone, records that can be written into a message.
"""

from collections.abc import Generator

import msgspec

from warp_dns.errors import BadNumberedZone, DnsError
from warp_dns.message import names
from warp_dns.message.records import MAX_RDATA_BYTES, RRset
from warp_dns.message.wire import HEADER_BYTES, MessageBuffer
from warp_dns.serve import replica
from warp_dns.zone.data import Builder, Change, Edit
from warp_dns.zone.journal import Rows
from warp_dns.zone.numbering import ZoneNumbering
from warp_dns.zone.packed import unpack
from warp_dns.zone.steps import in_batches

MAX_VALUE_BYTES = 8 << 20  # of one message: 100 owners at most
MAX_OWNERS = 1_000_000
MAX_STAGED_BYTES = 256 << 20
MAX_JOURNAL_ROWS = 10_000  # of one change; beyond it secondaries transfer the whole zone
OWNERS_PER_STEP = 16
_LENGTH_BYTES = 4

Heard = replica.Stage | replica.Serve | replica.Advance

_decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(Heard)


class ZoneHearing:
    """What one stream tells; `apex` is the zone's, folded."""

    def __init__(self, apex: bytes, numbering: ZoneNumbering) -> None:
        self._apex = apex
        self._numbering = numbering
        self._unread = bytearray()
        self._staged: dict[bytes, replica.Records] = {}
        self._staged_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._unread += data

    def next_message(self) -> Heard | None:
        """
        Return the next message; None while it is not complete.

        :raises BadNumberedZone: if it is too long or cannot be read.
        """
        if len(self._unread) < _LENGTH_BYTES:
            return None
        length = int.from_bytes(self._unread[:_LENGTH_BYTES], "big")
        if length > MAX_VALUE_BYTES:
            raise BadNumberedZone(f"a message of {length} bytes of a zone; {MAX_VALUE_BYTES} is most")
        end = _LENGTH_BYTES + length
        if len(self._unread) < end:
            return None
        content = bytes(self._unread[_LENGTH_BYTES:end])
        del self._unread[:end]
        try:
            message = _decoder.decode(content)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadNumberedZone(f"a message of a zone cannot be read: {error}") from error
        if message.apex != self._apex:
            raise BadNumberedZone("the content of another zone")
        return message

    def apply(self, message: Heard) -> Generator[None, None, bool]:
        """
        Do what a message says, in short steps.

        :returns: whether to go on: not when what this edge has is newer, or does not lead there.
        :raises BadNumberedZone: if it is nothing that a zone can hold.
        """
        try:
            if isinstance(message, replica.Serve):
                edit = Builder(self._apex, len(self._staged)).edit()
                yield from self._put_staged(edit)
                return self._numbering.take(edit.zone())
            yield from self._stage(message)
            return (yield from self._advance(message.serial)) if isinstance(message, replica.Advance) else True
        except (DnsError, ValueError, IndexError, KeyError, TypeError, OverflowError, ArithmeticError) as error:
            raise BadNumberedZone(f"what no zone can hold: {error}") from error

    def _stage(self, message: replica.Stage | replica.Advance) -> Generator[None, None, None]:
        for part in in_batches(message.owners, OWNERS_PER_STEP):
            for owner, held in part:
                self._staged_bytes += len(owner) + _check(self._apex, owner, held)
                self._staged[owner] = held
            if len(self._staged) > MAX_OWNERS or self._staged_bytes > MAX_STAGED_BYTES:
                raise BadNumberedZone(f"more than {MAX_OWNERS} names, or {MAX_STAGED_BYTES} bytes")
            yield

    def _put_staged(self, edit: Edit) -> Generator[None, None, None]:
        """Put what was staged into a snapshot, and let go of it meanwhile: thousands of lists at once take 15 ms."""
        staged, self._staged, self._staged_bytes = self._staged, {}, 0
        while staged:
            for _ in range(min(len(staged), OWNERS_PER_STEP)):
                owner, held = staged.popitem()
                if isinstance(held, bytes) and held:
                    edit.hold(owner, held)
                else:
                    edit.apply({owner: {rrset.type: rrset for rrset in held if isinstance(rrset, RRset)}})
            yield

    def _advance(self, serial: int) -> Generator[None, None, bool]:
        before = self._numbering.zone
        if before is None:
            return False
        edit = before.edit()
        yield from self._put_staged(edit)
        edit.number(serial)
        yield from edit.laying_out()
        change = Change(edit.zone(), edit.touched)
        rows = Rows()
        for owners in in_batches(tuple(change.touched), OWNERS_PER_STEP):
            for owner in owners:
                rows.compare(before.get(owner), change.zone.get(owner))
            yield
        if len(rows) > MAX_JOURNAL_ROWS:
            return self._numbering.take(change.zone)
        return self._numbering.take_change(change, rows.difference(before, change.zone))


def _check(apex: bytes, owner: bytes, held: replica.Records) -> int:
    """Refuse what cannot be transferred; return its size."""
    if not _is_name(owner) or not names.is_at_or_below(owner, apex) or owner != owner.lower():
        raise BadNumberedZone("a name that is none of the zone's")
    try:
        rrsets = list(unpack(owner, held).values()) if isinstance(held, bytes) and held else held or []
    except Exception as error:  # of its layout, which `struct` and indexes find
        raise BadNumberedZone("packed records that cannot be read") from error
    size = 0
    for rrset in rrsets:
        if not isinstance(rrset, RRset) or not _is_name(rrset.owner) or rrset.owner.lower() != owner:
            raise BadNumberedZone("records of another name")
        if not (0 < rrset.type < 1 << 16 and 0 <= rrset.ttl < 1 << 31 and rrset.rdatas):
            raise BadNumberedZone("a record type or time to live that there is not")
        for rdata in rrset.rdatas:
            size += len(rdata) + 12
            if len(rdata) > MAX_RDATA_BYTES - 1024:
                raise BadNumberedZone("a record that fits into no message")
            try:
                MessageBuffer(bytes(HEADER_BYTES)).put_record(rrset.owner, rrset.type, rrset.ttl, rdata)
            except Exception as error:  # of names inside the data
                raise BadNumberedZone("a record that cannot be written") from error
    return size


def _is_name(name: bytes) -> bool:
    at = 0
    while at < len(name) and name[at]:
        if name[at] > 63:
            return False
        at += name[at] + 1
    return at == len(name) - 1 and len(name) <= names.MAX_NAME_BYTES
