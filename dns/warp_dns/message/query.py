"""
A query's bytes, read once: header, question, and the EDNS options that this server knows.

Strict where the RFCs are: what is malformed is `Malformed` with the response code to send, or `Ignored` when no
answer may be sent at all. Nothing is looked up here; record data other than OPT is skipped.
"""

from dataclasses import dataclass
from typing import ClassVar

from warp_dns.message.codes import COOKIE, ECS, FORMERR, NSID, TCP_KEEPALIVE
from warp_dns.message.names import MAX_NAME_BYTES
from warp_dns.message.records import OPT, TSIG

_HEADER_BYTES = 12
_MAX_RECORDS = 8  # beyond the question a query holds OPT, TSIG, and for IXFR one SOA
MAX_OPTIONS = 32  # resolvers send up to five; 64 KiB have room for 16,000, which would take 6 ms to read


class Ignored(Exception):
    """Not a query, or too short to be one: no reply is sent."""


class Malformed(Exception):
    """
    A query that cannot be read.

    :ivar question_end: where the question ends, or 12 when it could not be read and is not echoed.
    """

    rcode: ClassVar[int] = FORMERR

    def __init__(self, question_end: int = _HEADER_BYTES) -> None:
        self.question_end = question_end
        super().__init__()


@dataclass(slots=True, frozen=True)
class ClientSubnet:
    """The client's network as a resolver tells it (RFC 7871 §6); `address` has the family's full length."""

    family: int
    source_prefix: int
    address: bytes


@dataclass(slots=True)
class Edns:
    """The OPT record of a query (RFC 6891)."""

    version: int
    udp_bytes: int
    wants_dnssec: bool
    cookie: bytes | None = None
    subnet: ClientSubnet | None = None
    wants_nsid: bool = False
    wants_keepalive: bool = False
    has_options: bool = False


@dataclass(slots=True)
class Query:
    """
    A query with one question.

    :ivar qname: folded.
    :ivar question_end: where the question ends in `data`; 12 when there is none, only a cookie.
    :ivar tsig_at: where a TSIG record begins, or 0.
    :ivar authority_at: where the authority section begins (IXFR's SOA is there, RFC 1995 §3).
    """

    data: bytes
    qname: bytes
    qtype: int
    qclass: int
    question_end: int
    edns: Edns | None = None
    tsig_at: int = 0
    authority_at: int = 0

    @property
    def opcode(self) -> int:
        """The kind of query (RFC 1035 §4.1.1)."""
        return self.data[2] >> 3 & 15


def place_of(edns: Edns | None, asking: bytes) -> bytes:
    """Return the client's subnet when the resolver tells it (RFC 7871 §7.2), else the address of who asks, packed."""
    if edns is not None and edns.subnet is not None and edns.subnet.source_prefix:
        return edns.subnet.address
    return asking


def opcode_of(data: bytes) -> int:
    """Return the opcode of a message of at least 12 bytes."""
    return data[2] >> 3 & 15


def read_query(data: bytes) -> Query:
    """
    Read a message that a client sent.

    :raises Ignored: if it is shorter than a header, or is itself a response.
    :raises Malformed: if it does not hold exactly one readable question and well-formed records to its last byte.
    """
    if len(data) < _HEADER_BYTES or data[2] & 0x80:
        raise Ignored
    if data[4:6] != b"\0\1":
        return _read_cookie_only(data)
    try:
        at = _HEADER_BYTES
        length = data[at]
        while length:
            if length > 63 or at >= _HEADER_BYTES + MAX_NAME_BYTES:
                raise Malformed  # the first name of a message has nothing to point at
            at += length + 1
            length = data[at]
        at += 1
        if at > _HEADER_BYTES + MAX_NAME_BYTES or len(data) < at + 4:
            raise Malformed
    except IndexError:
        raise Malformed from None
    end = at + 4
    query = Query(
        data,
        data[_HEADER_BYTES:at].lower(),
        data[at] << 8 | data[at + 1],
        data[at + 2] << 8 | data[at + 3],
        end,
    )
    if len(data) > end or data[6:12] != b"\0\0\0\0\0\0":
        _read_records(query, data, end)
    return query


