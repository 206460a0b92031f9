"""
From a query's bytes to a reply's bytes, for every zone that a server serves.

Pure: no sockets, no clock, no log. This module decides what the header and OPT of a reply say, how large it may be,
and which replies are kept whole (`replies`, keyed by the query's bytes after the id, which `udp` sends without
calling here at all). What the sections hold is decided in `answer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from warp_dns import names
from warp_dns.answer import FORMERR, NOERROR, NOTIMP, REFUSED
from warp_dns.cache import AnswerCache
from warp_dns.metrics import Cell, Counters
from warp_dns.query import (
    CLASS_CH,
    CLASS_IN,
    QUERY,
    Edns,
    Ignored,
    Malformed,
    Query,
    opcode_of,
    read_query,
)
from warp_dns.records import ANY, AXFR, DS, IXFR, MAILA, MAILB, OPT, TKEY, TSIG, TXT
from warp_dns.wire import HEADER_BYTES, MAX_MESSAGE_BYTES, Compiled
from warp_dns.zone import Change, Zone

BADVERS = 16
DEFAULT_UDP_BYTES = 1232  # DNS flag day 2020: an IPv6 packet of 1,280 bytes less its headers
MIN_UDP_BYTES = 512  # RFC 1035 §2.3.4, RFC 6891 §6.2.3
MAX_REPLIES = 65536  # whole replies kept; about 400 bytes each

_NO_COUNTS = bytes(6)
_CHAOS_TTL_AND_CLASS = b"\0\x10\0\x03\0\0\0\0"


@dataclass(slots=True, frozen=True)
class CachedReply:
    """A whole reply after the id, what rate limiting counts it under, and the count it adds to."""

    reply: bytes
    topic: bytes
    count: Cell


@dataclass(slots=True, frozen=True, kw_only=True)
class Identity:
    """What `version.bind` and `id.server` (RFC 4892) and NSID (RFC 5001) say; empty: REFUSED, and no NSID."""

    version: str = ""
    id: str = ""


class Responder:
    """Answers queries from a set of zones."""

    def __init__(
        self,
        counters: Counters,
        *,
        identity: Identity | None = None,
        udp_bytes: int = DEFAULT_UDP_BYTES,
        max_replies: int = MAX_REPLIES,
    ) -> None:
        self.replies: dict[bytes, CachedReply] = {}
        self._counters = counters
        self._udp_bytes = udp_bytes
        self._max_replies = max_replies
        self._zones: dict[bytes, AnswerCache] = {}
        self._nsid = (identity.id if identity else "").encode()
        self._chaos = _chaos_texts(identity or Identity())

    @property
    def zones(self) -> Mapping[bytes, Zone]:
        """The snapshot served of each zone, by folded apex."""
        return {apex: cache.zone for apex, cache in self._zones.items()}

    def serve(self, zone: Zone) -> None:
        """Begin to serve a zone, or put a snapshot that shares nothing with the last in its place."""
        self._zones[zone.apex] = AnswerCache(zone, self.replies.clear)
        self.replies.clear()

    def withdraw(self, apex: bytes) -> None:
        """Stop serving a zone."""
        del self._zones[apex]
        self.replies.clear()

    def advance(self, change: Change) -> None:
        """Serve the next snapshot of a zone, from the next query on."""
        for key in self._zones[change.zone.apex].advance(change.zone, change.touched):
            self.replies.pop(key, None)

    def respond(self, data: bytes, *, is_stream: bool = False) -> bytes | None:
        """
        Answer one message.

        :returns: the reply, or None when none may be sent.
        """
        try:
            if len(data) >= HEADER_BYTES and opcode_of(data) != QUERY and not data[2] & 0x80:
                return self._count(is_stream, 0, NOTIMP, _error(data, NOTIMP, HEADER_BYTES))
            query = read_query(data)
        except Ignored:
            self._counters.ignored[0] += 1
            return None
        except Malformed as fault:
            return self._count(is_stream, 0, FORMERR, _error(data, FORMERR, fault.question_end))
        edns = query.edns
        if edns is not None and edns.version:
            return self._count(is_stream, query.qtype, BADVERS, self._bare(query, BADVERS))
        if query.qclass == CLASS_CH:
            return self._respond_chaos(query, is_stream)
        if query.qclass != CLASS_IN:
            return self._refuse(query, REFUSED, is_stream)
        if query.qtype in (AXFR, OPT, TSIG, TKEY):
            return self._refuse(query, FORMERR, is_stream)
        if query.qtype in (MAILA, MAILB):
            return self._refuse(query, NOTIMP, is_stream)
        cache = self._zone_for(query)
        if cache is None:
            return self._refuse(query, REFUSED, is_stream)
        return self._answer(query, cache, is_stream)

    def _zone_for(self, query: Query) -> AnswerCache | None:
        """RFC 1034 §4.3.2 step 2; DS belongs to the parent (RFC 4035 §3.1.4.1)."""
        zones = self._zones
        fallback = None
        for suffix in names.suffixes(query.qname):
            cache = zones.get(suffix)
            if cache is not None:
                if query.qtype != DS or suffix != query.qname:
                    return cache
                fallback = cache
        return fallback

    def _answer(self, query: Query, cache: AnswerCache, is_stream: bool) -> bytes:
        compiled = cache.find(query.qname, query.qtype)
        data, edns = query.data, query.edns
        opt = self._opt(edns) if edns is not None else b""
        limit = MAX_MESSAGE_BYTES if is_stream else self._limit(edns)
        space = limit - query.question_end - len(opt)
        flags, rcode = compiled.flags
        body, counts, additional = compiled.body, compiled.counts, compiled.additional_count
        if len(body) > space:
            additional = 0
            if compiled.required_bytes <= space:
                body, counts = body[: compiled.required_bytes], counts[:4] + b"\0\0"
            else:
                body, counts = b"", _NO_COUNTS
                flags |= 0x02  # TC; RFC 2181 §9: a partial RRset would be of no use
                self._counters.truncated[0] += 1
        if opt:
            counts = counts[:4] + (additional + 1).to_bytes(2, "big")
        tail = b"".join(
            (
                bytes((flags | data[2] & 0x01, rcode | data[3] & 0x10)),
                b"\0\1",
                counts,
                data[HEADER_BYTES : query.question_end],
                body,
                opt,
            )
        )
        cell = self._counters.queries("tcp" if is_stream else "udp", query.qtype, rcode)
        cell[0] += 1
        if not is_stream and compiled.keys is not None and _may_come_again(query, cache.zone):
            if len(self.replies) >= self._max_replies:
                self.replies.clear()
            self.replies[data[2:]] = CachedReply(tail, compiled.topic, cell)
            compiled.keys.add(data[2:])
        return data[:2] + tail

    def _respond_chaos(self, query: Query, is_stream: bool) -> bytes:
        text = self._chaos.get(query.qname)
        if text is None or query.qtype not in (TXT, ANY):
            return self._refuse(query, REFUSED, is_stream)
        body = b"\xc0\x0c" + _CHAOS_TTL_AND_CLASS + (len(text) + 1).to_bytes(2, "big") + bytes([len(text)]) + text
        compiled = Compiled((0x84, NOERROR), b"\0\1\0\0\0\0", body, 0, len(body), b"")
        opt = self._opt(query.edns) if query.edns else b""
        counts = b"\0\1\0\0\0\1" if opt else compiled.counts
        data = query.data
        reply = b"".join(
            (
                data[:2],
                bytes((0x84 | data[2] & 1, 0)),
                b"\0\1",
                counts,
                data[HEADER_BYTES : query.question_end],
                body,
                opt,
            )
        )
        return self._count(is_stream, query.qtype, NOERROR, reply)

    def _refuse(self, query: Query, rcode: int, is_stream: bool) -> bytes:
        return self._count(is_stream, query.qtype, rcode, self._bare(query, rcode))

    def _bare(self, query: Query, rcode: int) -> bytes:
        """Return a reply without records."""
        data = query.data
        opt = self._opt(query.edns, rcode >> 4) if query.edns is not None else b""
        return b"".join(
            (
                data[:2],
                bytes((0x80 | data[2] & 0x01, rcode & 15 | data[3] & 0x10)),
                b"\0\1\0\0\0\0",
                b"\0\1" if opt else b"\0\0",
                data[HEADER_BYTES : query.question_end],
                opt,
            )
        )

    def _count(self, is_stream: bool, qtype: int, rcode: int, reply: bytes) -> bytes:
        self._counters.queries("tcp" if is_stream else "udp", qtype, rcode)[0] += 1
        return reply

    def _limit(self, edns: Edns | None) -> int:
        if edns is None:
            return MIN_UDP_BYTES
        return min(max(edns.udp_bytes, MIN_UDP_BYTES), self._udp_bytes)

    def _opt(self, edns: Edns, extended_rcode: int = 0) -> bytes:
        """RFC 6891 §6.1.2; the DO bit is copied (RFC 3225 §3)."""
        options = b""
        if edns.wants_nsid and self._nsid:
            options += b"\0\x03" + len(self._nsid).to_bytes(2, "big") + self._nsid
        return b"".join(
            (
                b"\0\0\x29",
                self._udp_bytes.to_bytes(2, "big"),
                bytes((extended_rcode, 0, 0x80 if edns.wants_dnssec else 0, 0)),
                len(options).to_bytes(2, "big"),
                options,
            )
        )


def _may_come_again(query: Query, zone: Zone) -> bool:
    """
    Whether the same bytes are likely to come again.

    Names that do not exist and names in mixed case (0x20) mostly come once; they would drive out the rest.
    """
    edns = query.edns
    if edns is not None and (edns.cookie or edns.subnet or edns.wants_nsid):
        return False
    if query.data[HEADER_BYTES : query.question_end - 4] != query.qname:
        return False
    return zone.get(query.qname) is not None


def _chaos_texts(identity: Identity) -> dict[bytes, bytes]:
    texts = {
        "version.bind": identity.version,
        "version.server": identity.version,
        "hostname.bind": identity.id,
        "id.server": identity.id,
    }
    return {names.from_text(name): text.encode()[:255] for name, text in texts.items() if text}


def _error(data: bytes, rcode: int, question_end: int) -> bytes:
    """Return a reply to what could not be read: the question is echoed if it was readable."""
    question = data[HEADER_BYTES:question_end]
    return b"".join(
        (
            data[:2],
            bytes((0x80 | data[2] & 0x79, rcode | data[3] & 0x10)),
            b"\0\1" if question else b"\0\0",
            _NO_COUNTS,
            question,
        )
    )


__all__ = ["AXFR", "IXFR", "CachedReply", "Identity", "Responder"]
