"""
DNS over TCP (RFC 7766): messages with a two-octet length, pipelined, answered as they are read.

A connection that is idle too long is closed, a client that does not read is not read from, and there are limits on
connections in all and per address, and on transfers. A transfer is sent a message at a time as the client takes it;
queries that come meanwhile are answered between its messages (RFC 7766 §6.2.1.1: order does not matter). What the
bytes mean is decided in `responder`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_dns.message import names
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder
from warp_dns.settings import TcpSettings
from warp_dns.zone.transfer import Transfer

_LENGTH_BYTES = 2
_TRANSFER_MESSAGES = 4  # a turn: 64 KiB made in a millisecond or two, then other clients are served


@implementer(IPushProducer)
class TcpConnection(Protocol, TimeoutMixin):
    """One client's connection."""

    _log = Logger()
    factory: "TcpFactory"

    def __init__(self) -> None:
        self._host = ""
        self._unread = bytearray()
        self._transfers: deque[Iterator[bytes]] = deque()
        self._pumping: Any = None
        self._paused = False
        self._answering = False

    def connectionMade(self) -> None:
        """Begin to wait for queries, with ourselves as the producer that the transport pauses."""
        self._host = self._transport().getPeer().host
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
        self.resetTimeout()
        self._answer()
        self._pump()
        if not self._paused:
            self._transport().resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def timeoutConnection(self) -> None:
        """Close a connection on which nothing moved for too long (RFC 7766 §6.2.3), either way."""
        self._transport().abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Forget the connection."""
        self.setTimeout(None)
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None
        self._unread.clear()
        self.factory.transfers -= len(self._transfers)
        self._transfers.clear()
        self.factory.closed(self)

    def callLater(self, seconds: float, call: Callable[[], None]) -> Any:
        """Set timers on the factory's reactor, for `TimeoutMixin`."""
        return self.factory.reactor.callLater(seconds, call)

    def _answer(self) -> None:
        if self._answering:
            return
        self._answering = True
        unread = self._unread
        at = 0
        try:
            while not self._paused and len(unread) - at >= _LENGTH_BYTES:
                end = at + _LENGTH_BYTES + (unread[at] << 8 | unread[at + 1])
                if len(unread) < end:
                    break
                message = bytes(unread[at + _LENGTH_BYTES : end])
                at = end
                self.resetTimeout()
                if not self._respond(message):
                    at = len(unread)
                    return
        finally:
            del unread[:at]
            self._answering = False

    def _respond(self, message: bytes) -> bool:
        try:
            made = self.factory.responder.respond_stream(message, self._host)
        except Exception:
            self._log.failure("a query of {length} bytes made the server fail", length=len(message))
            made = None
        if self.factory.query_log.is_due(1):
            reply = message if isinstance(made, Transfer) else made
            self.factory.query_log.write("tcp", self._host, message, reply)
        if made is None:
            # Whoever sends what is no query does not speak this protocol.
            self._transport().loseConnection()
            return False
        if isinstance(made, Transfer):
            self._begin(made)
        else:
            self._send(made)
        return True

    def _begin(self, transfer: Transfer) -> None:
        """Start a transfer, or refuse it while the limit is reached."""
        factory = self.factory
        if factory.transfers >= factory.settings.transfers:
            self._log.warn("no transfer to {host}: {count} are running", host=self._host, count=factory.transfers)
            self._send(transfer.refusal(int(factory.clock())))
            return
        factory.transfers += 1
        self._log.info(
            "{kind} of {zone} at {serial} to {host}",
            kind=transfer.kind,
            zone=names.to_text(transfer.zone.apex),
            serial=transfer.zone.serial,
            host=self._host,
        )
        self._transfers.append(transfer.signed_messages(factory.clock))
        self._pump()

    def _pump(self) -> None:
        """Send some of the transfer at hand, then let the reactor turn."""
        if self._pumping is not None or self._paused or not self._transfers:
            return
        for _ in range(_TRANSFER_MESSAGES):
            message = next(self._transfers[0], None)
            if message is None:
                self._transfers.popleft()
                self.factory.transfers -= 1
                break
            self._send(message)
            if self._paused:
                return
        if self._transfers:
            self._pumping = self.factory.reactor.callLater(0, self._pump_again)

    def _pump_again(self) -> None:
        self._pumping = None
        self._pump()

    def _send(self, message: bytes) -> None:
        self._transport().write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)

    def _transport(self) -> Any:
        return self.transport


class TcpFactory(ServerFactory):
    """Accepts connections within the limits."""

    noisy = False

    def __init__(self, reactor: Reactor, responder: Responder, settings: TcpSettings, query_log: QueryLog) -> None:
        self.reactor = reactor
        self.responder = responder
        self.settings = settings
        self.query_log = query_log
        self.transfers = 0
        self._open: dict[TcpConnection, str] = {}
        self._per_address: dict[str, int] = {}

    def logPrefix(self) -> str:
        """Say what it is for, where Twisted logs that it listens."""
        return "DNS over TCP"

    def clock(self) -> float:
        """Return the time, for signatures."""
        seconds: float = self.reactor.seconds()
        return seconds

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
            if connection.transport is not None:
                connection.timeoutConnection()
