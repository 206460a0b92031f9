"""
DNS over TCP (RFC 7766): messages with a two-octet length, pipelined, answered as they are read.

A connection that is idle too long is closed, a client that does not read is not read from, and both the whole server
and each address have a limit on connections. What the bytes mean is decided in `responder`.
"""

from typing import Any

from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from warp_dns.responder import Responder
from warp_dns.settings import TcpSettings

_LENGTH_BYTES = 2


@implementer(IPushProducer)
class TcpConnection(Protocol, TimeoutMixin):
    """One client's connection."""

    _log = Logger()
    factory: "TcpFactory"

    def __init__(self) -> None:
        self._unread = bytearray()
        self._paused = False
        self._answering = False

    def connectionMade(self) -> None:
        """Begin to wait for queries, with ourselves as the producer that the transport pauses."""
        self._transport().registerProducer(self, True)
        self.setTimeout(self.factory.settings.idle_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of queries; they wait here only while the client does not read its answers."""
        self._unread += data
        self._answer()

    def pauseProducing(self) -> None:
        """The client is not reading: read no more queries until it does."""
        self._paused = True
        self._transport().pauseProducing()

    def resumeProducing(self) -> None:
        """The client caught up."""
        self._paused = False
        self._answer()
        if not self._paused:
            self._transport().resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def timeoutConnection(self) -> None:
        """Close a connection on which nothing was asked for too long (RFC 7766 §6.2.3), reading or not."""
        self._transport().abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Forget the connection."""
        self.setTimeout(None)
        self._unread.clear()
        self.factory.closed(self)

    def _answer(self) -> None:
        if self._answering:
            return
        self._answering = True
        unread = self._unread
        at = 0
        try:
            while not self._paused and len(unread) - at >= _LENGTH_BYTES:
                length = unread[at] << 8 | unread[at + 1]
                end = at + _LENGTH_BYTES + length
                if len(unread) < end:
                    break
                message = bytes(unread[at + _LENGTH_BYTES : end])
                at = end
                self.resetTimeout()
                if not self._respond(message):
                    return
        finally:
            del unread[:at]
            self._answering = False

    def _respond(self, message: bytes) -> bool:
        try:
            reply = self.factory.responder.respond(message, is_stream=True)
        except Exception:
            self._log.failure("a query of {length} bytes made the server fail", length=len(message))
            reply = None
        if reply is None:
            # Whoever sends what is no query does not speak this protocol.
            self._unread.clear()
            self._transport().loseConnection()
            return False
        self._transport().write(len(reply).to_bytes(_LENGTH_BYTES, "big") + reply)
        return True

    def _transport(self) -> Any:
        return self.transport


class TcpFactory(Factory):
    """Accepts connections within the limits."""

    noisy = False

    def __init__(self, responder: Responder, settings: TcpSettings) -> None:
        self.responder = responder
        self.settings = settings
        self._open: dict[TcpConnection, str] = {}
        self._per_address: dict[str, int] = {}

    def buildProtocol(self, addr: Any) -> Any:
        """Accept a connection, or return None, which closes it at once."""
        host = addr.host
        if (
            len(self._open) >= self.settings.connections
            or self._per_address.get(host, 0) >= self.settings.connections_per_address
        ):
            return None
        connection = TcpConnection()
        connection.factory = self
        self._open[connection] = host
        self._per_address[host] = self._per_address.get(host, 0) + 1
        return connection

    def closed(self, connection: TcpConnection) -> None:
        """Count a connection out."""
        host = self._open.pop(connection)
        self._per_address[host] -= 1
        if not self._per_address[host]:
            del self._per_address[host]

    def close_all(self) -> None:
        """Close every connection at once."""
        for connection in tuple(self._open):
            transport: ITransport | None = connection.transport
            if transport is not None:
                connection.timeoutConnection()
