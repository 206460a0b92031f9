"""
DNS over TCP (RFC 7766): messages with a two-octet length, pipelined, answered in turns.

What all clients together may cost in one turn of the reactor is bounded: a client that has sent more queries than
there is time for waits for its next turn, and is not read from meanwhile. A connection that is idle too long is closed,
a client that does not read is not read from, and there are limits on connections in all and per network, and on
transfers. When all connections are in use, the network that has most of them loses the one that was silent longest.
A transfer is made and sent in slices as the client takes it; queries that come meanwhile are answered between its
messages (RFC 7766 §6.2.1.1: order does not matter). What the bytes mean is decided in `responder`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from time import perf_counter
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.message import names
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder
from warp_dns.settings import TcpSettings
from warp_dns.zone.transfer import Transfer

TURN_SECONDS = 0.002  # for the queries of all clients, in one turn of the reactor
MAX_TRANSFERS_WAITING = 4  # of one connection, behind the one that runs; more queries for transfers are refused
_LENGTH_BYTES = 2


@implementer(IPushProducer)
class TcpConnection(Protocol, TimeoutMixin):
    """
    One client's connection.

    :ivar host: the client's address.
    :ivar last_query_at: when it last sent a query, or connected.
    """

    _log = Logger()
    factory: "TcpFactory"

    def __init__(self) -> None:
        self.last_query_at = 0.0
        self.host = ""
        self._unread = bytearray()
        self._transfers: deque[Iterator[bytes | None]] = deque()
        self._sending: Deferred[Any] | None = None
        self._resumed: Deferred[None] | None = None
        self._paused = False  # the client does not read
        self._waiting = False  # for its next turn
        self._is_reading = True

    def connectionMade(self) -> None:
        """Begin to wait for queries, with ourselves as the producer that the transport pauses."""
        self.host = self._transport().getPeer().host
        self.last_query_at = self.factory.reactor.seconds()
        self._transport().registerProducer(self, True)
        self.setTimeout(self.factory.settings.idle_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of queries; they wait here until the client's turn, or until it reads its answers."""
        self._unread += data
        if not self._waiting:
            self.answer()

    def pauseProducing(self) -> None:
        """The client is not reading: read no more queries until it does."""
        self._paused = True
        self._read_if_it_may()

    def resumeProducing(self) -> None:
        """The client caught up."""
        self._paused = False
        self.resetTimeout()
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)
        if not self._waiting:
            self.answer()
        self._read_if_it_may()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def timeoutConnection(self) -> None:
        """Close a connection on which nothing moved for too long (RFC 7766 §6.2.3), either way."""
        self._transport().abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Forget the connection."""
        self.setTimeout(None)
        self._unread.clear()
        self.factory.transfers -= len(self._transfers)
        self._transfers.clear()
        if self._sending is not None:
            self._sending.cancel()
        self.factory.closed(self)

    def callLater(self, seconds: float, call: Callable[[], None]) -> Any:
        """Set timers on the factory's reactor, for `TimeoutMixin`."""
        return self.factory.reactor.callLater(seconds, call)

    def answer(self) -> None:
        """Answer queries while there is time in this turn; read on when none is left, else wait for the next turn."""
        self._waiting = False
        unread = self._unread
        at = 0
        while not self._paused and len(unread) - at >= _LENGTH_BYTES:
            end = at + _LENGTH_BYTES + (unread[at] << 8 | unread[at + 1])
            if len(unread) < end:
                break
            if not self.factory.has_time():
                self._waiting = True
                self.factory.wait(self)
                break
            message = bytes(unread[at + _LENGTH_BYTES : end])
            at = end
            self.resetTimeout()
            if not self._respond(message):
                at = len(unread)
                break
        del unread[:at]
        self._read_if_it_may()

    def _read_if_it_may(self) -> None:
        """Read from the client while it reads, and while no query of its waits for its turn."""
        may_read = not self._paused and not self._waiting
        if may_read == self._is_reading:
            return
        self._is_reading = may_read
        if may_read:
            self._transport().resumeProducing()
        else:
            self._transport().pauseProducing()

    def _respond(self, message: bytes) -> bool:
        self.last_query_at = self.factory.reactor.seconds()
        try:
            made = self.factory.responder.respond_stream(message, self.host)
        except Exception:
            self._log.failure("a query of {length} bytes made the server fail", length=len(message))
            made = None
        if self.factory.query_log.is_due(1):
            reply = message if isinstance(made, Transfer) else made
            self.factory.query_log.write("tcp", self.host, message, reply)
        if made is None:
            # The client sent something that is not a query, so it does not speak DNS.
            self._transport().loseConnection()
            return False
        if isinstance(made, Transfer):
            self._begin(made)
        else:
            self._send(made)
        return True

    def _begin(self, transfer: Transfer) -> None:
        """Start a transfer, or refuse it while a limit is reached."""
        factory = self.factory
        if factory.transfers >= factory.settings.transfers or len(self._transfers) > MAX_TRANSFERS_WAITING:
            self._log.warn("no transfer to {host}: {count} are running", host=self.host, count=factory.transfers)
            self._send(transfer.refusal(int(factory.wall.now())))
            return
        factory.transfers += 1
        self._log.info(
            "{kind} of {zone} at {serial} to {host}",
            kind=transfer.kind,
            zone=names.to_text(transfer.zone.apex),
            serial=transfer.zone.serial,
            host=self.host,
        )
        self._transfers.append(transfer.signed_messages(factory.wall))
        if self._sending is None:
            self._sending = factory.slices.run(self._send_transfers()).addBoth(self._sent)

    def _send_transfers(self) -> Iterator[Deferred[None] | None]:
        """Send transfers one after the other, in steps."""
        while self._transfers:
            for message in self._transfers[0]:
                if message is not None:
                    self._send(message)
                    self.resetTimeout()  # a transfer that goes on is not idle, however long it takes
                if self._paused:
                    self._resumed = Deferred()
                    yield self._resumed
                else:
                    yield None
            self._transfers.popleft()
            self.factory.transfers -= 1

    def _sent(self, result: object) -> None:
        self._sending = None
        if isinstance(result, Failure) and not result.check(CancelledError, SchedulerStopped, TaskStopped):
            self._log.failure("a transfer to {host} failed", result, host=self.host)
            self._transport().abortConnection()

    def _send(self, message: bytes) -> None:
        self._transport().write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)

    def _transport(self) -> Any:
        return self.transport