def _read_cookie_only(data: bytes) -> Query:
    """RFC 9619: QDCOUNT of a query is 1, or 0 when it asks for nothing but a server cookie (RFC 7873 §5.4)."""
    query = Query(data, b"", 0, 0, _HEADER_BYTES)
    if data[4:6] == b"\0\0":
        _read_records(query, data, _HEADER_BYTES)
    if query.edns is None or query.edns.cookie is None:
        raise Malformed
    return query


def _read_records(query: Query, data: bytes, end: int) -> None:
    answers, authorities, additionals = (int.from_bytes(data[at : at + 2], "big") for at in (6, 8, 10))
    if answers + authorities + additionals > _MAX_RECORDS:
        raise Malformed(end)
    at = end
    for index in range(answers + authorities + additionals):
        if index == answers:
            query.authority_at = at
        begin = at
        at = _skip_name(data, at, end)
        if len(data) < at + 10:
            raise Malformed(end)
        rtype = data[at] << 8 | data[at + 1]
        rdata_at = at + 10
        at = rdata_at + (data[at + 8] << 8 | data[at + 9])
        if at > len(data):
            raise Malformed(end)
        if rtype == OPT:
            if index < answers + authorities or query.edns is not None or data[begin] != 0:
                raise Malformed(end)  # RFC 6891 §6.1.1: one OPT, in the additional section, owned by the root
            query.edns = _read_opt(data, begin + 1, rdata_at, at, end)
        elif rtype == TSIG:
            if index != answers + authorities + additionals - 1 or index < answers + authorities:
                raise Malformed(end)  # RFC 8945 §5.1: the last record of the additional section
            query.tsig_at = begin
    if at != len(data):
        raise Malformed(end)


def _skip_name(data: bytes, at: int, end: int) -> int:
    limit = min(len(data), at + MAX_NAME_BYTES)
    while at < limit:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > 63:
            break
        at += length + 1
    raise Malformed(end)


def _read_opt(data: bytes, at: int, rdata_at: int, rdata_end: int, end: int) -> Edns:
    edns = Edns(
        version=data[at + 5],
        udp_bytes=data[at + 2] << 8 | data[at + 3],
        wants_dnssec=bool(data[at + 6] & 0x80),
    )
    if edns.version:
        return edns  # options of a version that is not ours are not ours to judge
    at = rdata_at
    edns.has_options = at < rdata_end
    count = 0
    while at < rdata_end:
        count += 1
        if rdata_end - at < 4 or count > MAX_OPTIONS:
            raise Malformed(end)
        code = data[at] << 8 | data[at + 1]
        value = data[at + 4 : at + 4 + (data[at + 2] << 8 | data[at + 3])]
        at += 4 + (data[at + 2] << 8 | data[at + 3])
        if at > rdata_end:
            raise Malformed(end)
        if code == COOKIE:
            if len(value) != 8 and not 16 <= len(value) <= 40:
                raise Malformed(end)  # RFC 7873 §5.2.2
            if edns.cookie is None:
                edns.cookie = value  # RFC 7873 §5.2: only the first COOKIE option counts
        elif code == ECS:
            if edns.subnet is not None:
                raise Malformed(end)
            edns.subnet = _read_subnet(value, end)
        elif code == NSID:
            edns.wants_nsid = True
        elif code == TCP_KEEPALIVE:
            edns.wants_keepalive = True
    return edns


def _read_subnet(value: bytes, end: int) -> ClientSubnet:
    """RFC 7871 §7.1.1 and §7.1.2: SCOPE is 0 in a query, the address is as short as it can be, the rest is zero."""
    if len(value) < 4:
        raise Malformed(end)
    family, source, scope = value[0] << 8 | value[1], value[2], value[3]
    size = {1: 4, 2: 16}.get(family)
    address = value[4:]
    if size is None or scope != 0 or source > size * 8 or len(address) != (source + 7) // 8:
        raise Malformed(end)
    if source % 8 and address[-1] & (0xFF >> source % 8):
        raise Malformed(end)
    return ClientSubnet(family, source, address + bytes(size - len(address)))
