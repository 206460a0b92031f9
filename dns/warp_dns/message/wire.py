"""
From an answer's sections to the bytes that follow the question; the only user of dnslib's message buffer.

Compiled once, sent many times: the bytes depend on the question only through the length of its name, because
compression pointers reach back into the question (offset 12) and nowhere else outside the bytes themselves. So one
compiled answer serves every spelling of a name (its case is the question's), and a negative one serves every name
of that length below the same closest encloser.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from dnslib import DNSBuffer

from warp_dns.message import names
from warp_dns.message.answer import Answer, Order
from warp_dns.message.records import CNAME, NS, PTR, RRset, names_within

HEADER_BYTES = 12
QUESTION_TYPE_AND_CLASS_BYTES = 4
MAX_MESSAGE_BYTES = 65535
_CLASS_IN = 1
_QUESTION_NAME = b"\xc0\x0c"  # a pointer to it
_MANY_RECORDS = 32
_NAMES_ALONE = frozenset([NS, CNAME, PTR])  # types whose data is a name that may be compressed
_MAX_POINTER = 0x3FFF  # RFC 1035 §4.1.4: 14 bits


@dataclass(slots=True, eq=False)
class Validity:
    """Whether what was made of an answer is still true."""

    holds: bool = True


@dataclass(slots=True, eq=False)
class Compiled:
    """
    An answer ready to send.

    :ivar flags: third and fourth octet of the header, without the bits that echo the question.
    :ivar counts: ANCOUNT, NSCOUNT, ARCOUNT as six octets.
    :ivar body: the three sections, without OPT.
    :ivar additional_count: ARCOUNT as a number.
    :ivar required_bytes: how much of `body` must be sent; what follows is additional data that may be left out.
    :ivar counted_as: what rate limiting counts replies of this by: their kind and a name.
    :ivar tells_absence: as `Answer.tells_absence`.
    :ivar validity: whether it is still true; shared by all that becomes untrue together.
    :ivar keeps_replies: whether a whole reply made of this is worth keeping: not if the name does not exist, as the
        next query will be for another one.
    :ivar arranged: the same answer for each order of edges, or None when it names no edges to choose from.
    :ivar source: what it was made of, when there are edges to choose from.
    """

    flags: tuple[int, int]
    counts: bytes
    body: bytes
    additional_count: int
    required_bytes: int
    counted_as: bytes = b""
    tells_absence: bool = False
    validity: Validity = field(default_factory=Validity)
    keeps_replies: bool = False
    arranged: dict[Order, "Compiled"] | None = None
    source: tuple[Answer, bytes] | None = None


class MessageBuffer(DNSBuffer):  # type: ignore[misc]  # dnslib is untyped
    """dnslib's buffer, with names in wire format and pointers that never exceed their 14 bits."""

    def put_name(self, name: bytes) -> None:
        """Append a name, compressed against what this buffer holds already."""
        at = 0
        known: dict[bytes, int] = self.names
        while name[at]:
            suffix = name[at:]
            pointer = known.get(suffix)
            if pointer is not None:
                self.append((0xC000 | pointer).to_bytes(2, "big"))
                return
            if self.offset <= _MAX_POINTER:
                known[suffix] = self.offset
            length = name[at] + 1
            self.append(name[at : at + length])
            at += length
        self.append(b"\0")

    def put_rrset(self, rrset: RRset, owner: bytes | None) -> None:
        """Append every record of an RRset; without an owner its owner is the question's name."""
        rdatas = rrset.rdatas
        if len(rdatas) > _MANY_RECORDS and rrset.type in _NAMES_ALONE:
            self.put_record(owner, rrset.type, rrset.ttl, rdatas[0])
            known: dict[bytes, int] = self.names
            pointer = HEADER_BYTES if owner is None else known.get(owner)
            if pointer is not None:
                self._put_names((0xC000 | pointer).to_bytes(2, "big"), rrset, rdatas[1:])
                return
            rdatas = rdatas[1:]
        for rdata in rdatas:
            self.put_record(owner, rrset.type, rrset.ttl, rdata)

    def _put_names(self, owner: bytes, rrset: RRset, rdatas: Sequence[bytes]) -> None:
        """
        Append records whose data is one name each, thousands in 2 µs each.

        They are compressed against what the buffer holds, and not against one another: in the list of all applications
        each is a name of its own below what is known already.
        """
        known: dict[bytes, int] = self.names
        head = owner + struct.pack("!HHI", rrset.type, _CLASS_IN, rrset.ttl)
        parts: list[bytes] = []
        for rdata in rdatas:
            at = 0
            pointer = None
            while rdata[at]:
                pointer = known.get(rdata[at:])
                if pointer is not None:
                    break
                at += rdata[at] + 1
            data = rdata if pointer is None else rdata[:at] + (0xC000 | pointer).to_bytes(2, "big")
            parts += (head, len(data).to_bytes(2, "big"), data)
        self.append(b"".join(parts))

    def put_record(self, owner: bytes | None, rtype: int, ttl: int, rdata: bytes) -> None:
        """Append one record, its data's names compressed where RFC 3597 §4 allows."""
        if owner is None:
            self.append(_QUESTION_NAME)
        else:
            self.put_name(owner)
        within = names_within(rtype, rdata)
        if not within:
            self.pack("!HHIH", rtype, _CLASS_IN, ttl, len(rdata))
            self.append(rdata)
            return
        self.pack("!HHIH", rtype, _CLASS_IN, ttl, 0)
        start = self.offset
        at = 0
        for begin, end in within:
            self.append(rdata[at:begin])
            self.put_name(rdata[begin:end])
            at = end
        self.append(rdata[at:])
        self.update(start - 2, "!H", self.offset - start)


