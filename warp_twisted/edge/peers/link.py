"""
One connection with another edge: a tunnel on which each end tells what it has over a stream that it opened.

Decides when to send and what to do with bytes that come; what they mean is `telling`'s and `hearing`'s, what follows is
its owner's. Streams that edges relay to each other share the connection and are not its business.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.slices import Slices
from warp_twisted.edge.errors import BadPeerMessage
from warp_twisted.edge.peers.hearing import Heard, Hearing
from warp_twisted.edge.peers.messages import Greeting, MessageReader, PeerMessage, encode_message
from warp_twisted.edge.peers.telling import Teller
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.wire.control import ControlMessage, Drain
from warp_twisted.wire.errors import StreamReset, WireError
from warp_twisted.wire.frames import GoAwayCode
from warp_twisted.wire.preamble import Opening, OpeningCode, encode_opening
from warp_twisted.wire.streams import DISCARD, Stream

STATE_ROUTE = 0  # the route id of the state stream; no other stream of a link has it
AT_ONCE = 2  # messages of changes in the turn in which they happen, the rest in slices


class LinkOwner(Protocol):
    """
    Who has the links; see `edge.peers.links`.

    :ivar routes: who serves streams to routes other than that of the state, by the route's id.
    """

    routes: dict[int, Callable[[str, Stream], None]]

    def link_opened(self, link: "Link") -> None:
        """It can be told now."""

    def link_heard(self, link: "Link", heard: Heard) -> None:
        """The other edge has told something."""

    def link_draining(self, link: "Link") -> None:
        """Another process of the other edge takes over, or it has a newer connection with this one."""

    def link_lost(self, link: "Link", error: WireError) -> None:
        """The connection is no more; the last call."""


class Link:
    """
    A `TunnelDelegate` for one connection.

    :param edge: whom it is with, proven.
    :param teller: what is told on it.
    :param greeting: what is told first.
    :ivar hearing: what was heard on it.
    :ivar opened_at: by the monotonic clock; None: not yet.
    :ivar why: the reason for which this end closed it; empty: it did not.
    """

    _log = Logger()

    def __init__(
        self,
        edge: str,
        owner: LinkOwner,
        teller: Teller,
        hearing: Hearing,
        slices: Slices,
        clock: IReactorTime,
        greeting: Greeting,
    ) -> None:
        self.edge = edge
        self.teller = teller
        self.hearing = hearing
        self.tunnel: TunnelProtocol | None = None
        self.opened_at: float | None = None
        self.why = ""
        self._owner = owner
        self._slices = slices
        self._clock = clock
        self._greeting = encode_message(greeting)
        self._stream: Stream | None = None  # ours, on which we tell
        self._is_blocked = False
        self._is_pumping = False
        self._reader: StateReader | None = None

    def pump(self) -> None:
        """Tell what waits, as far as the other edge takes it: little at once, the rest in slices."""
        if self._is_pumping or self._stream is None:
            return
        for _ in range(AT_ONCE):
            if not self._tell():
                return
        self._is_pumping = True
        self._slices.run(self._pumping()).addErrback(lambda failure: None)

    def _pumping(self) -> Iterator[None]:
        try:
            while self._tell():
                yield
        finally:
            self._is_pumping = False

    def _tell(self) -> bool:
        """Send one message; return whether there may be another."""
        if self._stream is None or self._is_blocked:
            return False
        message = self.teller.next_message()
        if message is None:
            return False
        self._is_blocked = not self._stream.write(message)
        return not self._is_blocked

    def close(self, reason: str, code: GoAwayCode = GoAwayCode.NORMAL) -> None:
        """End it now."""
        self.why = reason
        if self.tunnel is not None:
            self.tunnel.close(code, reason)

    # The tunnel says (`TunnelDelegate`).

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Begin to tell."""
        self.tunnel = tunnel
        self.opened_at = self._clock.seconds()
        self._stream = tunnel.open_route(STATE_ROUTE, self, self._greeting)
        self._owner.link_opened(self)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """Pass over what is a newer release's; there is none of this one."""

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Hear what the other edge tells; streams that it relays come another way (`TunnelProtocol.relayed`)."""
        serve = self._owner.routes.get(route_id)
        if serve is not None:
            serve(self.edge, stream)
            return
        if route_id != STATE_ROUTE:
            stream.receiver = DISCARD
            stream.write(encode_opening(OpeningCode.NO_SUCH_ROUTE, "edges have no routes"))
            stream.end()
            return
        if self._reader is not None:
            tunnel.close(GoAwayCode.PROTOCOL_ERROR, "a second state stream")
            return
        stream.write(encode_opening(OpeningCode.OPENED))
        self._reader = StateReader(stream, self._slices, self._heard, self._ended)
        stream.receiver = self._reader

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """It ends when its streams have."""
        self._owner.link_draining(self)

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """The end follows at once, and is what counts."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Say that it is over."""
        self._stream = None
        self._owner.link_lost(self, error)

    # The stream on which this end tells says (`OpeningReceiver`).

    def opening_received(self, opening: Opening) -> None:
        """End the link if the other edge does not listen."""
        if not opening.is_opened:
            self._ended(f"it does not listen: {opening.detail}")

    def data_received(self, data: bytes) -> None:
        """Nothing is expected there."""
        self._ended("it sent something on the stream on which it is told")

    def end_received(self) -> None:
        """The other edge does not answer there."""

    def credit_received(self) -> None:
        """Go on."""
        self._is_blocked = False
        self.pump()

    def stream_lost(self, error: WireError) -> None:
        """Without the stream the link is good for nothing."""
        self._stream = None
        if isinstance(error, StreamReset):
            self._ended("it listens no more")

    # The stream on which the other edge tells says.

    def _heard(self, message: PeerMessage) -> None:
        self._owner.link_heard(self, self.hearing.take(message))

    def _ended(self, reason: str) -> None:
        if self.tunnel is not None and not self.tunnel.is_over:
            self._log.warn("the link with edge {edge} ends: {reason}", edge=self.edge, reason=reason)
            self.close(reason, GoAwayCode.PROTOCOL_ERROR)


