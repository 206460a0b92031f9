"""
The first bytes of a stream that the edge opens, and the agent's one answer to them.

The preamble says which route the stream is for; the opening reply says whether the origin was reached, and if not,
why. Layouts: spec.md §7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Generic, Protocol, TypeVar

from warp_twisted.wire.errors import BadOpeningReply, BadPreamble, WireError
from warp_twisted.wire.frames import ACK
from warp_twisted.wire.streams import DISCARD, Stream, StreamReceiver

T = TypeVar("T")

PREAMBLE_VERSION = 1
MAX_OPTIONS_BYTES = 1024
MAX_DETAIL_BYTES = 255

MARK = 1  # "set ACK on what you send after you received something" (spec.md §7)

# 8 bytes, big endian: version (1), wishes (1), length of the options (2), route id (4).
_PREAMBLE = Struct(">BBHL")
_REPLY_BYTES = 2  # code (1), length of the detail (1)


class OpeningCode(IntEnum):
    """Whether the agent reached the origin, and if not, why; the last one is said by edges to edges only."""

    OPENED = 0
    ORIGIN_REFUSED = 1
    ORIGIN_TIMED_OUT = 2
    TLS_FAILED = 3
    NAME_NOT_FOUND = 4
    ORIGIN_UNREACHABLE = 5
    NO_SUCH_ROUTE = 6
    DRAINING = 7
    OVERLOADED = 8
    INTERNAL_ERROR = 9
    NOT_RELAYED_AGAIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """
    The agent's answer.

    :ivar detail: a short text for logs and error pages, such as `connect to localhost:4000: refused`.
    """

    code: OpeningCode
    detail: str = ""

    @property
    def is_opened(self) -> bool:
        """Whether the stream now leads to the origin."""
        return self.code is OpeningCode.OPENED


def encode_preamble(route_id: int) -> bytes:
    """
    Build the preamble of a stream for one of the agent's routes.

    :param route_id: the `id` of the route in the agent's offer, 0 to 2**32-1.
    """
    return _PREAMBLE.pack(PREAMBLE_VERSION, MARK, 0, route_id)


def encode_opening(code: OpeningCode, detail: str = "") -> bytes:
    """Build the opening reply; a detail over 255 bytes of UTF-8 is cut."""
    text = detail.encode("utf-8", "replace")[:MAX_DETAIL_BYTES].decode("utf-8", "ignore").encode()
    return bytes((code, len(text))) + text


def decode_preamble(data: bytes) -> tuple[int, int, int] | None:
    """
    Read the preamble that an edge sends to an agent.

    :returns: its length, its wishes, and the route id; None if more bytes are needed.
    :raises BadPreamble: if it cannot be read.
    """
    if len(data) < _PREAMBLE.size:
        return None
    version, wishes, options_bytes, route_id = _PREAMBLE.unpack_from(data)
    if version != PREAMBLE_VERSION or options_bytes > MAX_OPTIONS_BYTES:
        raise BadPreamble(f"a preamble of version {version} with {options_bytes} bytes of options")
    length = _PREAMBLE.size + options_bytes
    return (length, wishes, route_id) if len(data) >= length else None


class PreambleReader(Generic[T]):
    """
    Receiver of a stream that the peer just opened, until its preamble is complete.

    :param stream: the stream; this reader makes itself its receiver.
    :param arrived: called with the stream and what the preamble says. It sets the stream's `receiver`, which then
        hears the bytes that came with the preamble.
    :param failed: called when there will be no preamble; the stream is closed.
    :param decode: `decode_preamble`, or one for another kind of stream; it bounds how many bytes are held.
    """

    __slots__ = ("_arrived", "_buffer", "_decode", "_failed", "_stream")

    def __init__(
        self,
        stream: Stream,
        arrived: Callable[[Stream, T], None],
        failed: Callable[[Stream, WireError], None],
        decode: Callable[[bytes], tuple[int, int, T] | None],
    ) -> None:
        self._stream = stream
        self._arrived = arrived
        self._failed = failed
        self._decode = decode
        self._buffer = b""
        stream.receiver = self

    def data_received(self, data: bytes) -> None:
        """Take bytes until the preamble is complete; at most its own bytes and one read are held."""
        self._buffer += data
        buffer = self._buffer
        try:
            decoded = self._decode(buffer)
        except BadPreamble as error:
            self._stream.reset()
            self._failed(self._stream, error)
            return
        if decoded is None:
            return
        length, wishes, said = decoded
        self._buffer = b""
        if wishes & MARK:
            self._stream.flags = self._stream.mark = ACK
        self._stream.receiver = DISCARD
        self._stream.consumed(length)
        self._arrived(self._stream, said)
        if len(buffer) > length:
            self._stream.receiver.data_received(buffer[length:])

    def end_received(self) -> None:
        """The peer ended before it said what it wants."""
        self._stream.reset()
        self._failed(self._stream, BadPreamble("the stream ended inside its preamble"))

    def credit_received(self) -> None:
        """Nothing is written before the preamble has arrived."""

    def stream_lost(self, error: WireError) -> None:
        """The peer changed its mind."""
        self._failed(self._stream, error)


class OpeningReceiver(StreamReceiver, Protocol):
    """Whoever opened a stream to a route: hears the opening reply first."""

    def opening_received(self, opening: Opening) -> None:
        """The agent answered; data follows only if `opening.is_opened`."""


class OpeningReader:
    """
    Receiver of a stream that we opened, until the opening reply is complete; then it makes way for its receiver.

    If the reply is a refusal, the stream is reset as soon as the receiver has heard of it. If it cannot be read, the
    stream is reset and the receiver hears `stream_lost` with `BadOpeningReply`.

    :ivar stream: to be set as soon as the stream was opened.
    """

    __slots__ = ("_buffer", "_receiver", "stream")

    stream: Stream

    def __init__(self, receiver: OpeningReceiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes until the reply is complete; at most its own 257 bytes and one read are held."""
        stream = self.stream
        buffer = self._buffer = self._buffer + data if self._buffer else data
        try:
            code = OpeningCode(buffer[0])
        except ValueError:
            self._fail(f"the opening reply has the unknown code {buffer[0]}")
            return
        length = _REPLY_BYTES + buffer[1] if len(buffer) >= _REPLY_BYTES else _REPLY_BYTES + 1
        if len(buffer) < length:
            return
        opening = Opening(code=code, detail=buffer[_REPLY_BYTES:length].decode("utf-8", "replace"))
        self._buffer = b""
        receiver = stream.receiver = self._receiver
        stream.consumed(length)
        receiver.opening_received(opening)
        if not opening.is_opened:
            stream.reset()
        elif len(buffer) > length:
            stream.receiver.data_received(buffer[length:])

    def end_received(self) -> None:
        """The agent ended the stream without an answer."""
        self._fail("the stream ended before its opening reply")

    def _fail(self, reason: str) -> None:
        self.stream.reset()
        self._receiver.stream_lost(BadOpeningReply(reason))

    def credit_received(self) -> None:
        """Pass on: request bytes may be written before the reply."""
        self._receiver.credit_received()

    def stream_lost(self, error: WireError) -> None:
        """Pass on."""
        self._receiver.stream_lost(error)
