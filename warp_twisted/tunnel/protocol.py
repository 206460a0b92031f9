"""
A tunnel on a transport: the Twisted shell of `wire.Connection`, the same on the edge and on the agent.

Decides when bytes move: one write per reactor turn, none while the transport is paused, a ping every few seconds, the
end of a silent tunnel, and the order of a drain. What streams carry and what control messages mean is the delegate's.
The transport is already secured (`tunnel.tls`), or a test's. All methods run in the reactor's thread.
"""

from collections.abc import Callable, Iterator
from typing import Protocol as Interface
from typing import cast

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.tunnel.control import ControlChannel
from warp_twisted.tunnel.limits import AGENT_LIMITS, EDGE_LIMITS, TunnelTimes
from warp_twisted.tunnel.liveness import Liveness
from warp_twisted.tunnel.openings import Openings
from warp_twisted.tunnel.states import (
    TUNNEL_TRANSITIONS,
    Outcome,
    TunnelEvent,
    TunnelState,
    own_failure,
    peers_end,
    silence,
)
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.connection import Connection
from warp_twisted.wire.control import ControlMessage, Drain
from warp_twisted.wire.errors import (
    BadStreamId,
    CannotOpenStream,
    ConnectionLost,
    RemoteProtocolError,
    TooManyPings,
    TunnelClosed,
    WireError,
)
from warp_twisted.wire.frames import GoAwayCode, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import (
    OpeningCode,
    OpeningReader,
    OpeningReceiver,
    decode_preamble,
    encode_opening,
    encode_preamble,
)
from warp_twisted.wire.relayed import RelayPreamble, decode_link_preamble
from warp_twisted.wire.streams import DISCARD, Stream

CONTROL_STREAM_ID = 1


class TunnelDelegate(Interface):
    """Who uses a tunnel: the edge or the agent."""

    def tunnel_opened(self, tunnel: "TunnelProtocol") -> None:
        """The peer is verified and `send_control` works."""

    def control_received(self, tunnel: "TunnelProtocol", message: ControlMessage) -> None:
        """The peer sent a control message other than `Drain`."""

    def stream_opened(self, tunnel: "TunnelProtocol", stream: Stream, route_id: int) -> None:
        """
        The peer opened a stream to a route; set `stream.receiver` and write `encode_opening(...)`.

        Called on agents, and on edges whose peer is an edge. Bytes that came with the preamble follow through the
        receiver at once.
        """

    def drain_received(self, tunnel: "TunnelProtocol", drain: Drain) -> None:
        """The peer is going to take no new streams: end those that are idle. Called once."""

    def tunnel_hung_up(self, tunnel: "TunnelProtocol") -> None:
        """
        The peer says nothing more than what has come; begin nothing more through the tunnel. Called once at most.

        `tunnel_lost` follows soon, and may come without it.
        """

    def tunnel_lost(self, tunnel: "TunnelProtocol", error: WireError) -> None:
        """The tunnel that was opened is over; its streams have heard `stream_lost`. The last call, made once."""


