"""
Reading a visitor's request head, and rebuilding it for the origin.

The reader decides what is well formed and what it means: host, body framing, persistence, upgrade. It does not
know routes or sockets. One reader serves one visitor connection, because requests on one connection mostly differ
in their first line and in a few values only: what was read once is kept as a `template`, and not read twice.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.grammar import (
    FIELD_LINES,
    OPTIONAL_WHITESPACE,
    has_bad_byte,
    parse_options,
)
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import (
    BAD_CONNECTION,
    BAD_FIELD,
    BAD_LINE_END,
    HEAD_TOO_LARGE,
    HOST_MISSING,
    HOST_REPEATED,
    TARGET_TOO_LONG,
    TOO_MANY_FIELDS,
    MessageRefused,
)
from warp_twisted.http1.request_fields import (
    FieldRules,
    expects_continue,
    framing,
    hop_by_hop,
    hops_line,
    max_forwards,
)
from warp_twisted.http1.shared_sections import SharedSections
from warp_twisted.http1.target import (
    METHOD,
    TARGET_BYTES,
    Authority,
    check_same_authority,
    parse_authority,
    parse_request_line,
)
from warp_twisted.http1.template import MAX_BYTES, MAX_TEMPLATES, Template, covers, differing

_COMMON_LINE = re.compile(rb"(?!CONNECT |TRACE )(" + METHOD + rb") (/" + TARGET_BYTES + rb"*+)(?= HTTP/1\.[01]\r\n)")
_SECTION = re.compile(rb" HTTP/1\.([01])\r\n" + FIELD_LINES + rb"\r\n")
_SECTION_PREFIX = len(b" HTTP/1.1\r\n")
_MAX_AGENT = 512  # of User-Agent, for the access log


_OWN_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
_RULES = FieldRules()
_FIRST_HOP = hops_line(())
_NO_OPTIONS: frozenset[bytes] = frozenset()
_MUST_STAY = frozenset({b"host", b"content-length", b"transfer-encoding", b"cache-control"})


class _Place(msgspec.Struct, frozen=True):
    """Where one Host value leads: its normal form, and what is told to the origin about it."""

    authority: bytes
    host: str
    lines: bytes


class RequestFields(msgspec.Struct, frozen=True):
    """
    What a header section (from the version to the empty line) means to the edge; requests of one visitor share it.

    :param host: the normal form of Host, without the port.
    :param authority: Host as it came.
    :param length: body bytes, 0 for none, or CHUNKED.
    :param persistent: whether the visitor may send another request on the connection.
    :param upgrade: the one protocol asked for, in lower case, or empty.
    :param max_forwards: -1 where the field is absent.
    :param spelt: folded name → how the line of its one field begins, as whoever searched the lines has found it:
        sections that share this have the same names in the same order, so none need be searched for it again.
    """

    minor: int
    host: str
    authority: bytes
    length: int
    persistent: bool
    upgrade: bytes
    expects_continue: bool
    max_forwards: int
    user_agent: str
    spelt: dict[bytes, bytes] = msgspec.field(default_factory=dict)


class RequestHead(msgspec.Struct, frozen=True):
    """
    A request head that may be passed on.

    :param target: origin-form or `*`.
    :param size: how many of the bytes given to the reader belong to the head.
    :param lines: the field lines for the origin, all but X-Request-Id, each with its CR LF.
    :param accept: the first Accept field's value, or empty.
    """

    method: bytes
    target: bytes
    size: int
    fields: RequestFields
    lines: bytes
    accept: bytes

    def for_origin(self, request_id: bytes) -> bytes:
        """Return the head as the origin gets it, always as HTTP/1.1."""
        fields = self.fields
        if fields.max_forwards >= 0:
            hops = fields.max_forwards - (self.method == b"OPTIONS")
            return b"%b %b HTTP/1.1\r\n%bMax-Forwards: %d\r\nX-Request-Id: %b\r\n\r\n" % (
                self.method,
                self.target,
                self.lines,
                hops,
                request_id,
            )
        return b"%b %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n\r\n" % (self.method, self.target, self.lines, request_id)


class _Reading(msgspec.Struct, frozen=True):
    """A section that was read in full: as it came, what it means, and what goes to the origin."""

    raw: bytes
    fields: RequestFields
    lines: bytes
    accept: bytes


class FirstSection(msgspec.Struct, frozen=True):
    """
    A section as any visitor may have sent it.

    :param lines: for the origin, all but what it is told about the visitor.
    """

    fields: RequestFields
    lines: bytes
    accept: bytes


class _Known(msgspec.Struct, frozen=True):
    """
    Sections of which some values differ.

    :param accept_at: which of the values is Accept's; -1 if it is always `accept`.
    """

    template: Template
    fields: RequestFields
    accept: bytes
    accept_at: int


class RequestReader:
    """Reads the request heads of one visitor connection."""

    __slots__ = (
        "_checked", "_first", "_forwarding", "_forwarding_of", "_known", "_last", "_limits", "_place", "_rules",
        "_upgrades",
    )  # fmt: skip

    def __init__(
        self,
        limits: HeadLimits,
        forwarding: Forwarding,
        upgrades: frozenset[bytes] = frozenset({b"websocket"}),
        first: SharedSections[FirstSection] | None = None,
        rules: FieldRules = _RULES,
        forwarding_of: Callable[[Sequence[bytes]], Forwarding] | None = None,
    ):
        """
        Start before the first request.

        :param upgrades: protocols in lower case that may be asked for; others are left out, as if not asked.
        :param first: what other connections, with the same limits, upgrades and rules, began with.
        :param rules: which fields are passed on.
        :param forwarding_of: where each head has a visitor of its own: reads from its lines what the origin is told.
            Then nothing of a head is remembered for the next one.
        """
        self._rules = rules
        self._forwarding_of = forwarding_of
        self._first: SharedSections[FirstSection] | None = first if forwarding_of is None else None
        self._limits = limits
        self._forwarding = forwarding
        self._upgrades = upgrades
        self._last: _Reading | None = None
        self._known: list[_Known] = []
        self._place: _Place | None = None
        self._checked = 0  # bytes of an incomplete head that were searched already

    def read(self, data: bytes) -> RequestHead | None:
        """
        Read one head.

        :param data: all that has arrived and not been read, from the head's first byte.
        :returns: None while the head is incomplete.
        :raises MessageRefused: as soon as the bytes cannot become a head that is passed on.
        """
        line = _COMMON_LINE.match(data)
        if line is None:
            return self._read_uncommon(data)
        start = line.end()
        if self._checked and not self._find_end(data, start):
            return None  # incomplete: it is compared with remembered heads only once it is whole
        head = self._recall(line[1], line[2], data, start)
        if head is None:
            size = self._find_end(data, start)
            if not size:
                return None
            raw = data[start:size]
            first = self._first
            reading = self._read_section(raw, None) if first is None else self._read_first(raw, first)
            head = RequestHead(line[1], line[2], size, reading.fields, reading.lines, reading.accept)
        elif head.size > self._limits.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        if len(head.target) > self._limits.target_bytes:
            raise MessageRefused(TARGET_TOO_LONG)
        return head

    def _recall(self, method: bytes, target: bytes, data: bytes, start: int) -> RequestHead | None:
        """Read a section that equals the last one, or differs from earlier ones only where a template allows it."""
        last = self._last
        if last is not None and data.startswith(last.raw, start):
            return RequestHead(method, target, start + len(last.raw), last.fields, last.lines, last.accept)
        for known in self._known:
            template = known.template
            found = template.match(data, start)
            if found is not None:
                size, values = found
                accept = known.accept if known.accept_at < 0 else values[known.accept_at].strip(OPTIONAL_WHITESPACE)
                return RequestHead(method, target, size, known.fields, template.write(values), accept)
        return None

    def _read_first(self, raw: bytes, shared: SharedSections[FirstSection]) -> "_Reading":
        """Read the first section of a connection, as others may have sent it."""
        self._first = None
        found = shared.get(raw)
        if found is None:
            return self._read_section(raw, None, shared)
        fields = found.fields
        place = self._place = _Place(fields.authority, fields.host, self._forwarding.lines(fields.authority))
        reading = self._last = _Reading(raw, fields, found.lines + place.lines, found.accept)
        return reading

    def _read_uncommon(self, data: bytes) -> RequestHead | None:
        """Read a head whose first line is incomplete, wrong, or of a rare form."""
        # RFC 9112 §2.2: "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
        start = 2 if data.startswith(b"\r\n") else 0
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            if has_bad_byte(data, start):
                raise MessageRefused(BAD_LINE_END)
            if len(data) > self._limits.target_bytes + _SECTION_PREFIX + 32:
                raise MessageRefused(TARGET_TOO_LONG)
            return None
        line = parse_request_line(data[start:line_end], self._forwarding.scheme, self._limits.target_bytes)
        section = line_end - len(line.version) - 1
        size = self._find_end(data, section)
        if not size:
            return None
        reading = self._read_section(data[section:size], line.authority)
        return RequestHead(line.method, line.target, size, reading.fields, reading.lines, reading.accept)

    def _find_end(self, data: bytes, start: int) -> int:
        """Return where the head ends, 0 if that has not arrived; what has arrived is checked as far as possible."""
        end = data.find(b"\r\n\r\n", max(start, self._checked - 3))
        if end < 0:
            if len(data) > self._limits.head_bytes:
                raise MessageRefused(HEAD_TOO_LARGE)
            if has_bad_byte(data, max(start, self._checked - 1)):
                raise MessageRefused(BAD_LINE_END)
            self._checked = len(data)
            return 0
        self._checked = 0
        if end + 4 > self._limits.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        return end + 4

    def _read_section(
        self, raw: bytes, named: Authority | None, shared: SharedSections[FirstSection] | None = None
    ) -> "_Reading":
        """
        Read a whole header section in full.

        :param named: the authority of an absolute target.
        :param shared: where it may be remembered for others.
        """
        match = _SECTION.fullmatch(raw)
        if match is None:
            raise MessageRefused(BAD_LINE_END if has_bad_byte(raw, 0) else BAD_FIELD)
        if raw.count(b"\r\n") - 2 > self._limits.header_count:
            raise MessageRefused(TOO_MANY_FIELDS)
        minor = 1 if match[1] == b"1" else 0
        sent = raw[_SECTION_PREFIX:-4].split(b"\r\n")
        forwarding_of = self._forwarding_of
        found, kept = self._rules.sort(sent)
        place = self._read_host(found, named, self._forwarding if forwarding_of is None else forwarding_of(sent))
        length, length_line = framing(found, minor)
        options = parse_options(found["connection"]) if "connection" in found else _NO_OPTIONS
        if not options <= _OWN_OPTIONS:
            if not options.isdisjoint(_MUST_STAY):
                raise MessageRefused(BAD_CONNECTION)
            kept = [line for line in kept if line.partition(b":")[0].lower() not in options]
        upgrade = self._upgrade(found, options) if minor and not length and "upgrade" in found else b""
        connection_lines = hop_by_hop(found, upgrade) if upgrade or "te" in found else b""
        expects = "expect" in found and expects_continue(found["expect"]) and minor == 1 and length != 0
        if expects:
            length_line += b"Expect: 100-continue\r\n"
        fields = RequestFields(
            minor,
            place.host,
            place.authority,
            length,
            b"close" not in options and (minor == 1 or b"keep-alive" in options),
            upgrade,
            expects,
            max_forwards(found["max-forwards"]) if "max-forwards" in found else -1,
            found["user-agent"][0][:_MAX_AGENT].decode("latin-1").strip() if "user-agent" in found else "",
        )
        hops = hops_line(found["warp-hops"]) if "warp-hops" in found else _FIRST_HOP
        own_lines = length_line + connection_lines + hops
        written = b"Host: %b\r\n" % place.authority, own_lines + place.lines
        lines = b"%b%b\r\n%b" % (written[0], b"\r\n".join(kept), own_lines) if kept else written[0] + own_lines
        accept = found["accept"][0].strip(OPTIONAL_WHITESPACE) if "accept" in found else b""
        if shared is not None:
            shared.add(raw, found, FirstSection(fields, lines, accept))
        reading = _Reading(raw, fields, lines + place.lines, accept)
        if named is None and forwarding_of is None:
            self._learn(reading, sent, kept, written)
        return reading

    def _learn(self, reading: "_Reading", sent: list[bytes], kept: list[bytes], written: tuple[bytes, bytes]) -> None:
        """Remember a section; if it differs from the last one in some values only, make a template of it."""
        raw = reading.raw
        if len(raw) > MAX_BYTES:
            return
        last, self._last = self._last, reading
        if last is None or not last.raw.startswith(raw[:_SECTION_PREFIX]):
            return
        places = differing(last.raw[_SECTION_PREFIX:-4].split(b"\r\n"), sent, self._rules.may_differ)
        if places is None:
            return
        accepts = [at for at, line in enumerate(sent) if line[:7].lower() == b"accept:"]
        differs = [at for at, place in enumerate(places) if place in accepts]
        if differs and len(accepts) > 1:
            return  # the first of them is noted, and it may be another one than the one that differs
        known = _Known(
            Template(raw[:_SECTION_PREFIX], sent, kept, places, written),
            reading.fields,
            reading.accept,
            differs[0] if differs else -1,
        )
        self._known = [known, *(other for other in self._known if not covers(places, other.template.places))]
        del self._known[MAX_TEMPLATES:]

    def _read_host(self, found: dict[str, list[bytes]], named: Authority | None, forwarding: Forwarding) -> _Place:
        values = found.get("host")
        if values is None:
            raise MessageRefused(HOST_MISSING)
        if len(values) > 1:
            raise MessageRefused(HOST_REPEATED)
        value = values[0].strip(OPTIONAL_WHITESPACE).removesuffix(b":")  # an empty port is none (RFC 3986 §3.2.3)
        place = self._place if self._forwarding_of is None else None
        if place is not None and value == place.authority and named is None:
            return place
        authority = parse_authority(value)
        if named is not None:
            check_same_authority(named, authority, self._forwarding.scheme)
        place = self._place = _Place(value, authority.host, forwarding.lines(value))
        return place

    def _upgrade(self, found: dict[str, list[bytes]], options: frozenset[bytes]) -> bytes:
        """Return the protocol to ask the origin for: only one that is on the list, asked for alone and properly."""
        values = found["upgrade"]
        if len(values) != 1 or b"upgrade" not in options:
            return b""
        protocol = values[0].strip(OPTIONAL_WHITESPACE).lower()
        return protocol if protocol in self._upgrades else b""
