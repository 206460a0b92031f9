"""
One stream of another edge, joined to a stream of a tunnel that this edge has.

Bytes, ends and credit pass both ways: what one side does not take holds the other one back, and nothing is kept but a
DATA frame of 4,096 bytes or less that has arrived in part. The other edge sends one request after the other, and tells
an answer from what an origin said unasked by what the agent heard (spec.md §7.1). So one small frame stays one frame,
and an ACK of the agent's is passed on with the bytes that follow it; none is made here.

When either stream is lost the other one is cut, and the edge that relays is told if it was for the loss of a tunnel.
The place of a request, where origins take only so many at once, is given back with the stream.
"""

from typing import Protocol

from warp_twisted.edge.routes.load import Standing
from warp_twisted.edge.routes.pool import Borrower, Member, OriginStream
from warp_twisted.wire.errors import ConnectionLost, WireError
from warp_twisted.wire.frames import ACK, ResetReason
from warp_twisted.wire.preamble import Opening, OpeningCode, encode_opening
from warp_twisted.wire.streams import DISCARD, Stream

WHOLE_BYTES = 4_096  # of a DATA frame that stays one: as much as an edge takes for a whole request

_OPENED = encode_opening(OpeningCode.OPENED)
_TRUSTED = Standing.TRUSTED
_NEW_STREAM = float("inf")


class Counted(Protocol):
    """What is counted of the streams of one edge."""

    now: int
    bytes_in: int
    bytes_out: int


class RelayedStream(Borrower):
    """
    A stream to an origin, for an edge that relays: receiver of the agent's bytes.

    :param stream: the other edge's; this object and its other half become the receivers of both.
    :param network: what counts as one visitor: the edge that relays.
    :param counted: of the edge that relays; `bytes_in` are those for the origin.
    """

    __slots__ = ("_counted", "_has_ended", "_network", "_owed", "_requests", "_stream", "origin")

    origin: OriginStream

    def __init__(self, stream: Stream, network: str, counted: Counted) -> None:
        self._stream = stream
        self._network = network
        self._counted = counted
        self._owed = 0
        self._has_ended = False

    @property
    def network(self) -> str:
        """What counts as one visitor."""
        return self._network

    def begin(self, member: Member) -> None:
        """
        Open the stream to the origin, and go on from there.

        :raises CannotOpenStream: if the tunnel, or the origin, takes none now; then nothing has changed.
        """
        self.origin = member.lend(self, _NEW_STREAM)
        self._requests = self._stream.receiver = _Requests(self, self._stream, self.origin, self._counted)
        self._counted.now += 1

    # What the agent says.

    def origin_opened(self) -> None:
        """The origin was reached."""
        self._write(_OPENED)

    def origin_refused(self, opening: Opening) -> None:
        """The agent did not reach the origin, and says why."""
        self._write(encode_opening(opening.code, opening.detail))
        self._stream.receiver = DISCARD
        self._stream.end()
        self._counted.now -= 1

    def data_received(self, data: bytes) -> None:
        """Pass bytes of the origin on."""
        size = len(data)
        self._counted.bytes_out += size
        if self._write(data):
            self.origin.stream.consumed(size)
        else:
            self._owed += size

    def _write(self, data: bytes) -> bool:
        """Send bytes to the other edge, and that the agent has heard something if it says so."""
        down = self.origin.stream
        if down.peer_heard:
            down.peer_heard = False
            self._stream.flags |= ACK
        return self._stream.write(data)

    def end_received(self) -> None:
        """The origin has said everything."""
        self._has_ended = True
        self._stream.end()
        self.look_for_end()

    def credit_received(self) -> None:
        """The tunnel takes bytes again."""
        self._requests.return_credit()

    def stream_lost(self, error: WireError) -> None:
        """The stream to the origin is gone: so is what it was for, unless the origin had said everything."""
        if self.origin.borrower is not None:
            self._over()
            self._stream.receiver = DISCARD
            if not self._has_ended:
                is_tunnels = isinstance(error, ConnectionLost)
                self._stream.reset(ResetReason.TUNNEL_LOST if is_tunnels else ResetReason.NONE)

    def tunnel_suspected(self) -> None:
        """The tunnel is silent: nothing is known here of requests, so the edge that relays waits on, or gives up."""

    # What the other half says.

    def return_credit(self) -> None:
        """The other edge takes bytes again."""
        owed, self._owed = self._owed, 0
        if owed:
            self.origin.stream.consumed(owed)

    def look_for_end(self) -> None:
        """Let go of both streams if both sides have said everything; what is queued still leaves."""
        if self._has_ended and self._requests.has_ended and self.origin.borrower is not None:
            self.origin.take_back()
            self._counted.now -= 1

    def edge_lost(self) -> None:
        """The other edge's stream is gone."""
        if self.origin.borrower is not None:
            self._over()

    def _over(self) -> None:
        self._counted.now -= 1
        self.origin.discard()


class _Requests:
    """
    Receiver of the other edge's bytes.

    :ivar has_ended: whether it has sent everything.
    """

    __slots__ = ("_counted", "_held", "_load", "_origin", "_owed", "_relayed", "_stream", "has_ended")

    def __init__(self, relayed: RelayedStream, stream: Stream, origin: OriginStream, counted: Counted) -> None:
        self._relayed = relayed
        self._stream = stream
        self._origin = origin.stream
        self._load = origin.member.load
        self._counted = counted
        self._held = b""
        self._owed = 0
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        """Pass bytes for the origin on; keep a small frame that has arrived in part."""
        self._counted.bytes_in += len(data)
        to_come = self._stream.bytes_to_come
        if self._held:
            data, self._held = self._held + data, b""
        if to_come and len(data) + to_come <= WHOLE_BYTES:
            self._held = data
            return
        load = self._load
        load.is_asked = True
        if load.standing is _TRUSTED:
            load.watch(load)
        if self._origin.write(data):
            self._stream.consumed(len(data))
        else:
            self._owed += len(data)

    def end_received(self) -> None:
        """The visitor has sent everything."""
        self.has_ended = True
        self._origin.end()
        self._relayed.look_for_end()

    def credit_received(self) -> None:
        """The other edge takes bytes again."""
        self._relayed.return_credit()

    def return_credit(self) -> None:
        """The tunnel takes bytes again."""
        owed, self._owed = self._owed, 0
        if owed:
            self._stream.consumed(owed)

    def stream_lost(self, error: WireError) -> None:
        """The other edge gave the stream up, or the link is gone."""
        self._relayed.edge_lost()
