"""
DNS over TCP (RFC 7766): messages with a two-octet length, pipelined, answered in turns.

All clients together have a share of the reactor's time (`warp_base.fair_queue`). Whoever sends while that is used up,
or more than one small piece of work, waits for its turn in rounds over networks, and is not read from meanwhile; so a
read, whole query or not, costs a turn as well, and so does accepting. A connection that is idle too long is closed, a
client that does not read is not read from, and there are limits on connections in all and per network, and on
transfers. When all connections are in use, the network that has most of them loses the one that was silent longest.
A transfer is made and sent in slices as the client takes it; queries that come meanwhile are answered between its
messages (RFC 7766 §6.2.1.1: order does not matter). What the bytes mean is decided in `responder`.
"""

import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Address
from time import perf_counter
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.fair_queue import FairQueue
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_dns.message import names
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.responder import Responder
from warp_dns.settings import TcpSettings
from warp_dns.zone.transfer import Transfer

PIECE_QUERIES = 8  # of one connection in its turn
PIECE_SECONDS = 0.0001  # after which no further query is begun in it; forged signatures cost 150 µs each
ACCEPT_SECONDS = 0.0001  # what a new connection is taken to cost, with its end
ACCEPTED_AT_ONCE = 4
BACKLOG = 512  # connections that the system keeps meanwhile: a fifth of a second of accepting
MAX_TRANSFERS_WAITING = 4  # of one connection, behind the one that runs; more queries for transfers are refused
_LENGTH_BYTES = 2