@implementer(IPushProducer)
class TunnelProtocol(Protocol):
    """
    One end of a tunnel.

    :param role: CLIENT for the agent, which opens the control stream; SERVER for the edge.
    :param delegate: who uses the tunnel.
    :param clock: the reactor.
    :param turn: shared by all tunnels of the process.
    :param opens_both_ways: whether the peer may open streams to routes in either role, as edges do to each other.
    :ivar times: how long it waits; `follow` changes them.
    :ivar state: see `tunnel.states`.
    :ivar outcome: how the tunnel ended, or None.
    :ivar relayed: called with each stream that the peer, an edge, relays: sets its receiver and writes the reply.
    :ivar has_hung_up: whether the peer has closed the transport; the end comes in turns with other work.
    """

    _log = Logger()

    def __init__(
        self,
        role: Role,
        delegate: TunnelDelegate,
        *,
        clock: IReactorTime,
        turn: Turn,
        limits: Limits | None = None,
        times: TunnelTimes | None = None,
        opens_both_ways: bool = False,
    ) -> None:
        self._role = role
        self._opens_both_ways = opens_both_ways
        self._delegate = delegate
        self._clock = clock
        self._turn = turn
        self.times = times or TunnelTimes()
        self._connection = Connection(
            role,
            limits or (AGENT_LIMITS if role is Role.CLIENT else EDGE_LIMITS),
            stream_opened=self._stream_opened,
            wake=self._wake,
            went_away=self._went_away,
            ponged=lambda value: self._liveness.ponged(value, clock.seconds()),
            refill=self._refill,
        )
        self._control = ControlChannel(self._control_received, self._control_ended)
        self.state = TunnelState.NEW
        self.outcome: Outcome | None = None
        self._is_paused = False  # the transport takes no bytes for now
        self.has_hung_up = False
        self._is_waking = False  # `_flush` is going to be called at the end of this turn
        self._liveness = Liveness(self.times, asks_first=role is Role.SERVER)
        self._refilled_at = 0.0
        self._deadline_call: IDelayedCall | None = None
        decode = decode_link_preamble if opens_both_ways else decode_preamble
        self._openings: Openings[int | RelayPreamble] = Openings(clock, self._opened, self._not_opened, decode)
        self.relayed: Callable[[TunnelProtocol, Stream, RelayPreamble], None] = _relay_nothing
        self._disconnected: list[Deferred[None]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._role.name} streams={self.stream_count}>"

    # What the delegate may ask.

    @property
    def peer(self) -> IAddress:
        """The network address of the other end."""
        return IAddress(self.transport.getPeer())  # type: ignore[union-attr]  # set while connected

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The certificate that the peer proved to hold, decoded at each call."""
        return cast(TlsProtocol, self.transport).peer_certificate

    @property
    def is_over(self) -> bool:
        """Whether the tunnel was lost or closed."""
        return self.outcome is not None

    @property
    def stream_count(self) -> int:
        """Open streams, the control stream not counted."""
        return max(0, self._connection.stream_count - 1)

    @property
    def can_open_stream(self) -> bool:
        """Whether `open_route` would succeed now."""
        return not self.has_hung_up and self._connection.can_open_stream

    @property
    def round_trip_seconds(self) -> float | None:
        """How long the last ping took, or None."""
        return self._liveness.round_trip_seconds

    @property
    def heard_at(self) -> float:
        """When bytes of the peer came last."""
        return self._liveness.heard_at

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the transport or for credit."""
        return self._connection.unsent_bytes

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        """
        Open a stream to one of the agent's routes. Request bytes may follow at once.

        :param receiver: hears `opening_received` first, unless the stream is lost before.
        :param data: request bytes that travel with the preamble.
        :raises CannotOpenStream: when the tunnel is over, draining or full, or the peer has hung up.
        """
        return self.open_with(encode_preamble(route_id) + data, receiver)

    def open_with(self, preamble: bytes, receiver: OpeningReceiver) -> Stream:
        """
        Open a stream that begins with a preamble made before, as `open_route` does.

        :raises CannotOpenStream: when the tunnel is over, draining or full, or the peer has hung up.
        """
        if self.has_hung_up:
            raise CannotOpenStream("the peer has hung up")
        reader = OpeningReader(receiver)
        stream = self._connection.open_stream(reader, preamble)
        reader.stream = stream
        return stream

    def send_control(self, message: ControlMessage) -> bool:
        """
        Send a control message.

        :returns: whether it was sent: not when the tunnel is over, nor if the peer does not know its kind (spec.md §9).
        """
        return self.outcome is None and self._control.send(message)

    def follow(self, times: TunnelTimes) -> None:
        """Wait as long as these times say, from now on."""
        self.times = times
        self._liveness.follow(times)
        if self.outcome is None:
            self._turn.watch.add(self, self._liveness.seconds_until_due(self._clock.seconds()))

    def ping(self, answered: Callable[[], None] | None = None, *, again: bool = False) -> None:
        """
        Ask the peer for a sign of life now; nothing happens when the tunnel is over.

        A ping that is under way will do, whoever asks: an answer to it that comes from now on is such a sign, and many
        who ask at once must not seem to be many pings without an answer, which end the tunnel.

        :param answered: called when it answers.
        :param again: whether to ask even if a ping has not been answered yet.
        """
        if self.outcome is not None:
            return
        is_sent = again or not self._liveness.is_asked
        if is_sent:
            try:
                self._liveness.pinged(self._connection.ping(), self._clock.seconds())
            except TooManyPings as error:
                self.end(silence(str(error)))
                return
        if answered is not None:
            self._liveness.call_when_answered(answered)
        if is_sent:
            self._flush()

    def drain(self, reason: str = "", deadline_seconds: float = 30.0) -> None:
        """Take no new streams, let the others finish, then close; at the deadline close in any case."""
        if self._connection.state.is_draining or self.outcome is not None:
            return
        if self.state is not TunnelState.NEW:
            self._control.send(Drain(reason=reason, deadline_seconds=deadline_seconds))
        self._connection.go_away(GoAwayCode.NORMAL)
        self._deadline_call = self._clock.callLater(deadline_seconds, self.close)

    def close(self, code: GoAwayCode = GoAwayCode.NORMAL, reason: str = "") -> None:
        """Tell the peer why and end the tunnel now; every stream and the delegate hear `TunnelClosed`."""
        self.end(Outcome(code=code, error=TunnelClosed(reason or "the tunnel was closed by this side")))

    def disconnected(self) -> Deferred[None]:
        """Return a Deferred that fires when the transport is gone too."""
        deferred: Deferred[None] = Deferred()
        if self.state is TunnelState.DISCONNECTED:
            deferred.callback(None)
        else:
            self._disconnected.append(deferred)
        return deferred

    # What the transport says.

    def connectionMade(self) -> None:
        self._liveness.heard_at = self._refilled_at = self._clock.seconds()
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self._turn.watch.add(self, self.times.preamble_seconds)
        if self._role is Role.CLIENT:
            self._control_opened(self._connection.open_stream(DISCARD))

    def dataReceived(self, data: bytes) -> None:
        self._liveness.heard_at = self._clock.seconds()
        self._receive(self._connection.receive_data, data)
        if self._connection.is_behind:
            self.transport.pause_reading()  # type: ignore[union-attr]
            self._turn.share(self._catch_up())

    def _catch_up(self) -> Iterator[None]:
        """Obey what waits, a little at a time; meanwhile nothing more is read."""
        while self._connection.is_behind and self.outcome is None:
            self._receive(self._connection.receive_more)
            yield
        self.transport.resume_reading()  # type: ignore[union-attr]

    def _receive(self, function: Callable[..., None], *arguments: bytes) -> None:
        try:
            function(*arguments)
        except RemoteProtocolError as error:
            # Its traceback holds this method's frame, and so this tunnel, which is to hold the error.
            self.end(Outcome(code=error.go_away_code, error=error.with_traceback(None)))
        except Exception as exception:
            self._log.failure("a receiver failed; its tunnel with {peer} ends", peer=self.peer)
            self.end(own_failure(exception))
        if self._connection.state.is_draining:
            self._wake()

    def peer_hung_up(self) -> bool:
        """
        Begin nothing more: the transport brings what the peer sent before it closed, and then its end.

        :returns: whether streams are open, so that somebody waits for the end.
        """
        if not self.has_hung_up and self.outcome is None:
            self.has_hung_up = True
            if self.state is not TunnelState.NEW:
                self._tell(self._delegate.tunnel_hung_up, self)
        return self.stream_count > 0

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end(Outcome(error=ConnectionLost(f"the tunnel's connection was lost: {reason.getErrorMessage()}")))
        self._advance(TunnelEvent.DISCONNECTION)
        waiting, self._disconnected = self._disconnected, []
        for deferred in waiting:
            deferred.callback(None)

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self._flush()

    def stopProducing(self) -> None:
        self._is_paused = True

    # What the connection says.

    def _wake(self) -> None:
        if not self._is_waking:
            self._is_waking = True
            self._turn.at_end(self._flush)

    def _flush(self) -> None:
        self._is_waking = False
        if self._is_paused or self.has_hung_up or self.outcome is not None:
            return
        try:
            frames = self._connection.frames_to_send()
        except Exception as exception:
            self._log.failure("a writer failed; its tunnel with {peer} ends", peer=self.peer)
            self.end(own_failure(exception))
            return
        if frames:
            transport = self.transport
            if len(frames) > 1 and isinstance(transport, TlsProtocol):
                transport.writeSequence(frames)
            else:
                transport.write(b"".join(frames))  # type: ignore[union-attr]
        connection = self._connection
        if connection.state.is_draining and connection.stream_count <= 1 and not connection.unsent_bytes:
            self.close(reason="the tunnel was drained")

    def _stream_opened(self, stream: Stream) -> None:
        if self._role is Role.CLIENT:
            self._openings.add(stream)
        elif stream.id == CONTROL_STREAM_ID:
            self._control_opened(stream)
        elif self._opens_both_ways:
            self._openings.add(stream)
        else:
            raise BadStreamId(f"an agent may open stream {CONTROL_STREAM_ID} only, not {stream.id}")

    def _control_opened(self, stream: Stream) -> None:
        self._control.attach(stream)
        self._advance(TunnelEvent.CONTROL_STREAM)
        seconds_until_due = self._liveness.seconds_until_due(self._clock.seconds())
        if seconds_until_due < self.times.preamble_seconds:
            self._turn.watch.add(self, seconds_until_due)  # the first look is too late for a ping
        try:
            self._delegate.tunnel_opened(self)
        except Exception as exception:
            self._log.failure("a delegate failed; its tunnel with {peer} ends", peer=self.peer)
            self.end(own_failure(exception))

    def _opened(self, stream: Stream, said: int | RelayPreamble) -> None:
        if isinstance(said, RelayPreamble):
            self.relayed(self, stream, said)
        else:
            self._delegate.stream_opened(self, stream, said)

    def _not_opened(self, stream: Stream, error: WireError) -> None:
        self._log.info(
            "stream {stream} of {peer} came to nothing: {error}", stream=stream.id, peer=self.peer, error=error
        )

    def _control_received(self, message: ControlMessage) -> None:
        if self.outcome is not None:
            return  # it came in one piece with the message that ended the tunnel
        if isinstance(message, Drain):
            self._drain_received(message)
        else:
            self._delegate.control_received(self, message)

    def _drain_received(self, drain: Drain) -> None:
        before = self.state
        self._advance(TunnelEvent.PEER_DRAIN)
        if self.state is not before:
            self._delegate.drain_received(self, drain)

    def _went_away(self, code: int) -> None:
        """Take the peer's go-away: what is not NORMAL ends the tunnel, also if the code is a newer peer's."""
        if code == GoAwayCode.NORMAL:
            self._drain_received(Drain())
        else:
            self.end(peers_end(code))

    def _refill(self) -> int:
        """Return how many frames that carry nothing the peer has a right to since the last time."""
        now = self._clock.seconds()
        granted = int((now - self._refilled_at) * self.times.empty_frames_per_second)
        if granted:
            self._refilled_at = now
        return granted

    # Time.

    def look(self, now: float) -> float | None:
        """Do what is due by time: give up a silent peer, ask a quiet one for a sign of life, cut silent streams."""
        silent = self._liveness.silent_seconds(now)
        if silent is not None:
            self.end(silence(f"the peer was silent for {silent:.0f} seconds"))
            return None
        if self.state is TunnelState.NEW:
            self.end(silence("the peer opened no control stream"))
            return None
        self._openings.cut_older(now - self.times.preamble_seconds)
        if self._liveness.is_ping_due(now):
            self.ping(again=True)
            if self.is_over:
                return None
        seconds = self._liveness.seconds_until_due(now)
        if self._role is Role.SERVER and not self._opens_both_ways:
            return seconds
        return min(seconds, self.times.preamble_seconds)

    # The end.

    def end(self, outcome: Outcome) -> None:
        """
        End the tunnel, in one way for every cause: say why, close the transport, and tell everybody once.

        Bytes that the transport does not take now are dropped, and the reason with them.
        """
        if self.outcome is not None:
            return
        self.outcome = outcome
        has_opened = self.state is not TunnelState.NEW
        self._advance(TunnelEvent.END)
        if outcome.code is not None:
            self._say_goodbye(GoAwayCode.NORMAL if outcome.by_peer else outcome.code)
        self._turn.watch.remove(self)
        deadline_call, self._deadline_call = self._deadline_call, None
        if deadline_call is not None and deadline_call.active():
            deadline_call.cancel()
        self._openings.clear()
        self._tell(self._connection.lost, outcome.error)
        self._control.close()
        if has_opened:
            self._tell(self._delegate.tunnel_lost, self, outcome.error)

    def _say_goodbye(self, code: int) -> None:
        """Send what is queued and the reason, and close the transport."""
        transport = self.transport
        if transport is None:
            return
        transport.unregisterProducer()  # type: ignore[attr-defined]
        if self._is_paused:
            transport.abortConnection()  # type: ignore[attr-defined]
        else:
            transport.write(self._connection.last_data_to_send(code))
            transport.loseConnection()

    def _control_ended(self, error: WireError) -> None:
        self.end(Outcome(code=GoAwayCode.CONTROL_ERROR, error=error))

    def _advance(self, event: TunnelEvent) -> None:
        self.state = TUNNEL_TRANSITIONS[self.state, event]

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        """Call someone else's code at a point where its exception must not stop ours."""
        try:
            function(*arguments)
        except Exception:
            self._log.failure("{function} of a tunnel failed", function=function)


def _relay_nothing(tunnel: TunnelProtocol, stream: Stream, relayed: RelayPreamble) -> None:
    """Default: refuse what a peer relays."""
    stream.receiver = DISCARD
    stream.write(encode_opening(OpeningCode.NOT_RELAYED_AGAIN, "nothing is relayed here"))
    stream.end()