class TcpFactory(ServerFactory):
    """Accepts connections within the limits, and shares out the time."""

    noisy = False

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        slices: Slices,
        responder: Responder,
        settings: TcpSettings,
        query_log: QueryLog,
    ) -> None:
        self.reactor = reactor
        self.wall = wall
        self.slices = slices
        self.responder = responder
        self.settings = settings
        self.query_log = query_log
        self.transfers = 0
        self._networks: dict[str, dict[TcpConnection, None]] = {}
        self._count = 0
        self._waiting: deque[TcpConnection] = deque()
        self._turn_ends_at = 0.0
        self._next_turn: IDelayedCall | None = None

    def logPrefix(self) -> str:
        """Say what it is for, where Twisted logs that it listens."""
        return "DNS over TCP"

    def has_time(self) -> bool:
        """Whether another query may be answered in this turn of the reactor."""
        now = perf_counter()
        if self._next_turn is None:
            self._turn_ends_at = now + TURN_SECONDS
            self._next_turn = self.reactor.callLater(0, self._begin_turn)
        return now < self._turn_ends_at

    def wait(self, connection: TcpConnection) -> None:
        """Let a connection go on in its turn."""
        self._waiting.append(connection)

    def _begin_turn(self) -> None:
        self._next_turn = None
        for _ in range(len(self._waiting)):
            if not self.has_time():
                return
            self._waiting.popleft().answer()

    def buildProtocol(self, addr: Any) -> Any:
        """Accept a connection, or return None, which closes it at once."""
        network = network_of(addr.host)
        members = self._networks.get(network, {})
        if len(members) >= self.settings.connections_per_address:
            return None
        if self._count >= self.settings.connections and not self._make_room(len(members)):
            return None
        connection = TcpConnection()
        connection.factory = self
        self._networks.setdefault(network, {})[connection] = None
        self._count += 1
        return connection

    def _make_room(self, own: int) -> bool:
        """Close the longest silent connection of the network with most, if that has more than the new one's."""
        largest = max(self._networks.values(), key=len)
        if len(largest) <= own + 1:
            return False
        silent = min(largest, key=lambda connection: connection.last_query_at)
        silent.timeoutConnection()
        return True

    def closed(self, connection: TcpConnection) -> None:
        """Count a connection out."""
        network = network_of(connection.host)
        members = self._networks[network]
        del members[connection]
        self._count -= 1
        if not members:
            del self._networks[network]
        if connection in self._waiting:
            self._waiting.remove(connection)

    def close_all(self) -> None:
        """Close every connection at once."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        for members in tuple(self._networks.values()):
            for connection in tuple(members):
                if connection.transport is not None:
                    connection.timeoutConnection()


def network_of(host: str) -> str:
    """Return what connections are counted by: an IPv4 address, or the first 64 bits of an IPv6 one."""
    if ":" not in host:
        return host
    return IPv6Address(host.partition("%")[0]).packed[:8].hex()  # a client has a /64 for itself
