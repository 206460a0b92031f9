"""
Where a message body ends, and the chunked coding both ways.

A reader takes bytes as they come and returns the payload among them at once; nothing is held back but an
unfinished chunk-size line or trailer section, both bounded. What is passed on is encoded again, so no chunk
extension, odd size or stray line end of one side is ever seen by the other. RFC 9112 §6 and §7.

A chunk of one byte costs as much as one of many kilobytes. So a caller that shares its time with others says how many
chunks it takes at once, and goes on with the rest later.
"""

import re
import sys
from typing import Protocol

from warp_twisted.http1.grammar import FIELD_LINES, TOKEN, has_bad_byte
from warp_twisted.http1.limits import BodyLimits
from warp_twisted.http1.refusals import (
    BAD_CHUNK,
    BAD_EXTENSION,
    BAD_TRAILER,
    BODY_TOO_LARGE,
    LENGTH_AND_CODING,
    TRAILERS_TOO_LARGE,
    MessageRefused,
)

CHUNKED = -1  # in place of a length
UNTIL_CLOSE = -2
TWO_LENGTHS = -3  # a length and the coding: refused wherever there is a body
ALL_CHUNKS = sys.maxsize
FREE_CHUNKS = 16  # of one read, however little it brings: they cost as much as the read itself, some 40 µs
CHUNK_BYTES = 1_024  # chunks of so many bytes are read without a pause

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}+")  # 15 digits stay below 2**60
# With whitespace wherever RFC 9112 §7.1.1 has it, and behind a size that has no extension, as old servers pad it.
_EXTENSIONS = re.compile(
    rb"(?:[ \t]*+;[ \t]*+"
    + TOKEN
    + rb"(?:[ \t]*+=[ \t]*+(?:"
    + TOKEN
    + rb'|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"))?)*+[ \t]*+'
)
_MAX_CHUNK_LINE = 1_024
_TRAILERS = re.compile(FIELD_LINES)
# Readers that merge trailers into the head would change the framing; honest peers do not send these.
_NEVER_TRAILERS = frozenset({b"content-length", b"transfer-encoding"})
# RFC 9110 §6.5.1: no trailer may speak of framing, routing, authentication or how the head was to be read.
_NOT_IN_TRAILERS = frozenset(
    {
        b"host", b"connection", b"keep-alive", b"proxy-connection", b"te",
        b"trailer", b"upgrade", b"expect", b"max-forwards", b"cache-control", b"pragma", b"range", b"authorization",
        b"proxy-authorization", b"proxy-authenticate", b"www-authenticate", b"cookie", b"set-cookie", b"age", b"date",
        b"expires", b"location", b"retry-after", b"vary", b"content-encoding", b"content-type", b"content-range",
        b"forwarded", b"x-real-ip", b"x-request-id", b"via", b"proxy", b"warp-assertion", b"warp-identity",
        b"warp-identity-kind", b"warp-hops", b"warp-mirror",
    }
)  # fmt: skip


class FieldFilter(Protocol):
    """Which fields are not passed on."""

    def is_dropped(self, name: bytes) -> bool:
        """Whether a field of this lower-case name is dropped."""


class BodyReader(Protocol):
    """
    Reads one body; made for one message and not used again.

    :ivar complete: whether the body has ended.
    :ivar trailers: the lines after a complete body that may be passed on.
    """

    complete: bool
    trailers: bytes

    def receive(self, data: bytes, chunks: int = ALL_CHUNKS) -> tuple[bytes, bytes]:
        """
        Take bytes that arrived.

        :param chunks: how many may be begun at most; 1 or more.
        :returns: the payload among them, and what is left: once the body is `complete` what follows it; before, what
            begins with one chunk too many, to be given again.
        :raises MessageRefused: if they cannot be part of the body.
        """
        ...


class LengthReader:
    """A body of a known length, possibly 0."""

    __slots__ = ("complete", "remaining", "trailers")

    def __init__(self, length: int, limits: BodyLimits):
        self.trailers = b""
        if limits.body_bytes and length > limits.body_bytes:
            raise MessageRefused(BODY_TOO_LARGE)
        self.remaining = length
        self.complete = length == 0

    def receive(self, data: bytes, chunks: int = ALL_CHUNKS) -> tuple[bytes, bytes]:
        """See `BodyReader.receive`."""
        remaining = self.remaining - len(data)
        if remaining > 0:
            self.remaining = remaining
            return data, b""
        end = self.remaining
        self.remaining = 0
        self.complete = True
        return (data, b"") if remaining == 0 else (data[:end], data[end:])


class UntilCloseReader:
    """A response body that ends where its connection does; the caller sets `complete` at the end."""

    __slots__ = ("complete", "trailers")

    def __init__(self) -> None:
        self.complete = False
        self.trailers = b""

    def receive(self, data: bytes, chunks: int = ALL_CHUNKS) -> tuple[bytes, bytes]:
        """See `BodyReader.receive`."""
        return data, b""


