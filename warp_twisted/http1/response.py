"""
Reading an origin's response head, and rebuilding it for the visitor.

As strict as `request`: a response that can be read in two ways is refused whole, so that neither a broken origin
nor one that somebody made to echo line ends can slip a second response to a visitor. One reader serves one
connection to an origin and remembers the last head, because origins repeat themselves.
"""

import re

import msgspec

from warp_twisted.http1.body import CHUNKED, UNTIL_CLOSE
from warp_twisted.http1.grammar import (
    FIELD_LINES,
    OPTIONAL_WHITESPACE,
    VALUE,
    has_bad_byte,
    parse_length,
    parse_options,
    spellings,
)
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.refusals import (
    BAD_CODING,
    BAD_CONNECTION,
    BAD_FIELD,
    BAD_LINE_END,
    BAD_STATUS_LINE,
    CODING_TOO_EARLY,
    HEAD_TOO_LARGE,
    LENGTH_AND_CODING,
    LENGTH_REPEATED,
    TOO_MANY_FIELDS,
    UNEXPECTED_BODY,
    MessageRefused,
)

# The space before an empty reason is often left out; it is put back.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: (" + VALUE + rb"))?\r\n")
_FIELDS = re.compile(FIELD_LINES + rb"\r\n")
_PARTIAL_LINE = re.compile(rb"H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01](?: .*+)?)?)?)?)?)?)?)?", re.DOTALL)
_MAX_REMEMBERED = 4_096

_DROPPED = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"x-request-id"})
_READ = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"date"})
_OURS = _DROPPED | _READ
# Names with no meaning here, as origins write them: a look-up that spares most lines the rest.
_PLAIN = spellings(
    *(b"Accept-Ranges", b"Access-Control-Allow-Origin", b"Age", b"Cache-Control", b"Content-Disposition"),
    *(b"Content-Encoding", b"Content-Security-Policy", b"Content-Type", b"ETag", b"Expires", b"Last-Modified"),
    *(b"Link", b"Location", b"Server", b"Set-Cookie", b"Strict-Transport-Security", b"Vary", b"X-Frame-Options"),
    *(b"X-Content-Type-Options", b"X-Powered-By"),
)
_NO_OPTIONS: frozenset[bytes] = frozenset()
_OWN_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade"})
_MUST_STAY = frozenset({b"content-length", b"transfer-encoding", b"content-type"})


class ResponseHead(msgspec.Struct, frozen=True):
    """
    A response head that may be passed on.

    :param raw: the head as it came, its empty line included.
    :param length: body bytes as the fields say, CHUNKED or UNTIL_CLOSE; whether there is a body depends on the method.
    :param persistent: whether the origin keeps the connection, provided that the body's end can be seen.
    :param upgrade: the protocol switched to, in lower case; only with 101.
    :param start: status line and end-to-end fields for the visitor, with no framing, no Connection, no X-Request-Id.
    :param framing: the Content-Length line to pass on, or empty.
    """

    raw: bytes
    status: int
    length: int
    persistent: bool
    upgrade: bytes
    has_date: bool
    start: bytes
    framing: bytes


