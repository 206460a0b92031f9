"""
Reading a visitor's request head, and rebuilding it for the origin.

The reader decides what is well formed and what it means: host, body framing, persistence, upgrade. It does not
know routes or sockets. One reader serves one visitor connection, because requests on one connection mostly differ
in their first line only: the reading of the last header section is kept, and the same bytes are not read twice.

Field names with an underscore pass, except where CGI and WSGI (which fold '-' and '_' together) would take one
for a field the edge speaks for: such a twin of a framing field is refused, a twin of a forwarding field dropped.
"""

import re

import msgspec

from warp_twisted.http1.body import CHUNKED
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.grammar import (
    FIELD_LINES,
    OPTIONAL_WHITESPACE,
    has_bad_byte,
    parse_length,
    parse_options,
    spellings,
)
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import (
    BAD_CODING,
    BAD_CONNECTION,
    BAD_EXPECTATION,
    BAD_FIELD,
    BAD_LINE_END,
    BAD_MAX_FORWARDS,
    CODING_TOO_EARLY,
    HEAD_TOO_LARGE,
    HOST_MISSING,
    HOST_REPEATED,
    LENGTH_AND_CODING,
    LENGTH_REPEATED,
    LOOP,
    SHADOW_FIELD,
    TARGET_TOO_LONG,
    TOO_MANY_FIELDS,
    MessageRefused,
)
from warp_twisted.http1.target import (
    METHOD,
    TARGET_BYTES,
    Authority,
    check_same_authority,
    parse_authority,
    parse_request_line,
)

_COMMON_LINE = re.compile(rb"(?!CONNECT |TRACE )(" + METHOD + rb") (/" + TARGET_BYTES + rb"*+)(?= HTTP/1\.[01]\r\n)")
_SECTION = re.compile(rb" HTTP/1\.([01])\r\n" + FIELD_LINES + rb"\r\n")
_SECTION_PREFIX = len(b" HTTP/1.1\r\n")
_MAX_REMEMBERED = 4_096  # a longer section is read anew each time, so an idle connection stays small
_MAX_AGENT = 512  # of User-Agent, for the access log
_MAX_PASSES = 4  # through edges; some chains are meant, but an origin that leads back here has no end


# What becomes of a field with a meaning of its own; all others are passed on untouched.
_READ = 1  # read here, and written again in its canonical form if at all
_NOTE = 2  # passed on, and its value noted
_DROP = 3  # hop-by-hop, or the edge's own to say

