"""
Updates (RFC 2136), as far as somebody outside may change a zone: values of TXT records, added and removed.

Pure: a message's bytes to what it asks for, and to the code that refuses it. Who may ask, for which names and values,
is decided by whoever takes the updates.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import dns.exception
import dns.name

from warp_dns.message import names
from warp_dns.message.codes import CLASS_ANY, CLASS_IN, CLASS_NONE, FORMERR, NOERROR, NOTAUTH, NOTIMP, NOTZONE, REFUSED
from warp_dns.message.query import Query
from warp_dns.message.records import ANY, SOA, TXT


class UpdateRefused(Exception):
    """
    An update that is not done.

    :ivar rcode: the code that says why.
    """

    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class TextChange:
    """
    One record that comes or goes.

    :param name: its owner, in lower case without the trailing dot.
    :param value: what it holds; None: all TXT records of the name go.
    """

    name: str
    value: bytes | None
    is_added: bool


class TakesUpdates(Protocol):
    """Who changes a zone as others ask."""

    def allows(self, apex: bytes, key: bytes) -> bool:
        """Whether who has signed with a key may change a zone; both names are folded wire format."""

    def apply(self, changes: Sequence[TextChange]) -> None:
        """
        Make all changes, or none.

        :raises UpdateRefused: if one cannot be made.
        """


def do_update(query: Query, key: bytes | None, zones: Collection[bytes], takes: TakesUpdates | None) -> int:
    """
    Do what an update asks; return the code of the answer. Unless it is NOERROR, nothing has changed.

    :param key: with which it is signed, and was verified; None: it is not.
    :param zones: folded names of those that are served.
    """
    if takes is None:
        return NOTIMP
    if query.qtype != SOA or query.qclass != CLASS_IN:
        return FORMERR  # RFC 2136 §3.1.1
    if query.qname not in zones:
        return NOTAUTH
    if key is None or not takes.allows(query.qname, key):
        return REFUSED
    try:
        takes.apply(read_changes(query))
    except UpdateRefused as refusal:
        return refusal.rcode
    return NOERROR


def read_changes(query: Query) -> list[TextChange]:
    """
    Read the update section.

    :raises UpdateRefused: if it cannot be read, wants something else than TXT, is outside the zone, or depends on what
        the zone holds: no prerequisite is looked at, so none is taken for fulfilled.
    """
    data = query.data
    prerequisites, count = int.from_bytes(data[6:8], "big"), int.from_bytes(data[8:10], "big")
    if prerequisites:
        raise UpdateRefused(REFUSED)
    changes, at = [], query.question_end
    for _ in range(count):
        change, at = _read_change(query, at)
        changes.append(change)
    return changes


def _read_change(query: Query, at: int) -> tuple[TextChange, int]:
    data = query.data
    if not names.is_bounded(data, at):
        raise UpdateRefused(FORMERR)
    try:
        owner, used = dns.name.from_wire(data, at)
    except dns.exception.DNSException as error:
        raise UpdateRefused(FORMERR) from error
    at += used
    rtype, rclass = (int.from_bytes(data[at + each : at + each + 2], "big") for each in (0, 2))
    ttl, length = data[at + 4 : at + 8], int.from_bytes(data[at + 8 : at + 10], "big")
    rdata, end = data[at + 10 : at + 10 + length], at + 10 + length
    name = names.wire_of(owner).lower()
    if not names.is_at_or_below(name, query.qname):
        raise UpdateRefused(NOTZONE)
    if rclass != CLASS_IN and ttl != bytes(4):
        raise UpdateRefused(FORMERR)  # §3.4.1.2
    text = names.to_text(name).removesuffix(".")
    if rclass == CLASS_ANY and not rdata and rtype in (TXT, ANY):
        return TextChange(text, None, is_added=False), end
    if rclass not in (CLASS_IN, CLASS_NONE, CLASS_ANY) or (rclass == CLASS_ANY and rdata):
        raise UpdateRefused(FORMERR)
    if rtype != TXT or rclass == CLASS_ANY:
        raise UpdateRefused(REFUSED)
    return TextChange(text, _text(rdata), is_added=rclass == CLASS_IN), end


def _text(rdata: bytes) -> bytes:
    """Return the strings of a TXT record as one, as ACME reads them (RFC 8555 §8.4)."""
    strings, at = [], 0
    while at < len(rdata):
        strings.append(rdata[at + 1 : at + 1 + rdata[at]])
        at += 1 + rdata[at]
    if at != len(rdata) or not strings:
        raise UpdateRefused(FORMERR)
    return b"".join(strings)
