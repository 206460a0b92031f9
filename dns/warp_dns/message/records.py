"""
Record types, RRsets, and record data between presentation format and wire format.

Record data is kept as uncompressed wire bytes: that is what is compared, sent and transferred, and unknown types
(RFC 3597) need nothing special. What this module knows of the inside of record data is only which bytes are names,
because names may be compressed (RFC 3597 §4) and their targets' addresses may be added to an answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from warp_dns.errors import InvalidRecord
from warp_dns.message import names

A, NS, CNAME, SOA, PTR, HINFO, MX, TXT = 1, 2, 5, 6, 12, 13, 15, 16
AAAA, SRV, DNAME, OPT, DS, RRSIG, NSEC = 28, 33, 39, 41, 43, 46, 47
SVCB, HTTPS, TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY = 64, 65, 249, 250, 251, 252, 253, 254, 255

MAX_TTL = 2**31 - 1  # RFC 2181 §8
MAX_RDATA_BYTES = 65535

_META_TYPES = frozenset([0, OPT, *range(128, 256)])  # RFC 6895 §3.1: never data in a zone
_NEVER_BESIDE_CNAME_EXCEPT = frozenset([CNAME, RRSIG, NSEC])  # RFC 2181 §10.1, RFC 4035 §2.5
_SINGLETONS = frozenset([CNAME, SOA, DNAME])  # RFC 1034 §3.6.2, RFC 6672 §2.4


class RecordLike(Protocol):
    """One record in presentation format."""

    @property
    def name(self) -> str:
        """Owner: lower case, absolute, without the trailing dot."""

    @property
    def type(self) -> str:
        """Mnemonic such as A, AAAA, SRV, TXT, PTR, HTTPS."""

    @property
    def ttl(self) -> int:
        """Seconds, 0 to 2**31-1."""

    @property
    def rdata(self) -> str:
        """Presentation format, RFC 1035 §5."""

    @property
    def edge(self) -> str:
        """The edge that this record points at, or the empty string."""


@dataclass(frozen=True, slots=True)
class RRset:
    """
    The records of one owner and type.

    :ivar owner: wire format, case as written.
    :ivar rdatas: uncompressed wire format, no duplicates.
    :ivar edges: the edge that each record points at, in the order of `rdatas`, or empty when none does.
    """

    owner: bytes
    type: int
    ttl: int
    rdatas: tuple[bytes, ...]
    edges: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def type_number(text: str) -> int:
    """
    Return the number of a record type.

    :raises InvalidRecord: if the type is unknown, or is one that no zone can hold.
    """
    try:
        number = int(dns.rdatatype.from_text(text))
    except (dns.exception.DNSException, ValueError) as error:
        raise InvalidRecord(f"{text!r} is not a record type") from error
    if number in _META_TYPES:
        raise InvalidRecord(f"{text!r} is not a type that a zone can hold")
    return number


def type_text(number: int) -> str:
    """Return the mnemonic of a type, or TYPE and its number (RFC 3597 §5)."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType(number))


@lru_cache(maxsize=65536)
def read_rdata(rtype: int, text: str) -> bytes:
    """
    Return record data in wire format.

    :param text: presentation format (RFC 1035 §5), names absolute even without the trailing dot.
    :raises InvalidRecord: saying what is wrong with it.
    """
    if rtype == PTR and names.is_plain(text):
        return names.from_text(text)  # thousands in the list of all applications
    try:
        value = dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.RdataType(rtype), text, origin=dns.name.root, relativize=False
        )
        return value.to_wire() or b""
    except (dns.exception.DNSException, ValueError) as error:
        raise InvalidRecord(f"{text!r} is not data for {type_text(rtype)}: {error}") from error


def show_rdata(rtype: int, rdata: bytes) -> str:
    """Return record data in presentation format, for messages and logs."""
    value = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(rtype), rdata, 0, len(rdata))
    return value.to_text()