class ResponseReader:
    """Reads the response heads of one connection to an origin."""

    __slots__ = ("_checked", "_last", "_limits")

    def __init__(self, limits: HeadLimits):
        self._limits = limits
        self._last: ResponseHead | None = None
        self._checked = 0

    def read(self, data: bytes) -> ResponseHead | None:
        """
        Read one head.

        :param data: all that has arrived and not been read, from the head's first byte.
        :returns: None while the head is incomplete; else `len(head.raw)` bytes belong to it.
        :raises MessageRefused: as soon as the bytes cannot become a head that is passed on.
        """
        last = self._last
        if last is not None and data.startswith(last.raw):
            self._checked = 0
            return last
        end = data.find(b"\r\n\r\n", max(0, self._checked - 3))
        if end < 0 or end + 4 > self._limits.head_bytes:
            self._check_partial(data)
            return None
        self._checked = 0
        head = self._read_head(data[: end + 4])
        if len(head.raw) <= _MAX_REMEMBERED:
            self._last = head
        return head

    def _check_partial(self, data: bytes) -> None:
        """Check what has arrived of an incomplete head."""
        if len(data) > self._limits.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        if not _PARTIAL_LINE.fullmatch(data[:4096]):
            raise MessageRefused(BAD_STATUS_LINE)
        if has_bad_byte(data, max(0, self._checked - 1)):
            raise MessageRefused(BAD_LINE_END)
        self._checked = len(data)

    def _read_head(self, raw: bytes) -> ResponseHead:
        line = _STATUS_LINE.match(raw)
        if line is None:
            raise MessageRefused(BAD_STATUS_LINE)
        if not _FIELDS.fullmatch(raw, line.end()):
            raise MessageRefused(BAD_LINE_END if has_bad_byte(raw, 0) else BAD_FIELD)
        if raw.count(b"\r\n") - 2 > self._limits.header_count:
            raise MessageRefused(TOO_MANY_FIELDS)
        minor, status = int(line[1]), int(line[2])
        found, kept = _sort_fields(raw[line.end() : -2])
        options = parse_options(found[b"connection"]) if b"connection" in found else _NO_OPTIONS
        if not options <= _OWN_OPTIONS:
            if not options.isdisjoint(_MUST_STAY):
                raise MessageRefused(BAD_CONNECTION)
            kept = [item for item in kept if item.partition(b":")[0].lower() not in options]
        length, framing = _framing(found, minor, status)
        upgrades = found.get(b"upgrade", ()) if status == 101 and b"upgrade" in options else ()
        kept.append(b"")
        fields = b"\r\n".join(kept)
        return ResponseHead(
            raw,
            status,
            length,
            minor == 1 and b"close" not in options,
            upgrades[0].strip(OPTIONAL_WHITESPACE).lower() if len(upgrades) == 1 else b"",
            b"date" in found,
            b"HTTP/1.1 %b %b\r\n%b" % (line[2], line[3] or b"", fields),
            framing,
        )


def _sort_fields(section: bytes) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    """Part the lines into those read here (by lower-case name) and those passed on."""
    found: dict[bytes, list[bytes]] = {}
    kept: list[bytes] = []
    for line in section.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        if name in _PLAIN:
            kept.append(line)
            continue
        name = name.lower()
        if name not in _OURS:
            kept.append(line)
        elif name in _READ:
            found.setdefault(name, []).append(value)
            if name == b"date":
                kept.append(line)
    return found, kept


def _framing(found: dict[bytes, list[bytes]], minor: int, status: int) -> tuple[int, bytes]:
    """Return the length that the fields announce and the Content-Length line to pass on (RFC 9112 §6.3)."""
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    length, framing = UNTIL_CLOSE, b""
    if codings is not None:
        if minor == 0:
            raise MessageRefused(CODING_TOO_EARLY)
        if lengths is not None:
            raise MessageRefused(LENGTH_AND_CODING)
        if len(codings) > 1 or codings[0].strip(OPTIONAL_WHITESPACE).lower() != b"chunked":
            raise MessageRefused(BAD_CODING)
        length = CHUNKED
    elif lengths is not None:
        if len(lengths) > 1:
            raise MessageRefused(LENGTH_REPEATED)
        length = parse_length(lengths[0])
        framing = b"Content-Length: %d\r\n" % length
    if status < 200 or status == 204:
        # RFC 9110 §8.6 and RFC 9112 §6.1: neither field may be sent here. A plain 0 is common and harmless: left out.
        if length > 0 or length == CHUNKED:
            raise MessageRefused(UNEXPECTED_BODY)
        return 0, b""
    if status == 304:
        return 0, framing
    return length, framing
