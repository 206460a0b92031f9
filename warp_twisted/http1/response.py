"""
Reading an origin's response head, and rebuilding it for the visitor.

A response that can be read in two ways is refused whole, so that neither a broken origin nor one that somebody made
to echo line ends can slip a second response to a visitor. What old origins send and everybody reads alike is passed on
in clean form: a length that is repeated, a folded line, a body's framing where the status has none, and with
`ResponseRules.bare_lf` lines that end with LF. One reader serves one connection to an origin and remembers heads, as
`template`s, because origins repeat themselves.
"""

import re

import msgspec

from warp_twisted.http1.body import CHUNKED, TWO_LENGTHS, UNTIL_CLOSE
from warp_twisted.http1.grammar import (
    FIELD_LINES,
    OPTIONAL_WHITESPACE,
    VALUE,
    has_bad_byte,
    parse_length,
    parse_options,
    spellings,
)
from warp_twisted.http1.limits import ResponseRules
from warp_twisted.http1.refusals import (
    BAD_CODING,
    BAD_CONNECTION,
    BAD_FIELD,
    BAD_LINE_END,
    BAD_STATUS_LINE,
    CODING_TOO_EARLY,
    HEAD_TOO_LARGE,
    LENGTHS_DIFFER,
    TOO_MANY_FIELDS,
    UNEXPECTED_BODY,
    MessageRefused,
)
from warp_twisted.http1.template import MAX_BYTES, MAX_TEMPLATES, Template, covers, differing

# The space before an empty reason is often left out; it is put back.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (" + VALUE + rb"))?\r\n")
_FIELDS = re.compile(FIELD_LINES + rb"\r\n")
_FOLD = re.compile(rb"[ \t]*+\r\n[ \t]++")
_FOLDED_NAME = re.compile(rb"(?:\A|\n)([^\s:]++):[^\n]*+\n[ \t]")
_ANY_END = re.compile(rb"\n\r?\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_PARTIAL_LINE = re.compile(rb"H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01](?: .*+)?)?)?)?)?)?)?)?", re.DOTALL)

