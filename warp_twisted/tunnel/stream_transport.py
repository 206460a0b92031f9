"""
A stream as a Twisted transport, so that any Twisted protocol can be served through a tunnel.

Decides how the calls of both worlds map, with backpressure through both: a protocol that pauses us returns no credit,
so the peer stops; a peer that gives no credit pauses the protocol's producer. Used off the hot path, where an existing
protocol such as `twisted.web`'s is worth more than the last microsecond.
"""

from collections.abc import Iterable

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPullProducer,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.tunnel.states import TRANSPORT_TRANSITIONS, TransportEvent, TransportState
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.streams import Stream

DELIVERED_BYTES = 64 * 1024  # given to a protocol at once of what waited for it; what a socket gives it in Twisted


@implementer(ITransport, IConsumer, IPushProducer)
class StreamTransport:
    """
    The transport of a protocol, and the receiver of its stream.

    :param turn: calls `connectionLost` after `loseConnection` has returned, as protocols expect.
    :param host: what `getHost` returns; streams have no addresses of their own.
    :param peer: what `getPeer` returns.
    :ivar state: see `tunnel.states`.
    """

    def __init__(self, stream: Stream, protocol: IProtocol, *, turn: Turn, host: IAddress, peer: IAddress) -> None:
        self._stream = stream
        self._protocol = protocol
        self._turn = turn
        self._host = host
        self._peer = peer
        self._pushes: IPushProducer | None = None
        self._pulls: IPullProducer | None = None
        self.state = TransportState.OPEN
        self._is_reading = True
        self._unread = bytearray()  # at most the stream's window
        self._is_end_unread = False
        stream.receiver = self

    def start(self) -> None:
        """Connect the protocol."""
        self._protocol.makeConnection(self)

    @property
    def disconnecting(self) -> bool:
        """Whether nothing more is written or delivered; protocols of Twisted ask this."""
        return self.state is TransportState.DISCONNECTING or self.state is TransportState.LOST

    # What the protocol calls.

    def getHost(self) -> IAddress:
        return self._host

    def getPeer(self) -> IAddress:
        return self._peer

    def write(self, data: bytes) -> None:
        if self.disconnecting or not data:
            return
        if not self._stream.write(data) and self._pushes is not None:
            self._pushes.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close after what was written; the protocol hears `connectionLost` when it has gone out."""
        if self._pushes is None and self._pulls is None:
            self._lose()
        else:
            self._advance(TransportEvent.LOSE_AFTER_PRODUCER)

    def _lose(self) -> None:
        if not self.disconnecting:
            self._advance(TransportEvent.LOSE)
            self._stream.end()
            self._finish_when_sent()

    def _finish_when_sent(self) -> None:
        if not self._stream.queued_bytes:
            self._turn.at_end(self._finish)

    def _finish(self) -> None:
        self._stream.receiver = _Closed(self._stream)
        self._end(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        """Cut the stream."""
        self._advance(TransportEvent.LOSE)
        self._stream.reset()
        self._turn.at_end(lambda: self._end(Failure(ConnectionAborted())))

    def loseWriteConnection(self) -> None:
        """Half-close."""
        self._stream.end()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self._pushes is not None or self._pulls is not None:
            raise RuntimeError(f"cannot register {producer}: the last one has not been unregistered")
        if self.state is TransportState.LOST:
            producer.stopProducing()
        elif streaming:
            self._pushes = IPushProducer(producer)
            if self._stream.is_blocked:
                self._pushes.pauseProducing()
        else:
            self._pulls = IPullProducer(producer)
            self._turn.at_end(self._pull)

    def unregisterProducer(self) -> None:
        self._pushes = self._pulls = None
        if self.state is TransportState.LOSING:
            self._lose()

    def pauseProducing(self) -> None:
        self._is_reading = False

    def resumeProducing(self) -> None:
        self._is_reading = True
        self._turn.at_end(self._deliver)

    def stopProducing(self) -> None:
        self.loseConnection()

    # What the stream calls.

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or keep them, never more than the window, while the protocol reads nothing."""
        if self.disconnecting:
            self._stream.consumed(len(data))
        elif self._is_reading and not self._unread:
            self._protocol.dataReceived(data)
            self._stream.consumed(len(data))
        else:
            self._unread += data

    def end_received(self) -> None:
        """The peer half-closed; the protocol hears it after what it has not read."""
        if self._unread or not self._is_reading:
            self._is_end_unread = True
        else:
            self._pass_on_end()

    def credit_received(self) -> None:
        """The producer may go on."""
        if self.disconnecting:
            self._finish_when_sent()
        elif self._pushes is not None:
            self._pushes.resumeProducing()
        elif self._pulls is not None:
            self._turn.at_end(self._pull)

    def stream_lost(self, error: WireError) -> None:
        """The stream was cut."""
        self._end(Failure(ConnectionLost(str(error))))

    # Between the two.

    def _deliver(self) -> None:
        while self._unread and self._is_reading and not self.disconnecting:
            data = bytes(self._unread[:DELIVERED_BYTES])
            del self._unread[:DELIVERED_BYTES]
            self._protocol.dataReceived(data)
            self._stream.consumed(len(data))
        if self._is_end_unread and not self._unread and self._is_reading:
            self._is_end_unread = False
            self._pass_on_end()

    def _pass_on_end(self) -> None:
        if self.disconnecting:
            return
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._lose()

    def _pull(self) -> None:
        if self._pulls is not None:
            self._pulls.resumeProducing()
            if not self._stream.is_blocked:
                self._turn.at_end(self._pull)

    def _end(self, reason: Failure) -> None:
        """Let go of the stream, in one way for every cause, and tell the producer and the protocol once."""
        if self.state is TransportState.LOST:
            return
        self._advance(TransportEvent.LOSS)
        self._unread.clear()
        producer = self._pushes or self._pulls
        self._pushes = self._pulls = None
        if producer is not None:
            producer.stopProducing()
        protocol, self._protocol = self._protocol, _NOBODY  # no reference cycle is left for the garbage collector
        protocol.connectionLost(reason)

    def _advance(self, event: TransportEvent) -> None:
        self.state = TRANSPORT_TRANSITIONS[self.state, event]


_NOBODY = Protocol()  # hears what comes after the end, which is nothing


class _Closed:
    """The receiver of a stream whose protocol is done: data is answered with RST, as TCP does for a closed socket."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        """Nobody reads it."""
        self._stream.reset()

    def end_received(self) -> None:
        """The peer is done as well."""

    def credit_received(self) -> None:
        """Everything was sent before."""

    def stream_lost(self, error: WireError) -> None:
        """Nobody needs to know."""
