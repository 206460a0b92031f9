"""
The byte pipe between one stream of a tunnel and one connection to an origin. This is the agent's hot path.

It decides nothing but when to pause whom, and parses nothing. One object is both ends at once: the protocol of the
origin's connection (camel case, called by Twisted) and the receiver of the stream (snake case, called by `wire`),
so that a chunk costs one method call in each direction.

Towards the origin, a chunk is offered to the socket at once, and only what the socket does not take goes through
`transport.write`; `write` alone would cost a turn of the reactor and two `epoll_ctl` for every chunk. What keeps
the order right: while `_unsent` is not zero, everything goes through `transport.write`.

Backpressure. Towards the edge: `Stream.write` returned False → the origin is not read until `credit_received`. No more
is read from a plain origin than there is credit for, so nothing of it waits here for a slow visitor. For a quick one a
read too much is ready when its credit comes (measured: a third faster).
Towards the origin: bytes that the socket did not take are not returned as credit until they are gone, so one stream
can hold no more than its window here. Half-closes are passed on both ways.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPullProducer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Client, Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.tunnel.tls import BULK_BYTES, forget_connector
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.streams import Stream

READ_BYTES = 64 * 1024  # Twisted's own size
SMALL_READ_BYTES = 16 * 1024  # a read below this says that the bulk is over
QUICK_SECONDS = 0.02  # a stream that waits no longer for credit has a quick reader


@dataclass(slots=True)
class Traffic:
    """
    What passed through the streams of one route, as plain counts.

    :ivar open: streams that lead to the origin now; `opened` counts all there were, `failed` those refused.
    :ivar to_origin: bytes from visitors to the origin; `from_origin`: bytes back.
    :ivar requests: how often bytes went to the origin after it had answered, or for the first time: for HTTP, the
        number of requests, since the edge sends the next one only after a response.
    :ivar response_seconds: from the first byte of a request to the first byte back, summed over `requests`.
    """

    open: int = 0
    opened: int = 0
    failed: int = 0
    to_origin: int = 0
    from_origin: int = 0
    requests: int = 0
    response_seconds: float = 0.0


class _OriginGone:
    """Receives a stream whose origin has ended: what still comes is dropped, and its credit returned."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        """Nobody is there to take the bytes."""
        self._stream.consumed(len(data))

    def end_received(self) -> None:
        """The edge is done as well; the stream is closed."""

    def credit_received(self) -> None:
        """The rest of the origin's bytes went out."""

    def stream_lost(self, error: WireError) -> None:
        """Nobody needs to know."""