_DROPPED = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"x-request-id"})
_READ = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"date"})
_OURS = _DROPPED | _READ
# Field names that need no work here, in the spellings that origins use: one look-up settles most lines.
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

    :param size: how many of the bytes given to the reader belong to the head.
    :param length: body bytes as the fields say, CHUNKED, UNTIL_CLOSE or TWO_LENGTHS; whether there is a body depends
        on the method.
    :param persistent: whether the origin keeps the connection, provided that the body's end can be seen.
    :param upgrade: the protocol switched to, in lower case; only with 101.
    :param start: status line and end-to-end fields for the visitor, with no framing, no Connection, no X-Request-Id.
    :param framing: the Content-Length line to pass on, or empty.
    """

    size: int
    status: int
    length: int
    persistent: bool
    upgrade: bytes
    has_date: bool
    start: bytes
    framing: bytes


class _Known(msgspec.Struct, frozen=True):
    """
    Heads of which some values differ.

    :param length_at: which of the values is Content-Length's; -1 if it is always the same.
    """

    template: Template
    head: ResponseHead
    length_at: int


class _Parsed(msgspec.Struct, frozen=True):
    """
    The parts of a head that came in clean form.

    :param begin: where its fields begin.
    :param sent: its field lines, without line ends.
    :param kept: those of them that are passed on.
    :param start: the status line that is passed on.
    """

    begin: int
    sent: list[bytes]
    kept: list[bytes]
    start: bytes


class ResponseReader:
    """Reads the response heads of one connection to an origin."""

    __slots__ = ("_checked", "_known", "_last", "_raw", "_rules")

    def __init__(self, rules: ResponseRules):
        self._rules = rules
        self._raw = b""  # the last head that was read in full, and
        self._last: ResponseHead | None = None  # what it means
        self._known: list[_Known] = []
        self._checked = 0

    def read(self, data: bytes) -> ResponseHead | None:
        """
        Read one head.

        :param data: all that has arrived and not been read, from the head's first byte.
        :returns: None while the head is incomplete.
        :raises MessageRefused: as soon as the bytes cannot become a head that is passed on.
        """
        if self._rules.bare_lf and (head := self._read_bare(data)) is not None:
            return head
        if self._checked and not self._find_end(data):
            return None  # incomplete: it is compared with remembered heads only once it is whole
        last = self._last
        if last is not None and data.startswith(self._raw):
            return last
        for known in self._known:
            found = known.template.match(data, 0)
            if found is not None:
                head = self._recalled(known, *found)
                if head.size <= MAX_BYTES:  # the same again, until Date changes, is one comparison
                    self._raw, self._last = data[: head.size], head
                return head
        end = self._find_end(data)
        return self._read_head(data[:end]) if end else None

    def _read_bare(self, data: bytes) -> ResponseHead | None:
        """Read a head of which lines end with LF alone; None if it has none of them, or is incomplete."""
        found = _ANY_END.search(data, max(0, self._checked - 2), self._rules.head_bytes)
        raw = data[: found.end()] if found else b""
        if not _BARE_LF.search(raw):
            return None
        self._checked = 0
        head, _ = self._parse(_BARE_LF.sub(b"\r\n", raw))
        return msgspec.structs.replace(head, size=len(raw))

    def _find_end(self, data: bytes) -> int:
        """Return where the head ends, 0 if that has not arrived; what has arrived is checked as far as possible."""
        end = data.find(b"\r\n\r\n", max(0, self._checked - 3))
        if end < 0 or end + 4 > self._rules.head_bytes:
            self._check_partial(data)
            return 0
        self._checked = 0
        return end + 4

    def _recalled(self, known: _Known, size: int, values: list[bytes]) -> ResponseHead:
        """Return a head that differs from an earlier one only where a template allows it."""
        if size > self._rules.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        head = known.head
        length, framing = head.length, head.framing
        if known.length_at >= 0:
            length = parse_length(values[known.length_at])
            framing = b"Content-Length: %d\r\n" % length
        start = known.template.write(values)
        return ResponseHead(size, head.status, length, head.persistent, head.upgrade, head.has_date, start, framing)

    def _check_partial(self, data: bytes) -> None:
        """Check what has arrived of an incomplete head."""
        if len(data) > self._rules.head_bytes:
            raise MessageRefused(HEAD_TOO_LARGE)
        if not _PARTIAL_LINE.fullmatch(data[:4096]):
            raise MessageRefused(BAD_STATUS_LINE)
        begin = max(0, self._checked - 1)
        is_bad = has_bad_byte(data, begin)
        if is_bad and self._rules.bare_lf:
            is_bad = has_bad_byte(_BARE_LF.sub(b"\r\n", data[begin:]), 0)
        if is_bad:
            raise MessageRefused(BAD_LINE_END)
        self._checked = len(data)

    def _read_head(self, raw: bytes) -> ResponseHead:
        head, parsed = self._parse(raw)
        if parsed is not None and len(raw) <= MAX_BYTES:
            self._learn(raw, head, parsed)
        return head

    def _parse(self, raw: bytes) -> "tuple[ResponseHead, _Parsed | None]":
        """Return what a head means, and what may be learned from it: nothing, if it was put into clean form."""
        line = _STATUS_LINE.match(raw)
        if line is None:
            raise MessageRefused(BAD_STATUS_LINE)
        section, is_clean = raw[line.end() :], True
        if not _FIELDS.fullmatch(section):
            section, is_clean = _unfold(section), False
            if not _FIELDS.fullmatch(section):
                raise MessageRefused(BAD_LINE_END if has_bad_byte(raw, 0) else BAD_FIELD)
        if section.count(b"\r\n") - 1 > self._rules.header_count:
            raise MessageRefused(TOO_MANY_FIELDS)
        minor, status = int(line[1]), int(line[2])
        sent = section[:-4].split(b"\r\n") if len(section) > 2 else []
        found, kept = _sort_fields(sent)
        options = parse_options(found[b"connection"]) if b"connection" in found else _NO_OPTIONS
        if not options <= _OWN_OPTIONS:
            if not options.isdisjoint(_MUST_STAY):
                raise MessageRefused(BAD_CONNECTION)
            kept = [item for item in kept if item.partition(b":")[0].lower() not in options]
        length, framing, is_surplus = _framing(found, minor, status)
        upgrades = found.get(b"upgrade", ()) if status == 101 and b"upgrade" in options else ()
        start = b"HTTP/1.1 %b %b\r\n" % (line[2], line[3] or b"")
        head = ResponseHead(
            len(raw),
            status,
            length,
            minor == 1 and b"close" not in options and not is_surplus,
            upgrades[0].strip(OPTIONAL_WHITESPACE).lower() if len(upgrades) == 1 else b"",
            b"date" in found,
            b"%b%b\r\n" % (start, b"\r\n".join(kept)) if kept else start,
            framing,
        )
        is_clean = is_clean and length != TWO_LENGTHS and len(found.get(b"content-length", ())) < 2
        return head, _Parsed(line.end(), sent, kept, start) if is_clean else None

    def _learn(self, raw: bytes, head: ResponseHead, parsed: "_Parsed") -> None:
        """Remember a head; if it differs from the last one in some values only, make a template of it."""
        begin, sent = parsed.begin, parsed.sent
        before, self._raw = self._raw, raw
        last, self._last = self._last, head
        if last is None or not before.startswith(raw[:begin]) or status_has_no_body(head.status):
            return
        places = differing(before[begin:-4].split(b"\r\n"), sent, _may_differ)
        if places is None:
            return
        lengths = [at for at, place in enumerate(places) if sent[place][:15].lower() == b"content-length:"]
        known = _Known(
            Template(raw[:begin], sent, parsed.kept, places, (parsed.start, b"")), head, lengths[0] if lengths else -1
        )
        self._known = [known, *(other for other in self._known if not covers(places, other.template.places))]
        del self._known[MAX_TEMPLATES:]


def status_has_no_body(status: int) -> bool:
    """Whether a response of this status never has a body, whatever its fields say (RFC 9112 §6.3)."""
    return status < 200 or status in (204, 304)


def _sort_fields(lines: list[bytes]) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    """Split the lines into those read here (by lower-case name) and those passed on unread."""
    found: dict[bytes, list[bytes]] = {}
    kept: list[bytes] = []
    for line in lines:
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


def _unfold(section: bytes) -> bytes:
    """Return field lines, each line fold one space (RFC 9112 §5.2); folded where it decides about framing: as it is."""
    if any(name.lower() in _OURS for name in _FOLDED_NAME.findall(section)):
        return section
    return _FOLD.sub(b" ", section)


def _may_differ(name: bytes) -> bool:
    """Whether another value of this field leaves the meaning of the head as it is, but for its length."""
    return name not in _OURS or name in (b"date", b"content-length")


def _framing(found: dict[bytes, list[bytes]], minor: int, status: int) -> tuple[int, bytes, bool]:
    """
    Return the length that the fields announce, and the Content-Length line to pass on (RFC 9112 §6.3).

    :returns: besides, whether the fields announce a body that the status does not have, and that may follow.
    """
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    length, framing = UNTIL_CLOSE, b""
    if codings is not None:
        if minor == 0:
            raise MessageRefused(CODING_TOO_EARLY)
        if len(codings) > 1 or codings[0].strip(OPTIONAL_WHITESPACE).lower() != b"chunked":
            raise MessageRefused(BAD_CODING)
        length = CHUNKED if lengths is None else TWO_LENGTHS
    elif lengths is not None:
        length = _repeated_length(lengths)
        framing = b"Content-Length: %d\r\n" % length
    is_announced = length > 0 or length in (CHUNKED, TWO_LENGTHS)
    if status < 200:
        # A body here would be taken for the next head.
        if is_announced:
            raise MessageRefused(UNEXPECTED_BODY)
        return 0, b"", False
    if status == 204:
        return 0, b"", is_announced
    if status == 304:
        return 0, framing, codings is not None
    return length, framing, False


def _repeated_length(values: list[bytes]) -> int:
    """Return what one Content-Length says, or several, or a list in one, that say the same (RFC 9110 §8.6)."""
    if len(values) == 1 and b"," not in values[0]:
        return parse_length(values[0])
    lengths = {parse_length(part) for value in values for part in value.split(b",")}
    if len(lengths) > 1:
        raise MessageRefused(LENGTHS_DIFFER)
    return lengths.pop()