class StateReader:
    """
    Receiver of the stream on which the other edge tells: one message at once, the rest in slices.

    While messages wait, the other edge gets no credit, so that a window of them waits at most.

    :param heard: called with each message; may raise `BadPeerMessage`.
    :param ended: called with the reason when no more can come.
    """

    def __init__(
        self, stream: Stream, slices: Slices, heard: Callable[[PeerMessage], None], ended: Callable[[str], None]
    ) -> None:
        self._stream = stream
        self._slices = slices
        self._heard = heard
        self._ended = ended
        self._reader = MessageReader()
        self._owed = 0  # bytes whose credit is held back
        self._is_working = False
        self._is_over = False

    def data_received(self, data: bytes) -> None:
        """Take the message that is complete with these bytes."""
        if self._is_over:
            return
        self._reader.feed(data)
        self._owed += len(data)
        if self._is_working:
            return
        if self._take():
            self._is_working = True
            self._slices.run(self._working()).addErrback(lambda failure: None)
        else:
            self._return_credit()

    def _working(self) -> Iterator[None]:
        try:
            while self._take():
                yield
        finally:
            self._is_working = False
        self._return_credit()

    def _take(self) -> bool:
        """Take one message; return whether there was one."""
        if self._is_over:
            return False
        try:
            message = self._reader.next_message()
            if message is None:
                return False
            self._heard(message)
        except BadPeerMessage as error:
            self._end(str(error))
            return False
        return True

    def _return_credit(self) -> None:
        owed, self._owed = self._owed, 0
        if owed and not self._is_over:
            self._stream.consumed(owed)

    def _end(self, reason: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._ended(reason)

    def end_received(self) -> None:
        """The other edge tells no more."""
        self._end("it tells no more")

    def credit_received(self) -> None:
        """Nothing is written but the opening."""

    def stream_lost(self, error: WireError) -> None:
        """The other edge tells no more; or the link is lost, which its owner hears otherwise."""
        if isinstance(error, StreamReset):
            self._end("it tells no more")
        self._is_over = True
