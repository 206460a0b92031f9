"""
Putting a reply together: header, the question as it was sent, sections, OPT.

Bytes only; what goes into them is decided in `responder`.
"""

from collections.abc import Mapping

from warp_dns.message import names
from warp_dns.message.codes import COOKIE, ECS, NOTIMP, NSID, TCP_KEEPALIVE
from warp_dns.message.query import ClientSubnet, Edns, Query
from warp_dns.message.wire import HEADER_BYTES

QR, AA, TC, RD = 0x80, 0x04, 0x02, 0x01  # third octet of the header
CD = 0x10  # fourth octet
_OPCODE = 0x78
_NO_COUNTS = bytes(6)

MIN_UDP_BYTES = 512  # RFC 1035 §2.3.4, RFC 6891 §6.2.3


def assemble(query: Query, flags: int, rcode: int, counts: bytes, body: bytes, opt: bytes) -> bytes:
    """
    Return everything after the id.

    :param flags: third octet, to which RD is copied from the query.
    :param counts: ANCOUNT, NSCOUNT and ARCOUNT, OPT included.
    :param body: the three sections without OPT.
    """
    data, end = query.data, query.question_end
    return b"".join(
        (
            bytes((flags | data[2] & RD, rcode & 15 | data[3] & CD)),
            data[4:6],
            counts,
            data[HEADER_BYTES:end],
            body,
            opt,
        )
    )


def without_records(query: Query, rcode: int, opt: bytes, flags: int = QR) -> bytes:
    """Return a reply, id included, that says only its code."""
    flags |= query.data[2] & _OPCODE
    return query.data[:2] + assemble(query, flags, rcode, b"\0\0\0\0\0\1" if opt else _NO_COUNTS, b"", opt)


def to_unreadable(data: bytes, rcode: int, question_end: int) -> bytes:
    """
    Return a reply to a malformed query, or to one of another kind; the question is echoed if it was readable.

    CD means something in queries alone (RFC 4035 §3.2.2); in another kind of message the bit may mean anything.
    """
    question = data[HEADER_BYTES:question_end]
    copied = 0 if rcode == NOTIMP else data[3] & CD
    return b"".join(
        (
            data[:2],
            bytes((QR | data[2] & (_OPCODE | RD), rcode | copied)),
            b"\0\1" if question else b"\0\0",
            _NO_COUNTS,
            question,
        )
    )


def opt_record(udp_bytes: int, edns: Edns, rcode: int, options: bytes) -> bytes:
    """Return our OPT record (RFC 6891 §6.1.2); the DO bit is copied (RFC 3225 §3)."""
    return b"".join(
        (
            b"\0\0\x29",
            udp_bytes.to_bytes(2, "big"),
            bytes((rcode >> 4, 0, 0x80 if edns.wants_dnssec else 0, 0)),
            len(options).to_bytes(2, "big"),
            options,
        )
    )


def option(code: int, value: bytes) -> bytes:
    """Return one EDNS option."""
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def cookie_option(cookie: bytes) -> bytes:
    """Return a COOKIE option: client cookie and server cookie."""
    return option(COOKIE, cookie)


def nsid_option(identity: bytes) -> bytes:
    """Return an NSID option (RFC 5001)."""
    return option(NSID, identity)


def keepalive_option(idle_seconds: float) -> bytes:
    """Return an edns-tcp-keepalive option (RFC 7828): the idle time-out in units of 100 ms."""
    return option(TCP_KEEPALIVE, min(65535, int(idle_seconds * 10)).to_bytes(2, "big"))


def chaos_texts(texts: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return what names of class CH hold, by name in wire format; empty texts are left out."""
    return {names.from_text(name): text.encode()[:255] for name, text in texts.items() if text}


def subnet_option(subnet: ClientSubnet, scope: int) -> bytes:
    """Return a Client Subnet option: family, source and address as they came, and our scope (RFC 7871 §7.2.1)."""
    address = subnet.address[: (subnet.source_prefix + 7) // 8]
    return option(ECS, subnet.family.to_bytes(2, "big") + bytes((subnet.source_prefix, scope)) + address)