def rrsets_from(owner: bytes, records: Iterable[RecordLike]) -> dict[int, RRset]:
    """
    Group the records that a source published for one owner.

    The lowest TTL counts for its whole RRset (RFC 2181 §5.2). Duplicates are dropped (RFC 2181 §5).

    :raises InvalidRecord: if a type, TTL or data is not valid, or types may not stand together.
    """
    # The list of all applications is one RRset of thousands that comes again with each of them: this loop is hot.
    ttls: dict[int, int] = {}
    grouped: dict[int, dict[bytes, str]] = {}
    for record in records:
        rtype, ttl = type_number(record.type), record.ttl
        if not 0 <= ttl <= MAX_TTL:
            raise InvalidRecord(f"{names.to_text(owner)} {record.type}: ttl {ttl} is not within 0..{MAX_TTL}")
        members = grouped.get(rtype)
        if members is None:
            members = grouped[rtype] = {}
            ttls[rtype] = ttl
        elif ttl < ttls[rtype]:
            ttls[rtype] = ttl
        members.setdefault(read_rdata(rtype, record.rdata), record.edge)
    rrsets = {
        rtype: RRset(
            owner, rtype, ttls[rtype], tuple(members), tuple(members.values()) if any(members.values()) else ()
        )
        for rtype, members in grouped.items()
    }
    check_together(owner, rrsets.values())
    return rrsets


def check_together(owner: bytes, rrsets: Iterable[RRset]) -> None:
    """
    Refuse RRsets that may not share an owner.

    :raises InvalidRecord: for a CNAME beside other data, or several records of a type that allows one.
    """
    present = {rrset.type: rrset for rrset in rrsets}
    if not present:
        return
    if CNAME in present and not present.keys() <= _NEVER_BESIDE_CNAME_EXCEPT:
        others = ", ".join(type_text(rtype) for rtype in sorted(present) if rtype != CNAME)
        raise InvalidRecord(f"{names.to_text(owner)} has a CNAME beside other data ({others})")
    for rtype in _SINGLETONS & present.keys():
        if len(present[rtype].rdatas) > 1:
            raise InvalidRecord(f"{names.to_text(owner)} has more than one {type_text(rtype)}")


def names_within(rtype: int, rdata: bytes) -> Sequence[tuple[int, int]]:
    """
    Return where the compressible names of record data are: pairs of start and end.

    Only the types of RFC 1035 may be compressed (RFC 3597 §4).
    """
    if rtype in (NS, CNAME, PTR):
        return ((0, len(rdata)),)
    if rtype == MX:
        return ((2, len(rdata)),)
    if rtype == SOA:
        end = _name_end(rdata, 0)
        return ((0, end), (end, _name_end(rdata, end)))
    return ()


def target_of(rtype: int, rdata: bytes, owner: bytes) -> bytes | None:
    """
    Return the folded name whose addresses belong in the additional section, if the type has one.

    NS, MX (RFC 1035 §3.3), SRV (RFC 2782), SVCB and HTTPS (RFC 9460 §4.1; a target of `.` is the owner itself).
    """
    if rtype == NS:
        return rdata.lower()
    if rtype == MX:
        return rdata[2:].lower()
    if rtype == SRV:
        return rdata[6:].lower()
    if rtype in (SVCB, HTTPS):
        target = rdata[2 : _name_end(rdata, 2)].lower()
        is_service_mode = rdata[:2] != b"\0\0"
        return owner if is_service_mode and target == names.ROOT else target
    return None


def soa_rdata(
    primary: bytes, hostmaster: bytes, serial: int, refresh: int, retry: int, expire: int, minimum: int
) -> bytes:
    """Return SOA record data (RFC 1035 §3.3.13)."""
    numbers = (serial, refresh, retry, expire, minimum)
    return primary + hostmaster + b"".join(number.to_bytes(4, "big") for number in numbers)


def soa_serial(rdata: bytes) -> int:
    """Return the serial of SOA record data."""
    return int.from_bytes(rdata[-20:-16], "big")


def soa_with_serial(rdata: bytes, serial: int) -> bytes:
    """Return SOA record data with another serial."""
    return rdata[:-20] + serial.to_bytes(4, "big") + rdata[-16:]


def soa_minimum(rdata: bytes) -> int:
    """Return the negative TTL of SOA record data (RFC 2308 §4)."""
    return int.from_bytes(rdata[-4:], "big")


def _name_end(rdata: bytes, at: int) -> int:
    while rdata[at]:
        at += rdata[at] + 1
    return at + 1
