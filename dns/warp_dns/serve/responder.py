"""
From a query's bytes to a reply's bytes, for every zone that a server serves.

No sockets, no log; the wall clock is an argument. This module decides which answer a client gets, and in what size:
cookies, rate limits, signatures, truncation, client subnets. What the sections hold is decided in `zone.lookup`, the
bytes around them are put together in `reply`. Whole replies are kept in `replies`; `udp` sends those without calling
here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from warp_base.wall_clock import WallClock
from warp_dns.message import names, reply
from warp_dns.message.codes import (
    BADCOOKIE,
    BADVERS,
    CLASS_CH,
    CLASS_IN,
    FORMERR,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    QUERY,
    REFUSED,
    SERVFAIL,
    UPDATE,
)
from warp_dns.message.cookies import CLIENT_BYTES, CookieJar, CookieState
from warp_dns.message.query import Edns, Ignored, Malformed, Query, opcode_of, place_of, read_query
from warp_dns.message.records import ANY, AXFR, DS, IXFR, MAILA, MAILB, OPT, SOA, TKEY, TSIG, TXT
from warp_dns.message.reply import MIN_UDP_BYTES, QR, TC
from warp_dns.message.tsig import BadSignature, KeyRing, Signature, Unreadable
from warp_dns.message.update import TakesUpdates, do_update
from warp_dns.message.wire import HEADER_BYTES, MAX_MESSAGE_BYTES, Compiled
from warp_dns.serve.limits import ResponseRateLimit, pack
from warp_dns.serve.metrics import Cell, Counters
from warp_dns.serve.replies import MAX_REPLIES, KeptReplies, may_come_again
from warp_dns.settings import EdgeSettings, IdentitySettings
from warp_dns.zone.cache import AnswerCache
from warp_dns.zone.data import Change, Zone
from warp_dns.zone.places import Places
from warp_dns.zone.transfer import Transfer, Transferable

DEFAULT_UDP_BYTES = 1232  # DNS flag day 2020: an IPv6 packet of 1,280 bytes less its headers

_META_TYPES = frozenset([OPT, TSIG, TKEY])
_ERROR, _SIGNED = b"e", b"s"  # what rate limiting counts replies by that no zone answers


@dataclass(slots=True)
class _Asking:
    """What is known of the client while one query is answered."""

    host: str
    is_stream: bool
    signature: Signature | None = None
    cookie: bytes = b""
    is_proven: bool = False


class Responder:
    """Answers queries from a set of zones."""

    def __init__(
        self,
        counters: Counters,
        wall: WallClock,
        *,
        identity: IdentitySettings | None = None,
        udp_bytes: int = DEFAULT_UDP_BYTES,
        limit: ResponseRateLimit | None = None,
        cookies: CookieJar | None = None,
        keys: KeyRing | None = None,
        places: Places | None = None,
        idle_seconds: float = 10.0,
        max_replies: int = MAX_REPLIES,
        discard: Callable[[dict[Any, Any]], None] | None = None,
    ) -> None:
        """
        Begin without zones.

        :param wall: for cookies and signatures.
        :param discard: frees a large table in slices.
        """
        self.limit = limit
        self._counters = counters
        self._wall = wall
        self._udp_bytes = udp_bytes
        self._cookies = cookies
        self._keys = KeyRing() if keys is None else keys
        self._places = places or Places()
        self._idle_seconds = idle_seconds
        self._discard = discard or dict.clear
        self.replies = KeptReplies(self._discard, max_replies)
        self._zones: dict[bytes, AnswerCache] = {}
        self._transfers: dict[bytes, Transferable] = {}
        self._suspended: frozenset[bytes] = frozenset()
        self._incomplete: frozenset[bytes] = frozenset()
        identity = identity or IdentitySettings()
        self._nsid = identity.id.encode()
        self._updates: TakesUpdates | None = None
        self._opcodes: tuple[int, ...] = (QUERY,)
        self._plain_opts = [reply.opt_record(udp_bytes, Edns(0, 0, wants), 0, b"") for wants in (False, True)]
        version, own = identity.version, identity.id
        self._chaos = reply.chaos_texts(
            {"version.bind": version, "version.server": version, "hostname.bind": own, "id.server": own}
        )

    @property
    def zones(self) -> Mapping[bytes, Zone]:
        """The snapshot served of each zone, by folded apex."""
        return {apex: cache.zone for apex, cache in self._zones.items()}

    def serve(self, zone: Zone, transferable: Transferable | None = None) -> None:
        """Begin to serve a zone, or put a snapshot that shares nothing with the last in its place."""
        self._zones[zone.apex] = AnswerCache(zone, self.replies.forget, self._discard)
        self._transfers[zone.apex] = transferable or Transferable()
        self.replies.forget()

    def withdraw(self, apex: bytes) -> None:
        """Stop serving a zone."""
        del self._zones[apex], self._transfers[apex]
        self.replies.forget()

    def advance(self, change: Change) -> None:
        """Serve the next snapshot of a zone, from the next query on."""
        self._zones[change.zone.apex].advance(change.zone, change.touched)

    def set_edges(self, edges: Mapping[str, EdgeSettings]) -> None:
        """Order edges by these facts from the next query on."""
        self._places.set_edges(edges)
        for cache in self._zones.values():
            cache.clear()

    def set_suspended(self, apexes: frozenset[bytes], incomplete: frozenset[bytes] = frozenset()) -> None:
        """
        Answer SERVFAIL for these zones: a resolver then asks another server, and caches nothing.

        :param incomplete: zones of which not all records are known. What is there is answered, SOA and NS first; what
            would be said not to exist, or depends on that, is SERVFAIL, and so are transfers.
        """
        self._suspended = apexes
        self._incomplete = incomplete
        self.replies.forget()

    def respond(self, data: bytes, host: str) -> bytes | None:
        """
        Answer a datagram that `replies` holds no whole reply for.

        :param host: the peer's address as its socket tells it.
        :returns: the reply, or None when none may be sent.
        """
        kept = self.replies.by_query.get(data[2:])
        if kept is not None and kept.placed is not None and kept.validity.holds:
            order, _ = self._places.order_for(pack(host))
            tail = kept.placed.get(order)
            if tail is not None:
                if self._is_over(_Asking(host, is_stream=False), kept.counted_as):
                    return self.limited(data)
                kept.count[0] += 1
                return data[:2] + tail
        made = self._respond(data, _Asking(host, is_stream=False))
        return None if isinstance(made, Transfer) else made

    def respond_stream(self, data: bytes, host: str) -> bytes | Transfer | None:
        """Answer a message that came over TCP; a transfer is the caller's to send and sign."""
        return self._respond(data, _Asking(host, is_stream=True))

    def take_updates(self, takes: TakesUpdates) -> None:
        """Let others change zones from now on."""
        self._updates, self._opcodes = takes, (QUERY, UPDATE)

    def tick(self) -> None:
        """A second has passed, by which rates are counted."""
        if self.limit is not None:
            for table in self.limit.tick():
                self._discard(table)

    def limited(self, data: bytes) -> bytes | None:
        """Return what is sent for a query that is over the rate: nothing, or now and then the TC bit."""
        limit = self.limit
        if limit is None or not limit.slips():
            self._counters.dropped[0] += 1
            return None
        self._counters.slipped[0] += 1
        try:
            return reply.without_records(read_query(data), NOERROR, b"", QR | TC)
        except (Ignored, Malformed):
            return None

    def _respond(self, data: bytes, asking: _Asking) -> bytes | Transfer | None:
        try:
            if len(data) >= HEADER_BYTES and opcode_of(data) not in self._opcodes and not data[2] & 0x80:
                return self._unless_limited(data, asking, NOTIMP, HEADER_BYTES)
            query = read_query(data)
        except Ignored:
            self._counters.ignored[0] += 1
            return None
        except Malformed as fault:
            return self._unless_limited(data, asking, FORMERR, fault.question_end)
        edns = query.edns
        if edns is not None and edns.cookie is not None and self._cookies is not None:
            self._check_cookie(edns.cookie, asking, self._cookies)
        if not query.tsig_at:
            return self._dispatch(query, asking)
        return self._respond_signed(query, asking)

    def _respond_signed(self, query: Query, asking: _Asking) -> bytes | Transfer | None:
        """RFC 8945 §5.2: verify first, answer then, and sign what goes back."""
        if self._is_over(asking, _SIGNED):  # before the digest is computed: that is what a signature costs
            return self._over(query, asking)
        asking.is_proven = True  # counted
        now = int(self._wall.now())
        try:
            asking.signature = self._keys.verify(query.data, query.tsig_at, now)
        except Unreadable:
            return self._say(query, FORMERR, asking)
        except BadSignature as fault:
            made = self._reply(query, NOTAUTH, asking)
            return made if fault.signature is None else fault.signature.sign(made, now, error=fault.error)
        answered = self._dispatch(query, asking)
        return asking.signature.sign(answered, now) if isinstance(answered, bytes) else answered

    def _update(self, query: Query, asking: _Asking) -> bytes | None:
        key = asking.signature.key_name if asking.signature is not None else None
        return self._say(query, do_update(query, key, self._zones.keys(), self._updates), asking)

    def _dispatch(self, query: Query, asking: _Asking) -> bytes | Transfer | None:
        if query.opcode == UPDATE:
            return self._update(query, asking)
        if query.edns is not None and query.edns.version:
            return self._say(query, BADVERS, asking)
        if query.question_end == HEADER_BYTES:
            return self._say(query, NOERROR, asking)
        if query.qclass == CLASS_CH:
            return self._respond_chaos(query, asking)
        if query.qclass != CLASS_IN:
            return self._say(query, REFUSED, asking)
        if query.qtype in _META_TYPES:
            return self._say(query, FORMERR, asking)
        if query.qtype in (MAILA, MAILB):
            return self._say(query, NOTIMP, asking)
        if query.qtype in (AXFR, IXFR):
            return self._respond_transfer(query, asking)
        cache = self._zone_for(query)
        if cache is None:
            return self._say(query, REFUSED, asking)
        apex = cache.zone.apex
        if apex in self._suspended:
            return self._say(query, SERVFAIL, asking)
        if apex in self._incomplete and cache.find(query.qname, query.qtype).tells_absence:
            return self._say(query, SERVFAIL, asking)
        return self._answer(query, query.qtype, cache, asking)

    def _respond_transfer(self, query: Query, asking: _Asking) -> bytes | Transfer | None:
        cache = self._zones.get(query.qname)
        if cache is None:
            return self._say(query, NOTAUTH, asking)  # RFC 5936 §2.2.1
        if query.qname in self._suspended or query.qname in self._incomplete:
            return self._say(query, SERVFAIL, asking)
        if not asking.is_stream:
            if query.qtype == AXFR:
                return self._say(query, FORMERR, asking)  # RFC 5936 §4.2: AXFR is not defined for UDP
            return self._answer(query, SOA, cache, asking)  # RFC 1995 §2: our serial, and TCP for the rest
        transferable = self._transfers[query.qname]
        if not transferable.rule.allows(asking.host, asking.signature):
            return self._say(query, REFUSED, asking)
        transfer = transferable.transfer(query, cache.zone, asking.signature)
        if transfer is None:
            return self._say(query, SERVFAIL, asking)
        self._count(query, NOERROR, asking)
        return transfer

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

    def _answer(self, query: Query, qtype: int, cache: AnswerCache, asking: _Asking) -> bytes | None:
        base = compiled = cache.find(query.qname, qtype)
        if self._is_over(asking, base.counted_as):
            return self._over(query, asking)
        edns = query.edns
        order, scope = None, 0
        if base.arranged is not None and not self._places.is_neutral:
            order, scope = self._places.order_for(place_of(edns, pack(asking.host)))
            compiled = cache.arranged(base, order, self._places.addresses)
        opt = self._opt(edns, NOERROR, asking, scope) if edns is not None else b""
        tail = self._fit(query, compiled, opt, self._space(query, asking) - len(opt))
        count = self._count(query, compiled.flags[1], asking)
        if base.keeps_replies and not asking.is_stream and asking.signature is None and may_come_again(query):
            self.replies.keep(query.data[2:], base, count, order, tail)
        return query.data[:2] + tail

    def _fit(self, query: Query, compiled: Compiled, opt: bytes, space: int) -> bytes:
        """Leave out additional data if it does not fit, else everything (RFC 2181 §9)."""
        flags, rcode = compiled.flags
        body, counts, additional = compiled.body, compiled.counts, compiled.additional_count
        if len(body) > space:
            additional = 0
            if compiled.required_bytes <= space:
                body, counts = body[: compiled.required_bytes], counts[:4] + b"\0\0"
            else:
                body, counts, flags = b"", bytes(6), flags | TC
                self._counters.truncated[0] += 1
        if opt:
            counts = counts[:4] + (additional + 1).to_bytes(2, "big")
        return reply.assemble(query, flags, rcode, counts, body, opt)

    def _respond_chaos(self, query: Query, asking: _Asking) -> bytes | None:
        text = self._chaos.get(query.qname)
        if text is None or query.qtype not in (TXT, ANY):
            return self._say(query, REFUSED, asking)
        if self._is_over(asking, _ERROR):
            return self._over(query, asking)
        rdata = bytes([len(text)]) + text
        body = b"\xc0\x0c\0\x10\0\x03\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
        opt = self._opt(query.edns, NOERROR, asking) if query.edns else b""
        self._count(query, NOERROR, asking)
        counts = b"\0\1\0\0\0\1" if opt else b"\0\1\0\0\0\0"
        return query.data[:2] + reply.assemble(query, reply.QR | reply.AA, NOERROR, counts, body, opt)

    def _say(self, query: Query, rcode: int, asking: _Asking) -> bytes | None:
        """Return a reply with a response code only, or the rate limit's reply."""
        return self._over(query, asking) if self._is_over(asking, _ERROR) else self._reply(query, rcode, asking)

    def _over(self, query: Query, asking: _Asking) -> bytes | None:
        """Return the reply to a query over the rate limit."""
        if asking.cookie and self.limit is not None and self.limit.slips():
            self._counters.slipped[0] += 1
            return self._reply(query, BADCOOKIE, asking)  # RFC 7873 §5.2.3: come again with the cookie
        return self.limited(query.data)

    def _reply(self, query: Query, rcode: int, asking: _Asking) -> bytes:
        self._count(query, rcode, asking)
        return reply.without_records(query, rcode, self._opt(query.edns, rcode, asking) if query.edns else b"")

    def _unless_limited(self, data: bytes, asking: _Asking, rcode: int, question_end: int) -> bytes | None:
        if self._is_over(asking, _ERROR):
            self._counters.dropped[0] += 1
            return None
        self._counters.queries("tcp" if asking.is_stream else "udp", 0, rcode)[0] += 1
        return reply.to_unreadable(data, rcode, question_end)

    def _is_over(self, asking: _Asking, counted_as: bytes) -> bool:
        limit = self.limit
        if limit is None or asking.is_stream or asking.is_proven:
            return False
        return limit.is_over(asking.host, counted_as) and not limit.is_exempt(asking.host)

    def _check_cookie(self, cookie: bytes, asking: _Asking, jar: CookieJar) -> None:
        now = int(self._wall.now())
        address = pack(asking.host)
        state = jar.state_of(cookie, address, now)
        asking.is_proven = state is not CookieState.UNPROVEN
        is_fresh = state is CookieState.VALID
        asking.cookie = cookie if is_fresh else jar.make(cookie[:CLIENT_BYTES], address, now)

    def _count(self, query: Query, rcode: int, asking: _Asking) -> Cell:
        cell = self._counters.queries("tcp" if asking.is_stream else "udp", query.qtype, rcode)
        cell[0] += 1
        return cell

    def _space(self, query: Query, asking: _Asking) -> int:
        """Return how much room there is after the question, for sections and OPT."""
        if asking.is_stream:
            limit = MAX_MESSAGE_BYTES
        elif query.edns is None:
            limit = MIN_UDP_BYTES
        else:
            limit = min(max(query.edns.udp_bytes, MIN_UDP_BYTES), self._udp_bytes)
        signature = asking.signature.size if asking.signature is not None else 0
        return limit - query.question_end - signature

    def _opt(self, edns: Edns, rcode: int, asking: _Asking, scope: int = 0) -> bytes:
        if not (edns.has_options or rcode >> 4):
            return self._plain_opts[edns.wants_dnssec]
        options = b""
        if asking.cookie:
            options += reply.cookie_option(asking.cookie)
        if edns.subnet is not None:
            options += reply.subnet_option(edns.subnet, scope)
        if edns.wants_nsid and self._nsid:
            options += reply.nsid_option(self._nsid)
        if edns.wants_keepalive and asking.is_stream:
            options += reply.keepalive_option(self._idle_seconds)
        return reply.opt_record(self._udp_bytes, edns, rcode, options)