@implementer(IPushProducer)
class TcpConnection(Protocol, TimeoutMixin):
    """
    One client's connection.

    :ivar address: the client's.
    :ivar network: what it is counted by.
    :ivar last_query_at: when it last sent a query, or connected.
    """

    _log = Logger()
    factory: "TcpFactory"

    def __init__(self) -> None:
        self.last_query_at = 0.0
        self.address = ""
        self.network = ""
        self._unread = bytearray()
        self._transfers: deque[Iterator[bytes | None]] = deque()
        self._sending: Deferred[Any] | None = None
        self._resumed: Deferred[None] | None = None
        self._is_clogged = False  # the client does not read
        self._is_waiting = False  # for its turn
        self._is_reading = True
        self._is_over = False  # nothing is read any more

    def connectionMade(self) -> None:
        """Begin to wait for queries, with ourselves as the producer that the transport pauses."""
        self.last_query_at = self.factory.reactor.seconds()
        self._transport().registerProducer(self, True)
        self.setTimeout(self.factory.settings.idle_seconds)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of queries; they wait here until the client's turn, or until it reads its answers."""
        self._unread += data
        self._go_on()

    def take_turn(self) -> bool:
        """Answer some queries, and read on when none is left; see `warp_base.fair_queue.Waiting`."""
        if self._is_over:
            return False
        ends_at = perf_counter() + PIECE_SECONDS
        for _ in range(PIECE_QUERIES):
            message = self._next_message()
            if message is None:
                break
            self.resetTimeout()
            if not self._respond(message):
                self._unread.clear()
                break
            if perf_counter() >= ends_at:
                break
        self._is_waiting = not self._is_clogged and self._has_message()
        self._read_if_it_may()
        return self._is_waiting

    def abort(self) -> None:
        """Close at once; see `warp_base.fair_queue.Waiting`."""
        self._transport().abortConnection()

    def pauseProducing(self) -> None:
        """The client is not reading: read no more queries until it does."""
        self._is_clogged = True
        self._read_if_it_may()

    def resumeProducing(self) -> None:
        """The client caught up."""
        self._is_clogged = False
        self.resetTimeout()
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)
        if self._has_message():
            self._go_on()
        self._read_if_it_may()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def timeoutConnection(self) -> None:
        """Close a connection on which nothing moved for too long (RFC 7766 §6.2.3), either way."""
        self._transport().abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Forget the connection."""
        self._is_over = True
        self.factory.queue.discard(self)
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

    def _go_on(self) -> None:
        """Take a turn, now or later, unless one is waited for."""
        if self._is_waiting or self._is_clogged:
            return
        self._is_waiting = True
        self.factory.queue.serve(self)
        self._read_if_it_may()

    def _has_message(self) -> bool:
        unread = self._unread
        return len(unread) >= _LENGTH_BYTES and len(unread) >= _LENGTH_BYTES + (unread[0] << 8 | unread[1])

    def _next_message(self) -> bytes | None:
        """Take a whole message off what is unread, if the client reads its answers and there is one."""
        if self._is_clogged or not self._has_message():
            return None
        unread = self._unread
        end = _LENGTH_BYTES + (unread[0] << 8 | unread[1])
        message = bytes(unread[_LENGTH_BYTES:end])
        del unread[:end]
        return message

    def _read_if_it_may(self) -> None:
        """Read from the client while it reads, and while it does not wait for its turn."""
        may_read = not self._is_clogged and not self._is_waiting
        if may_read == self._is_reading or self._is_over:
            return
        self._is_reading = may_read
        if may_read:
            self._transport().resumeProducing()
        else:
            self._transport().pauseProducing()

    def _respond(self, message: bytes) -> bool:
        self.last_query_at = self.factory.reactor.seconds()
        try:
            made = self.factory.responder.respond_stream(message, self.address)
        except Exception:
            self._log.failure("a query of {length} bytes made the server fail", length=len(message))
            made = None
        if self.factory.query_log.is_due(1):
            reply = message if isinstance(made, Transfer) else made
            self.factory.query_log.write("tcp", self.address, message, reply)
        if made is None:
            # The client sent something that is not a query, so it does not speak DNS.
            self._is_over = True
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
            self._log.warn("no transfer to {host}: {count} are running", host=self.address, count=factory.transfers)
            self._send(transfer.refusal(int(factory.wall.now())))
            return
        factory.transfers += 1
        self._log.info(
            "{kind} of {zone} at {serial} to {host}",
            kind=transfer.kind,
            zone=names.to_text(transfer.zone.apex),
            serial=transfer.zone.serial,
            host=self.address,
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
                if self._is_clogged:
                    self._resumed = Deferred()
                    yield self._resumed
                else:
                    yield None
            self._transfers.popleft()
            self.factory.transfers -= 1

    def _sent(self, result: object) -> None:
        self._sending = None
        if isinstance(result, Failure) and not result.check(CancelledError, SchedulerStopped, TaskStopped):
            self._log.failure("a transfer to {host} failed", result, host=self.address)
            self._transport().abortConnection()

    def _send(self, message: bytes) -> None:
        self._transport().write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)

    def _transport(self) -> Any:
        return self.transport


class _Accepting:
    """Listening sockets that wait for their turn; see `warp_base.fair_queue.Waiting`."""

    address = "new connections"
    network = ""

    def __init__(self) -> None:
        self.ports: Sequence[Any] = ()
        self.is_waiting = False

    def pause(self) -> None:
        """Accept nothing for now."""
        self.is_waiting = True
        for port in self.ports:
            port.stopReading()

    def take_turn(self) -> bool:
        """Accept some connections."""
        self.is_waiting = False
        for port in self.ports:
            port.numberAccepts = ACCEPTED_AT_ONCE  # Twisted raises it with each event that brings so many
            port.startReading()
        return False

    def abort(self) -> None:
        """Nothing that fails has been tried."""


class TcpFactory(ServerFactory):
    """
    Accepts connections within the limits.

    :ivar queue: the share of the reactor's time that all clients have.
    """

    noisy = False

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        slices: Slices,
        queue: FairQueue,
        responder: Responder,
        settings: TcpSettings,
        query_log: QueryLog,
    ) -> None:
        self.reactor = reactor
        self.wall = wall
        self.slices = slices
        self.queue = queue
        self.responder = responder
        self.settings = settings
        self.query_log = query_log
        self.transfers = 0
        self._networks: dict[str, dict[TcpConnection, None]] = {}
        self._count = 0
        self._accepting = _Accepting()

    def logPrefix(self) -> str:
        """Say what it is for, where Twisted logs that it listens."""
        return "DNS over TCP"

    def share_time(self, ports: Sequence[Any]) -> None:
        """Let these listening sockets, and no others, accept in their turns."""
        self._accepting.ports = tuple(ports)
        for port in ports:
            port.numberAccepts = ACCEPTED_AT_ONCE

    def buildProtocol(self, addr: Any) -> Any:
        """Accept a connection, or return None, which closes it at once."""
        self.queue.charge(ACCEPT_SECONDS)
        if not self._accepting.is_waiting and self._accepting.ports:
            self._accepting.pause()
            self.queue.add(self._accepting)
        network = network_of(addr.host)
        members = self._networks.get(network, {})
        if len(members) >= self.settings.connections_per_address:
            return None
        if self._count >= self.settings.connections and not self._make_room(len(members)):
            return None
        connection = TcpConnection()
        connection.factory = self
        connection.address, connection.network = addr.host, network
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
        members = self._networks[connection.network]
        del members[connection]
        self._count -= 1
        if not members:
            del self._networks[connection.network]

    def close_all(self) -> None:
        """Close every connection at once."""
        self.queue.stop()
        for members in tuple(self._networks.values()):
            for connection in tuple(members):
                if connection.transport is not None:
                    connection.timeoutConnection()


def network_of(host: str) -> str:
    """Return what connections are counted by: an IPv4 address, or the first 64 bits of an IPv6 one."""
    if ":" not in host:
        return host
    return IPv6Address(host.partition("%")[0]).packed[:8].hex()  # a client has a /64 for itself


def bind_shared_tcp(host: str, port: int) -> socket.socket:
    """
    Bind a TCP socket to an address that another process may have as well; connections go to either (SO_REUSEPORT).

    :raises OSError: if that cannot be.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