_USES = {
    **dict.fromkeys(
        (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te"), _READ
    ),
    b"max-forwards": _READ,
    b"via": _NOTE,
    b"user-agent": _NOTE,
    b"accept": _NOTE,
    **dict.fromkeys((b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy"), _DROP),
    **dict.fromkeys((b"forwarded", b"x-real-ip", b"x-request-id"), _DROP),
}
# Names with no meaning here, as browsers and tools write them: a look-up that spares most lines the rest.
_PLAIN = spellings(
    *(b"Accept-Encoding", b"Accept-Language", b"Authorization", b"Cache-Control", b"Content-Type", b"Cookie", b"DNT"),
    *(b"If-Modified-Since", b"If-None-Match", b"Origin", b"Pragma", b"Priority", b"Range", b"Referer", b"Sec-CH-UA"),
    *(b"Sec-CH-UA-Mobile", b"Sec-CH-UA-Platform", b"Sec-Fetch-Dest", b"Sec-Fetch-Mode", b"Sec-Fetch-Site"),
    *(b"Sec-Fetch-User", b"Upgrade-Insecure-Requests", b"X-Requested-With"),
)
_FORWARDED = b"x-forwarded-"
_OWN_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
_NO_OPTIONS: frozenset[bytes] = frozenset()
_MUST_STAY = frozenset({b"host", b"content-length", b"transfer-encoding", b"cache-control"})


class _Place(msgspec.Struct, frozen=True):
    """Where one Host value leads: its normal form, and what is told to the origin about it."""

    authority: bytes
    host: str
    lines: bytes


class RequestFields(msgspec.Struct, frozen=True):
    """
    What a header section (from the version to the empty line) means.

    :param raw: the section as it came.
    :param host: the normal form of Host, without the port.
    :param authority: Host as it came.
    :param length: body bytes, 0 for none, or CHUNKED.
    :param persistent: whether the visitor may send another request on the connection.
    :param upgrade: the one protocol asked for, in lower case, or empty.
    :param max_forwards: -1 where the field is absent.
    :param lines: the field lines for the origin, all but X-Request-Id, each with its CR LF.
    """

    raw: bytes
    minor: int
    host: str
    authority: bytes
    length: int
    persistent: bool
    upgrade: bytes
    expects_continue: bool
    max_forwards: int
    accept: bytes
    user_agent: str
    lines: bytes


class RequestHead(msgspec.Struct, frozen=True):
    """
    A request head that may be passed on.

    :param target: origin-form or `*`.
    :param size: how many of the bytes given to the reader belong to the head.
    """

    method: bytes
    target: bytes
    size: int
    fields: RequestFields

    def for_origin(self, request_id: bytes) -> bytes:
        """Return the head as the origin gets it, always as HTTP/1.1."""
        fields = self.fields
        if fields.max_forwards >= 0:
            hops = fields.max_forwards - (self.method == b"OPTIONS")
            return b"%b %b HTTP/1.1\r\n%bMax-Forwards: %d\r\nX-Request-Id: %b\r\n\r\n" % (
                self.method,
                self.target,
                fields.lines,
                hops,
                request_id,
            )
        return b"%b %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n\r\n" % (self.method, self.target, fields.lines, request_id)


class RequestReader:
    """Reads the request heads of one visitor connection."""

    __slots__ = ("_checked", "_forwarding", "_last", "_limits", "_place", "_upgrades")

    def __init__(
        self, limits: HeadLimits, forwarding: Forwarding, upgrades: frozenset[bytes] = frozenset({b"websocket"})
    ):
        """
        Start before the first request.

        :param upgrades: protocols in lower case that may be asked for; others are left out, as if not asked.
        """
        self._limits = limits
        self._forwarding = forwarding
        self._upgrades = upgrades
        self._last: RequestFields | None = None
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
        last = self._last
        if last is not None and data.startswith(last.raw, start):
            fields, size = last, start + len(last.raw)
            self._checked = 0
        else:
            size = self._find_end(data, start)
            if not size:
                return None
            fields = self._read_section(data[start:size], None)
            if len(fields.raw) <= _MAX_REMEMBERED:
                self._last = fields
        if size > self._limits.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        target = line[2]
        if len(target) > self._limits.target_bytes:
            raise MessageRefused(TARGET_TOO_LONG)
        return RequestHead(line[1], target, size, fields)

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
        return RequestHead(line.method, line.target, size, self._read_section(data[section:size], line.authority))

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

    def _read_section(self, raw: bytes, named: Authority | None) -> RequestFields:
        """Read a whole header section; `named` is the authority of an absolute target."""
        match = _SECTION.fullmatch(raw)
        if match is None:
            raise MessageRefused(BAD_LINE_END if has_bad_byte(raw, 0) else BAD_FIELD)
        if raw.count(b"\r\n") - 2 > self._limits.header_count:
            raise MessageRefused(TOO_MANY_FIELDS)
        minor = 1 if match[1] == b"1" else 0
        found, kept = _sort_fields(raw[_SECTION_PREFIX:-4])
        place = self._read_host(found, named)
        length, framing = _framing(found, minor)
        options = parse_options(found["connection"]) if "connection" in found else _NO_OPTIONS
        if not options <= _OWN_OPTIONS:
            if not options.isdisjoint(_MUST_STAY):
                raise MessageRefused(BAD_CONNECTION)
            kept = [line for line in kept if line.partition(b":")[0].lower() not in options]
        upgrade = self._upgrade(found, options) if minor and not length and "upgrade" in found else b""
        hop_by_hop = _hop_by_hop(found, upgrade) if upgrade or "te" in found else b""
        if "via" in found:
            _check_loop(found["via"], self._forwarding.via.encode("ascii"))
        expects = "expect" in found and _expects_continue(found["expect"]) and minor == 1 and length != 0
        if expects:
            framing += b"Expect: 100-continue\r\n"
        kept.insert(0, b"Host: " + place.authority)
        return RequestFields(
            raw,
            minor,
            place.host,
            place.authority,
            length,
            b"close" not in options and (minor == 1 or b"keep-alive" in options),
            upgrade,
            expects,
            _max_forwards(found["max-forwards"]) if "max-forwards" in found else -1,
            found["accept"][0].strip(OPTIONAL_WHITESPACE) if "accept" in found else b"",
            found["user-agent"][0][:_MAX_AGENT].decode("latin-1").strip() if "user-agent" in found else "",
            b"%b\r\n%b%b%b" % (b"\r\n".join(kept), framing, hop_by_hop, place.lines),
        )

    def _read_host(self, found: dict[str, list[bytes]], named: Authority | None) -> _Place:
        values = found.get("host")
        if values is None:
            raise MessageRefused(HOST_MISSING)
        if len(values) > 1:
            raise MessageRefused(HOST_REPEATED)
        value = values[0].strip(OPTIONAL_WHITESPACE)
        place = self._place
        if place is not None and value == place.authority and named is None:
            return place
        authority = parse_authority(value)
        if named is not None:
            check_same_authority(named, authority, self._forwarding.scheme)
        place = self._place = _Place(value, authority.host, self._forwarding.lines(value))
        return place

    def _upgrade(self, found: dict[str, list[bytes]], options: frozenset[bytes]) -> bytes:
        """Return the protocol to ask the origin for: only one that is on the list, asked for alone and properly."""
        values = found["upgrade"]
        if len(values) != 1 or b"upgrade" not in options:
            return b""
        protocol = values[0].strip(OPTIONAL_WHITESPACE).lower()
        return protocol if protocol in self._upgrades else b""


def _sort_fields(section: bytes) -> tuple[dict[str, list[bytes]], list[bytes]]:
    """Part the lines into those read here (by lower-case name) and those passed on."""
    found: dict[str, list[bytes]] = {}
    kept: list[bytes] = []
    for line in section.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name in _PLAIN:
            kept.append(line)
            continue
        name = name.lower()
        use = _USES.get(name)
        if use is None:
            if name.startswith(_FORWARDED) or (b"_" in name and _is_dropped_shadow(name)):
                continue
            kept.append(line)
        elif use != _DROP:
            key = name.decode()
            if key in found:
                found[key].append(value)
            else:
                found[key] = [value]
            if use == _NOTE:
                kept.append(line)
    return found, kept


def _is_dropped_shadow(name: bytes) -> bool:
    """Whether an underscore twin is dropped like the field it would be taken for; raises for those of framing."""
    twin = name.replace(b"_", b"-")
    use = _USES.get(twin)
    if use == _READ:
        raise MessageRefused(SHADOW_FIELD)
    return use == _DROP or twin.startswith(_FORWARDED)


def _framing(found: dict[str, list[bytes]], minor: int) -> tuple[int, bytes]:
    """Return the body's length or CHUNKED, and the one line that says so to the origin."""
    codings = found.get("transfer-encoding")
    lengths = found.get("content-length")
    if codings is not None:
        if minor == 0:
            raise MessageRefused(CODING_TOO_EARLY)
        if lengths is not None:
            raise MessageRefused(LENGTH_AND_CODING)
        if len(codings) > 1 or codings[0].strip(OPTIONAL_WHITESPACE).lower() != b"chunked":
            raise MessageRefused(BAD_CODING)
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    if lengths is None:
        return 0, b""
    if len(lengths) > 1:
        raise MessageRefused(LENGTH_REPEATED)
    length = parse_length(lengths[0])
    return length, b"Content-Length: %d\r\n" % length


def _expects_continue(values: list[bytes]) -> bool:
    if len(values) > 1 or values[0].strip(OPTIONAL_WHITESPACE).lower() != b"100-continue":
        raise MessageRefused(BAD_EXPECTATION)
    return True


def _check_loop(values: list[bytes], pseudonym: bytes) -> None:
    """Refuse a request that has passed edges too often, by what each of them wrote into Via (RFC 9110 §7.6.3)."""
    passes = sum(hop.split()[1:2] == [pseudonym] for value in values for hop in value.split(b","))
    if passes >= _MAX_PASSES:
        raise MessageRefused(LOOP)


def _max_forwards(values: list[bytes]) -> int:
    value = values[0].strip(OPTIONAL_WHITESPACE)
    if len(values) > 1 or not value.isdigit() or len(value) > 9:
        raise MessageRefused(BAD_MAX_FORWARDS)
    return int(value)


def _hop_by_hop(found: dict[str, list[bytes]], upgrade: bytes) -> bytes:
    """Return the connection options that we pass on as our own: an upgrade, and TE where it is 'trailers'."""
    options: list[bytes] = []
    lines = b""
    codings = b",".join(found.get("te", ())).lower()
    if any(coding.strip(OPTIONAL_WHITESPACE) == b"trailers" for coding in codings.split(b",")):
        options.append(b"TE")
        lines += b"TE: trailers\r\n"
    if upgrade:
        options.append(b"Upgrade")
        lines += b"Upgrade: %b\r\n" % upgrade
    return b"Connection: %b\r\n%b" % (b", ".join(options), lines) if options else b""