class _Splice(Protocol):
    """What both kinds of pipe share; `transport` is set by Twisted before `start` is called."""

    _stream: Stream

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._unsent = 0
        self._edge_ended = False
        self._is_closed = True
        self._is_answered = True
        self._asked_at = 0.0

    def start(self, stream: Stream) -> None:
        """Begin to pipe: become the receiver of a stream, now that the origin is connected."""
        self._stream = stream
        self._is_closed = False
        self._traffic.open += 1
        self._traffic.opened += 1
        stream.receiver = self

    def data_received(self, data: bytes) -> None:
        """Pass bytes of the edge on to the origin."""
        raise NotImplementedError

    def end_received(self) -> None:
        """The edge half-closed."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection to the origin, the stream is over."""
        raise NotImplementedError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The origin is gone: end the stream if it went in order, cut it if not."""
        forget_connector(self.transport)
        if self._is_closed:
            return
        self._note_closed()
        stream = self._stream
        if self._edge_ended or reason.check(ConnectionDone):
            stream.receiver = _OriginGone(stream)
            stream.end()
        else:
            stream.reset()

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        raise NotImplementedError

    def stream_lost(self, error: WireError) -> None:
        """The visitor, the edge or the tunnel is gone, and with it the reason for this connection."""
        if self._is_closed:
            return
        self._note_closed()
        self.close()

    def resumeProducing(self) -> None:
        """Everything that waited for the origin is gone; so its credit goes back to the edge."""
        unsent, self._unsent = self._unsent, 0
        if unsent:
            self._stream.consumed(unsent)

    def stopProducing(self) -> None:
        """The origin is gone; `connectionLost` follows."""

    def _note_closed(self) -> None:
        self._is_closed = True
        self._traffic.open -= 1


def _ignore(reason: Failure) -> None:
    """Nobody listens any more."""


@implementer(IHalfCloseableProtocol, IPullProducer)
class PlainSplice(_Splice):
    """
    The pipe to an origin on a TCP or unix socket.

    It is registered with the transport as a pull producer, because Twisted then calls `resumeProducing` whenever the
    transport's buffer has become empty. (A push producer is told only after the buffer was over its limit.)
    """

    transport: Connection
    _send: Callable[[bytes], int | BaseException]

    def __init__(self, traffic: Traffic) -> None:
        super().__init__(traffic)
        self._origin_ended = False
        self._read_bytes = READ_BYTES
        self._blocked_at = 0.0
        self._is_quick = False

    def connectionMade(self) -> None:
        """Send at once what is sent: a request must not wait for the origin's acknowledgement of the last one."""
        if isinstance(self.transport, Client):  # not a unix socket
            self.transport.setTcpNoDelay(True)

    def start(self, stream: Stream) -> None:
        """Begin to pipe."""
        super().start(stream)
        self._send = self.transport.writeSomeData
        self.transport.registerProducer(self, False)

    def data_received(self, data: bytes) -> None:
        """Pass bytes of the edge on to the origin."""
        size = len(data)
        traffic = self._traffic
        traffic.to_origin += size
        if self._is_answered:
            self._is_answered = False
            self._asked_at = monotonic()
            traffic.requests += 1
        if self._unsent:
            self._unsent += size
            self.transport.write(data)
            return
        sent = self._send(data)
        if sent == size:
            self._stream.consumed(size)
        elif isinstance(sent, int):
            if sent:
                self._stream.consumed(sent)
            self._unsent = size - sent
            self.transport.write(data[sent:])
        else:
            # The origin takes nothing more, but what it answered before may still be waiting to be read.
            self._stream.consumed(size)
            # It is not if it has ended its side and all of that has left; nothing else would say that nobody is there.
            if self._origin_ended and not self._stream.queued_bytes:
                self._note_closed()
                self._stream.reset()
                self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes of the origin on to the edge, and read more at once while a lot is coming."""
        size = len(data)
        traffic = self._traffic
        traffic.from_origin += size
        if not self._is_answered:
            self._is_answered = True
            traffic.response_seconds += monotonic() - self._asked_at
        stream = self._stream
        if not stream.write(data):
            self._blocked_at = monotonic()
            self.transport.pauseProducing()
        read_bytes = self._read_bytes
        if size >= read_bytes:
            wanted = BULK_BYTES
        elif size < SMALL_READ_BYTES or read_bytes < READ_BYTES:
            wanted = READ_BYTES
        else:
            wanted = read_bytes
        if 0 < stream.credit < wanted and not self._is_quick:
            wanted = stream.credit
        if wanted != read_bytes:
            self._read_bytes = self.transport.bufferSize = wanted

    def end_received(self) -> None:
        """The edge half-closed: so do we, after what still waits."""
        self._edge_ended = True
        if self._origin_ended:
            self._finish()
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def credit_received(self) -> None:
        """The stream takes bytes again; but a connection that the origin ended must not be read again."""
        if not self._origin_ended:
            self._is_quick = monotonic() - self._blocked_at < QUICK_SECONDS
            if 0 < self._stream.credit < self._read_bytes and not self._is_quick:
                self._read_bytes = self.transport.bufferSize = self._stream.credit
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """The origin half-closed."""
        self._origin_ended = True
        self._stream.end()
        if self._edge_ended:
            self._finish()

    def writeConnectionLost(self) -> None:
        """Our own half-close went out."""

    def close(self) -> None:
        """Close in order, unless the origin does not even take what it was sent."""
        self.transport.unregisterProducer()
        if self._unsent:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def _finish(self) -> None:
        self._note_closed()
        self.transport.unregisterProducer()
        self.transport.loseConnection()


@implementer(IHandshakeListener, IPushProducer)
class TlsSplice(_Splice):
    """
    The pipe to an origin over TLS.

    :param connected: called when the handshake is complete, before any byte of the origin is delivered.
    :param failed: called with the reason if the connection is lost before that.
    :ivar rejected: called with the reason if TLS fails later, while a stream needs it: with TLS 1.3 an origin says only
        after the handshake that it does not take the client's certificate, or that it wants one.
    """

    transport: TLSMemoryBIOProtocol
    rejected: Callable[[SSL.Error], None] | None = None

    def __init__(
        self, traffic: Traffic, connected: Callable[["TlsSplice"], None], failed: Callable[[Failure], None]
    ) -> None:
        super().__init__(traffic)
        self._connected: Callable[[TlsSplice], None] | None = connected
        self._failed = failed
        self._is_paused = False

    def connectionMade(self) -> None:
        """Send at once what is sent, as `PlainSplice` does."""
        if isinstance(self.transport.transport, Client):
            self.transport.setTcpNoDelay(True)

    def handshakeCompleted(self) -> None:
        """The origin is who it should be."""
        connected, self._connected = self._connected, None
        if connected is not None:
            connected(self)

    def start(self, stream: Stream) -> None:
        """Begin to pipe."""
        super().start(stream)
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The origin is gone, perhaps before it was there."""
        failed, self._failed = self._failed, _ignore
        if self._connected is not None:
            self._connected = None
            forget_connector(self.transport)
            failed(reason)
            return
        rejected, self.rejected = self.rejected, None
        if rejected is not None and not self._is_closed and isinstance(reason.value, SSL.Error):
            rejected(reason.value)
        super().connectionLost(reason)

    def data_received(self, data: bytes) -> None:
        """Pass bytes of the edge on to the origin."""
        size = len(data)
        traffic = self._traffic
        traffic.to_origin += size
        if self._is_answered:
            self._is_answered = False
            self._asked_at = monotonic()
            traffic.requests += 1
        self.transport.write(data)
        if self._is_paused:
            self._unsent += size
        else:
            self._stream.consumed(size)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes of the origin on to the edge."""
        traffic = self._traffic
        traffic.from_origin += len(data)
        if not self._is_answered:
            self._is_answered = True
            traffic.response_seconds += monotonic() - self._asked_at
        if not self._stream.write(data):
            self.transport.pauseProducing()

    def end_received(self) -> None:
        """
        The edge half-closed: so do we.

        Twisted's TLS sends its close alert on `loseConnection` and goes on to deliver what the origin sends until
        that closes too, so this is the half-close of RFC 8446 §6.1.
        """
        self._edge_ended = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def credit_received(self) -> None:
        """The stream takes bytes again."""
        self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The transport's buffer is full; from now on credit is held back."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._is_paused = False
        super().resumeProducing()

    def close(self) -> None:
        """Close without waiting for the origin's own close alert."""
        self.transport.unregisterProducer()
        if self._is_paused:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()
            if self.transport.transport is not None:
                self.transport.transport.loseConnection()