def compile_answer(answer: Answer, qname: bytes) -> Compiled:
    """
    Make the bytes for one name's question, or for all that share its closest encloser and its length.

    :param qname: folded.
    """
    buffer = MessageBuffer(bytes(HEADER_BYTES) + qname + bytes(QUESTION_TYPE_AND_CLASS_BYTES))
    start = buffer.offset = len(buffer.data)
    _know_question(buffer, qname, answer.encloser)
    additional_start = start
    for section in (answer.answer, answer.authority, answer.additional):
        additional_start = buffer.offset
        for rrset in section:
            owner = rrset.owner.lower()
            known = owner if owner in buffer.names else rrset.owner
            buffer.put_rrset(rrset, None if owner == qname else known)
    counts = [_count(section) for section in (answer.answer, answer.authority, answer.additional)]
    body = bytes(buffer.data[start:])
    return Compiled(
        flags=(0x84 if answer.is_authoritative else 0x80, answer.rcode),
        counts=b"".join(count.to_bytes(2, "big") for count in counts),
        body=body,
        additional_count=counts[2],
        required_bytes=len(body) if answer.is_referral else additional_start - start,
        tells_absence=answer.tells_absence,
    )


def _know_question(buffer: MessageBuffer, qname: bytes, encloser: bytes | None) -> None:
    """
    Let names point into the question: into all of it, or only into what every name below the encloser shares.

    Record data may hold the very name that was asked for (a wildcard NS or MX); for the next name that is another one.
    """
    at = 0
    while qname[at]:
        suffix = qname[at:]
        if encloser is None or len(suffix) <= len(encloser):
            buffer.names[suffix] = HEADER_BYTES + at
        at += qname[at] + 1


def _count(section: Sequence[RRset]) -> int:
    return sum(len(rrset.rdatas) for rrset in section)


def question_bytes(qname: bytes, qtype: int, qclass: int) -> bytes:
    """Return a question section."""
    return qname + qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big")


__all__ = ["Compiled", "MessageBuffer", "compile_answer", "names", "question_bytes"]
