"""
Zone transfers as messages: AXFR (RFC 5936) and IXFR (RFC 1995), and which clients may transfer.

Pure: a snapshot and a journal in, messages out one by one, so that a transfer of any size is made no faster than its
client takes it. The snapshot is immutable, so a zone that changes meanwhile is transferred as it was at one serial.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from warp_base.wall_clock import WallClock
from warp_dns.addresses import is_within, parse_networks
from warp_dns.errors import InvalidRecord, InvalidSettings
from warp_dns.message import names
from warp_dns.message.codes import SERVFAIL
from warp_dns.message.query import Query
from warp_dns.message.records import IXFR, SOA
from warp_dns.message.reply import without_records
from warp_dns.message.tsig import Signature
from warp_dns.message.wire import HEADER_BYTES, MessageBuffer
from warp_dns.zone.data import Zone, rrsets_of
from warp_dns.zone.journal import Difference, Journal, Row, rows_of
from warp_dns.zone.live import is_newer
from warp_dns.zone.numbering import ZoneNumbering
from warp_dns.zone.packed import single_row

_SMALL_TRANSFER = 1000  # records; up to so many, differences are sent whatever the size of the zone
_RECORDS_PER_STEP = 32  # some 0.2 ms
MESSAGE_BYTES = 16000  # where compression pointers end (RFC 1035 §4.1.4); larger messages only waste


class TransferRule:
    """Which clients may transfer a zone."""

    def __init__(self, networks: Iterable[str] = (), keys: Iterable[str] = ()) -> None:
        """
        Allow these networks and keys. If both are given, a client must match both; if neither is, all are refused.

        :raises InvalidSettings: if a network or key name is not valid.
        """
        self._networks = parse_networks(networks, "transfer.networks")
        found = set()
        for index, key in enumerate(keys):
            try:
                found.add(names.from_text(key).lower())
            except InvalidRecord as error:
                raise InvalidSettings(f"transfer.keys[{index}]: {error}") from error
        self._keys = frozenset(found)

    def allows(self, host: str, signature: Signature | None) -> bool:
        """Whether a client at an address, with that verified signature or none, may."""
        if not self._networks and not self._keys:
            return False
        if self._networks and not is_within(host, self._networks):
            return False
        return not self._keys or (signature is not None and signature.key_name in self._keys)


@dataclass(frozen=True, slots=True)
class Transferable:
    """
    What a server transfers of one zone, and to whom.

    :ivar journal: of the zone that is answered from; not needed where several servers number the zone.
    """

    rule: TransferRule = field(default_factory=TransferRule)
    journal: Journal = field(default_factory=Journal)
    numbering: ZoneNumbering | None = None

    def transfer(self, query: Query, served: Zone, signature: Signature | None) -> "Transfer | None":
        """Return the transfer that is asked for; None: nothing numbered is known yet."""
        if self.numbering is None:
            return Transfer(query, served, self.journal, signature)
        zone = self.numbering.zone
        return Transfer(query, zone, self.numbering.journal, signature) if zone is not None else None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that was asked for and allowed."""

    query: Query
    zone: Zone
    journal: Journal
    signature: Signature | None

    @property
    def kind(self) -> str:
        """What is sent: `AXFR`, `IXFR`, `IXFR as AXFR`, or `SOA` if the client is up to date."""
        if self.query.qtype != IXFR:
            return "AXFR"
        differences = self._differences()
        return "SOA" if differences == [] else "IXFR" if differences else "IXFR as AXFR"

    def refusal(self, now: int) -> bytes:
        """Return the reply when it cannot be begun now: SERVFAIL, so that a secondary tries again."""
        reply = without_records(self.query, SERVFAIL, b"")
        return reply if self.signature is None else self.signature.sign(reply, now)

    def signed_messages(self, wall: WallClock) -> Iterator[bytes | None]:
        """
        Yield the messages; each is signed if the query was (RFC 8945 §5.3.1).

        Between two messages None is yielded after each short step of the work on the next.
        """
        for message in _pack(self.query, self._rows(), self.signature.size if self.signature else 0):
            if message is None or self.signature is None:
                yield message
            else:
                yield self.signature.sign(message, int(wall.now()), is_one_of_several=True)

    def _rows(self) -> Iterator[Row]:
        [soa] = rows_of(self.zone.soa)
        differences = self._differences() if self.query.qtype == IXFR else None
        yield soa
        if differences == []:
            return  # RFC 1995 §2: the client is up to date
        if differences is None:
            yield from _zone_rows(self.zone)
        else:
            for difference in differences:
                yield difference.old_soa
                yield from difference.removed
                yield difference.new_soa
                yield from difference.added
        yield soa

    def _differences(self) -> list[Difference] | None:
        """Return what leads from the client's serial to the snapshot's; None when the whole zone is the better way."""
        have = read_ixfr_serial(self.query)
        if have is None or not is_newer(self.zone.serial, have):
            return []
        found = self.journal.since(have, self.zone.serial)
        if found is None or sum(each.size for each in found) > max(_SMALL_TRANSFER, len(self.zone)):
            return None
        return found


def read_ixfr_serial(query: Query) -> int | None:
    """Return the serial that an IXFR client has, from the SOA in the authority section (RFC 1995 §3)."""
    data, at = query.data, query.authority_at
    if not at:
        return None
    while at < len(data) and data[at] and data[at] < 0xC0:
        at += data[at] + 1
    at += 2 if at < len(data) and data[at] else 1
    if data[at : at + 2] != SOA.to_bytes(2, "big") or len(data) < at + 10:
        return None
    end = at + 10 + int.from_bytes(data[at + 8 : at + 10], "big")
    return int.from_bytes(data[end - 20 : end - 16], "big") if end - 20 >= at + 10 else None


def _zone_rows(zone: Zone) -> Iterator[Row]:
    """Yield every record but the SOA."""
    for shard in zone.shards:
        for name, entry in shard.items():
            if isinstance(entry, bytes) and (one := single_row(entry)) is not None:
                yield (name, *one)
                continue
            for rrset in rrsets_of(name, entry).values():
                if rrset.type != SOA:
                    yield from rows_of(rrset)


def _pack(query: Query, rows: Iterable[Row], reserve: int) -> Iterator[bytes | None]:
    """
    Put rows into messages; the question is in the first one only (RFC 5936 §2.2.1).

    Yields None after each short step of the work on a message.
    """
    limit = MESSAGE_BYTES - reserve
    question = query.data[HEADER_BYTES : query.question_end]
    buffer, count = _start(question), 0
    for owner, rtype, ttl, rdata in rows:
        if count and buffer.offset + len(owner) + 10 + len(rdata) > limit:
            yield _finish(query, buffer, count, bool(question))
            question = b""
            buffer, count = _start(question), 0
        buffer.put_record(owner, rtype, ttl, rdata)
        count += 1
        if not count % _RECORDS_PER_STEP:
            yield None
    yield _finish(query, buffer, count, bool(question))


def _start(question: bytes) -> MessageBuffer:
    buffer = MessageBuffer(bytes(HEADER_BYTES) + question)
    buffer.offset = len(buffer.data)
    if question:
        at = 0
        while question[at]:
            buffer.names[question[at:-4]] = HEADER_BYTES + at
            at += question[at] + 1
    return buffer


def _finish(query: Query, buffer: MessageBuffer, count: int, has_question: bool) -> bytes:
    header = query.data[:2] + b"\x84\0" + (b"\0\1" if has_question else b"\0\0") + count.to_bytes(2, "big") + bytes(4)
    return header + bytes(buffer.data[HEADER_BYTES:])