class ChunkedReader:
    """A body in the chunked coding."""

    __slots__ = ("_extension_bytes", "_held", "_in_trailers", "_limits", "_payload_bytes", "_remaining", "_rules",
                 "complete", "trailers")  # fmt: skip

    def __init__(self, limits: BodyLimits, rules: FieldFilter | None = None):
        self._rules = rules
        self.complete = False
        self.trailers = b""
        self._limits = limits
        self._held = b""  # an unfinished line, or chunk end, or trailer section
        self._remaining = 0  # bytes of the current chunk still to come, its CR LF included
        self._in_trailers = False
        self._payload_bytes = 0
        self._extension_bytes = 0

    def receive(self, data: bytes, chunks: int = ALL_CHUNKS) -> tuple[bytes, bytes]:
        """See `BodyReader.receive`."""
        if self._held:
            data = self._held + data
            self._held = b""
        payload: list[bytes] = []
        at = 0
        while not self._in_trailers:
            if self._remaining > 2:
                piece = data[at : at + self._remaining - 2]
                if piece:
                    payload.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
            if self._remaining > 2:
                break
            if self._remaining and not self._chunk_ends(data, at):
                self._held = data[at:]
                break
            at += self._remaining
            self._remaining = 0
            if not chunks:
                return b"".join(payload), data[at:]
            chunks -= 1
            line_end = self._line_end(data, at)
            if line_end < 0:
                self._held = data[at:]
                break
            self._start_chunk(data[at:line_end])
            at = line_end + 2
        rest = self._receive_trailers(data[at:]) if self._in_trailers else b""
        return b"".join(payload), rest

    def _chunk_ends(self, data: bytes, at: int) -> bool:
        """Check the CR LF after a chunk's payload; False while it is incomplete."""
        end = data[at : at + 2]
        if not b"\r\n".startswith(end):
            raise MessageRefused(BAD_CHUNK)
        return len(end) == 2

    def _line_end(self, data: bytes, at: int) -> int:
        """Find the end of a chunk-size line, refusing what can no longer become one."""
        line_end = data.find(b"\r\n", at)
        if line_end >= 0:
            return line_end
        partial = data[at : at + _MAX_CHUNK_LINE + 1]
        if len(partial) > _MAX_CHUNK_LINE:
            raise MessageRefused(BAD_EXTENSION)
        size = _SIZE.match(partial)
        if partial and (b"\n" in partial or size is None):
            raise MessageRefused(BAD_CHUNK)
        if size is not None and partial[size.end() : size.end() + 1] not in (b"", b";", b"\r", b" ", b"\t"):
            raise MessageRefused(BAD_CHUNK)
        return -1

    def _start_chunk(self, line: bytes) -> None:
        """Read a chunk-size line without its CR LF."""
        size_text = _SIZE.match(line)
        if size_text is None:
            raise MessageRefused(BAD_CHUNK)
        extension = len(line) - size_text.end()
        if extension:
            self._extension_bytes += extension
            if line[size_text.end()] not in b"; \t":
                raise MessageRefused(BAD_CHUNK)
            if len(line) > _MAX_CHUNK_LINE or self._extension_bytes > self._limits.extension_bytes:
                raise MessageRefused(BAD_EXTENSION)
            if not _EXTENSIONS.fullmatch(line, size_text.end()):
                raise MessageRefused(BAD_EXTENSION)
        size = int(size_text[0], 16)
        self._payload_bytes += size
        if self._limits.body_bytes and self._payload_bytes > self._limits.body_bytes:
            raise MessageRefused(BODY_TOO_LARGE)
        if size:
            self._remaining = size + 2
        else:
            self._in_trailers = True

    def _receive_trailers(self, data: bytes) -> bytes:
        """Take the trailer section; return what follows it."""
        if data.startswith(b"\r\n"):
            self.complete = True
            return data[2:]
        end = data.find(b"\r\n\r\n")
        if (end if end >= 0 else len(data)) > self._limits.trailer_bytes:
            raise MessageRefused(TRAILERS_TOO_LARGE)
        if end < 0:
            if has_bad_byte(data, 0):
                raise MessageRefused(BAD_TRAILER)
            self._held = data
            return b""
        section = data[: end + 2]
        if not _TRAILERS.fullmatch(section):
            raise MessageRefused(BAD_TRAILER)
        lines = section.split(b"\r\n")[:-1]
        if len(lines) > self._limits.trailer_count:
            raise MessageRefused(TRAILERS_TOO_LARGE)
        self.trailers = b"".join(line + b"\r\n" for line in lines if _may_trail(line, self._rules))
        self.complete = True
        return data[end + 4 :]


def _may_trail(line: bytes, rules: FieldFilter | None) -> bool:
    name = line.partition(b":")[0].lower().replace(b"_", b"-")
    if name in _NEVER_TRAILERS:
        raise MessageRefused(BAD_TRAILER)
    if rules is not None and rules.is_dropped(name):
        return False
    return name not in _NOT_IN_TRAILERS and not name.startswith(b"x-forwarded-")


def make_reader(length: int, limits: BodyLimits, rules: FieldFilter | None = None) -> BodyReader:
    """
    Return the reader of a body.

    :param length: in bytes, or `CHUNKED`, `UNTIL_CLOSE` or `TWO_LENGTHS`.
    :param rules: for a request, which trailers are dropped besides those that no trailer may be.
    :raises MessageRefused: if it is known to be too large, or its end can be read in two ways.
    """
    if length == CHUNKED:
        return ChunkedReader(limits, rules)
    if length == UNTIL_CLOSE:
        return UntilCloseReader()
    if length == TWO_LENGTHS:
        raise MessageRefused(LENGTH_AND_CODING)
    return LengthReader(length, limits)


def chunks_at_once(size: int) -> int:
    """Return how many chunks of a read of so many bytes are taken at once: few, unless they are large."""
    return FREE_CHUNKS + size // CHUNK_BYTES


def encode_piece(payload: bytes, reader: BodyReader) -> bytes:
    """
    Return a piece of a body in the chunked coding, with the body's end if it is complete.

    :param payload: may be empty, and then is no chunk, for an empty chunk would end the body.
    :param reader: of the body that the piece came from.
    """
    coded = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
    return b"%b0\r\n%b\r\n" % (coded, reader.trailers) if reader.complete else coded
