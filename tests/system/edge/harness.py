"""
A whole data path on loopback: a visitor's socket, the edge, a tunnel, a byte-pipe agent and a raw origin.

Everything runs in the test's reactor and on real TCP connections; only the tunnel's TLS is left out, and the agent is
a stub that connects each stream to the origin and parses nothing. The origin records every byte that reaches it.

`python -m tests.system.edge.harness VISITOR_PORT ORIGIN_PORT [HOSTNAME]` runs it for programs from outside.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_base.accepting import accept_cheaply
from warp_base.reactor import Reactor, as_reactor
from warp_twisted.edge.exchange.access_log import AccessLog
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.visitors.connection import VisitorConnection
from warp_twisted.edge.visitors.crowd import Visitors
from warp_twisted.edge.visitors.factories import VISITOR_OPTIONS, VisitorFactory
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import ControlMessage, Drain, RouteOffer
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import Role
from warp_twisted.wire.preamble import OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

HOSTNAME = "app.example"
LOOPBACK = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@implementer(IHalfCloseableProtocol)
class RawConnection(Protocol):
    """
    One end of a TCP connection, or of TLS on one, that a test drives by hand.

    :ivar stays: whether it stays open when the peer closes its sending side.
    :ivar has_ended: whether the peer has.
    """

    transport: Connection

    def __init__(self) -> None:
        self.stays = self.has_ended = self._is_ended = False
        self.received = b""
        self.is_lost = False
        self.loss: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        self.loss = reason
        self._check()

    def readConnectionLost(self) -> None:
        self.has_ended = True
        self._check()
        if self._is_ended or not self.stays:
            self.transport.connectionLost(connectionDone)

    def writeConnectionLost(self) -> None:
        self._is_ended = True
        if self.has_ended:
            self.transport.connectionLost(connectionDone)

    def send(self, data: bytes) -> None:
        """Write bytes."""
        self.transport.write(data)

    def end(self) -> None:
        """Close our sending side after what was written."""
        self.transport.loseWriteConnection()

    def ended(self) -> "Deferred[None]":
        """Wait until the peer has closed its sending side."""
        return self.when(lambda: self.has_ended)

    async def trickle(self, data: bytes, seconds: float, *, size: int = 1) -> None:
        """Write bytes in small pieces that are some time apart, until all are sent or the connection is lost."""
        pieces = iter(range(0, len(data), size))

        def send() -> None:
            at = next(pieces, None)
            if at is None or self.is_lost:
                sending.stop()
            else:
                self.send(data[at : at + size])

        sending = LoopingCall(send)
        await sending.start(seconds)

    async def read_rarely(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Read what has arrived now and then, until the condition holds or the connection is lost."""

        def read() -> None:
            if self.is_lost or enough():
                reading.stop()
            else:
                self.resume()
                self.transport.doRead()
                self.pause()

        reading = LoopingCall(read)
        await reading.start(seconds)

    def close(self) -> None:
        """Close after what was written."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """Reset the connection."""
        self.transport.abortConnection()

    def pause(self) -> None:
        """Read nothing more."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def when(self, condition: Callable[[], bool]) -> "Deferred[None]":
        """Return a Deferred that fires when a condition holds after something arrived."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((condition, deferred))
        self._check()
        return deferred

    def until(self, part: bytes) -> "Deferred[None]":
        """Wait until bytes have arrived."""
        return self.when(lambda: part in self.received)

    def lost(self) -> "Deferred[None]":
        """Wait for the end of the connection."""
        return self.when(lambda: self.is_lost)

    def take(self) -> bytes:
        """Return and forget what has arrived."""
        received, self.received = self.received, b""
        return received

    def _check(self) -> None:
        due = [deferred for condition, deferred in self._waiting if condition()]
        self._waiting = [each for each in self._waiting if each[1] not in due]
        for deferred in due:
            deferred.callback(None)


class OriginConnection(RawConnection):
    """One connection that reached the origin."""

    def __init__(self, origin: "RawOrigin") -> None:
        super().__init__()
        self._origin = origin

    def connectionMade(self) -> None:
        self._origin.connections.append(self)
        self._origin.check()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._origin.last = self
        answer = self._origin.answer
        if answer is not None:
            answer(self)
        self._origin.check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._origin.check()


class RawOrigin(Factory):
    """
    An origin that records, and answers as the test says.

    :ivar answer: called with the connection after each arrival; None leaves answering to the test.
    :ivar connections: all there were; `last` is the one that got the latest bytes.
    """

    noisy = False

    def __init__(self) -> None:
        self.answer: Callable[[OriginConnection], None] | None = None
        self.connections: list[OriginConnection] = []
        self.last: OriginConnection | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def buildProtocol(self, addr: object) -> OriginConnection:
        return OriginConnection(self)

    @property
    def seen(self) -> bytes:
        """Every byte that reached the origin."""
        return b"".join(connection.received for connection in self.connections)

    def when(self, condition: Callable[[], bool]) -> "Deferred[None]":
        """Wait until a condition holds after something happened at the origin."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((condition, deferred))
        self.check()
        return deferred

    def until(self, part: bytes) -> "Deferred[None]":
        """Wait until bytes have reached the origin."""
        return self.when(lambda: part in self.seen)

    def check(self) -> None:
        """Look whether anybody has waited long enough."""
        due = [deferred for condition, deferred in self._waiting if condition()]
        self._waiting = [each for each in self._waiting if each[1] not in due]
        for deferred in due:
            deferred.callback(None)


def answer_each(response: bytes = OK) -> Callable[[OriginConnection], None]:
    """Return an answer that gives the same response to every request without a body, as often as one arrives."""
    answered: dict[OriginConnection, int] = {}

    def answer(connection: OriginConnection) -> None:
        done = answered.get(connection, 0)
        complete = connection.received.count(b"\r\n\r\n")
        answered[connection] = complete
        for _ in range(complete - done):
            connection.send(response)

    return answer


@implementer(IHalfCloseableProtocol)
class _Pipe(Protocol):
    """The stub agent's connection to the origin for one stream; either direction may end first."""

    transport: Connection

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._is_full = False
        self._has_edge_ended = self._has_origin_ended = False
        self._owed = 0

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.stream.receiver = self

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        owed, self._owed = self._owed, 0
        self.stream.consumed(owed)

    def stopProducing(self) -> None:
        self._is_full = True

    def dataReceived(self, data: bytes) -> None:
        if not self.stream.write(data):
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if "non-clean" in reason.getErrorMessage():
            self.stream.reset()
        else:
            self.stream.end()

    def readConnectionLost(self) -> None:
        self._has_origin_ended = True
        self.stream.end()
        self._look_for_end()

    def writeConnectionLost(self) -> None:
        """The origin has heard that the edge is done."""

    def _look_for_end(self) -> None:
        if self._has_edge_ended and self._has_origin_ended:
            self.transport.loseConnection()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        if self._is_full:
            self._owed += len(data)
        else:
            self.stream.consumed(len(data))

    def end_received(self) -> None:
        self._has_edge_ended = True
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self._look_for_end()

    def credit_received(self) -> None:
        if not self._has_origin_ended:
            self.transport.resumeProducing()

    def stream_lost(self, error: WireError) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()


@dataclass(eq=False)
class StubAgent:
    """
    A byte pipe from streams to the origin.

    :ivar refuse: route id → the opening code to refuse with.
    :ivar silent: leave streams without an opening reply, in `unanswered`.
    """

    reactor: Reactor
    origin_port: int
    refuse: dict[int, OpeningCode] = field(default_factory=dict)
    silent: bool = False
    opened: list[int] = field(default_factory=list)
    unanswered: list[Stream] = field(default_factory=list)

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Nothing to say."""

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """Nothing to hear."""

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """Streams go on."""

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """The streams have heard of it."""

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Connect to the origin."""
        self.opened.append(route_id)
        if self.silent:
            stream.receiver = Early()
            self.unanswered.append(stream)
            return
        code = self.refuse.get(route_id)
        if code is not None:
            stream.write(encode_opening(code, "as the test says"))
            stream.end()
            return
        early = Early()
        stream.receiver = early
        pipe = _Pipe(stream)
        connecting = connectProtocol(TCP4ClientEndpoint(self.reactor, LOOPBACK, self.origin_port), pipe)

        def connected(_: object) -> None:
            if early.is_lost:
                pipe.transport.abortConnection()
                return
            stream.write(encode_opening(OpeningCode.OPENED))
            if early.data:
                pipe.data_received(early.data)

        def failed(_: object) -> None:
            stream.write(encode_opening(OpeningCode.ORIGIN_REFUSED, "connection refused"))
            stream.end()

        connecting.addCallbacks(connected, failed)


class Early:
    """Keeps what arrives before the origin is connected."""

    def __init__(self) -> None:
        self.data = b""
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def end_received(self) -> None:
        """The stub ignores half-closes here."""

    def credit_received(self) -> None:
        """Nothing was written."""

    def stream_lost(self, error: WireError) -> None:
        self.is_lost = True


class _EdgeDelegate:
    """The edge's end of tunnels: nothing but the route table matters."""

    def __init__(self) -> None:
        self.opened: list[Deferred[TunnelProtocol]] = []

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        self.opened.pop(0).callback(tunnel)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """No control messages here."""

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Agents open no routes."""

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """Tests drain by hand."""

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Its end follows."""

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Tests remove by hand."""


class PlainTunnel(TunnelProtocol):
    """One end of a tunnel on TCP, which can stop reading as the transport that tunnels have on TLS can."""

    def makeConnection(self, transport: ITransport) -> None:
        assert isinstance(transport, Connection)
        transport.setTcpNoDelay(True)
        # Its type does not know these.
        vars(transport).update(pause_reading=transport.pauseProducing, resume_reading=transport.resumeProducing)
        super().makeConnection(transport)


@dataclass(eq=False)
class Tunnel:
    """A registered tunnel, as the route table sees it, and the stub at its other end."""

    id: str
    agent: str
    protocol: TunnelProtocol
    stub: StubAgent
    far_end: TunnelProtocol
    labels: Mapping[str, str] = field(default_factory=dict)
    via: str = ""


class EdgeHarness:
    """
    The edge's data path with tunnels to one raw origin.

    :ivar visitors: the edge's side; its table, metrics and log lines are at hand too.
    """

    def __init__(
        self,
        reactor: Reactor,
        *,
        limits: VisitorLimits | None = None,
        timeouts: VisitorTimeouts | None = None,
    ) -> None:
        self.reactor = reactor
        self.origin = RawOrigin()
        self.lines: list[bytes] = []
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics, limits)
        self.log = AccessLog(self.lines.append)
        self.visitors = Visitors(
            self.table,
            self.metrics,
            reactor,
            access_log=self.log,
            limits=limits,
            timeouts=timeouts or VisitorTimeouts(tick=0.05),
        )
        self.tunnels: list[Tunnel] = []
        self.turn = Turn(reactor)
        self._delegate = _EdgeDelegate()
        self._ports: list[IListeningPort] = []
        self.clients: list[RawConnection] = []
        self.visitor_port = 0
        self.origin_port = 0

    async def start(self, *, visitor_port: int = 0, origin_port: int | None = None, hostname: str = HOSTNAME) -> None:
        """Listen, and register one tunnel of agent `agent-1` that serves the hostname."""
        self.visitors.start()
        self.visitor_port = await self._listen(VisitorFactory(self.visitors), visitor_port)
        self.origin_port = origin_port or await self._listen(self.origin, 0)
        self._tunnel_port = await self._listen(
            Factory.forProtocol(lambda: PlainTunnel(Role.SERVER, self._delegate, clock=self.reactor, turn=self.turn)),
            0,
        )
        await self.add_tunnel([RouteOffer(id=0, hostname=hostname)])

    async def stop(self) -> None:
        """Close everything."""
        for client in self.clients:
            if not client.is_lost:
                client.abort()
        self.visitors.stop()
        for tunnel in self.tunnels:
            tunnel.protocol.close()
            tunnel.far_end.close()
            await tunnel.protocol.disconnected()
            await tunnel.far_end.disconnected()
        for connection in self.origin.connections:
            if not connection.is_lost:
                connection.abort()
                await connection.lost()
        for client in self.clients:
            await client.lost()
        for port in self._ports:
            await maybeDeferred(port.stopListening)

    async def _listen(self, factory: Factory, port: int) -> int:
        listening = await TCP4ServerEndpoint(self.reactor, port, interface=LOOPBACK, backlog=1024).listen(factory)
        accept_cheaply(listening, VISITOR_OPTIONS)
        self._ports.append(listening)
        number: int = listening.getHost().port
        return number

    async def listen(self, factory: Factory) -> int:
        """Listen with one more factory on a free port; closed by `stop`."""
        return await self._listen(factory, 0)

    async def add_tunnel(
        self,
        offers: list[RouteOffer],
        agent: str = "agent-1",
        labels: Mapping[str, str] = MappingProxyType({}),
        origin_port: int = 0,
    ) -> Tunnel:
        """
        Dial one more tunnel and register it.

        :param origin_port: of its own origin; 0: of the one that all have.
        """
        tunnel = await self.dial_tunnel(agent, labels, origin_port)
        self.table.add(tunnel, offers)
        return tunnel

    async def dial_tunnel(self, agent: str, labels: Mapping[str, str], origin_port: int) -> Tunnel:
        """Dial one more tunnel."""
        stub = StubAgent(self.reactor, origin_port or self.origin_port)
        opened: Deferred[TunnelProtocol] = Deferred()
        self._delegate.opened.append(opened)
        far_end = PlainTunnel(Role.CLIENT, stub, clock=self.reactor, turn=self.turn)
        await connectProtocol(TCP4ClientEndpoint(self.reactor, LOOPBACK, self._tunnel_port), far_end)
        protocol = await opened
        tunnel = Tunnel(f"t-{len(self.tunnels) + 1}", agent, protocol, stub, far_end, labels)
        self.tunnels.append(tunnel)
        return tunnel

    async def visitor(self, port: int = 0, address: str = "") -> RawConnection:
        """Connect as a visitor, from an address if one is given."""
        client = RawConnection()
        endpoint = TCP4ClientEndpoint(
            self.reactor, LOOPBACK, port or self.visitor_port, bindAddress=(address, 0) if address else None
        )
        await connectProtocol(endpoint, client)
        self.clients.append(client)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a new connection and return all that comes until the edge closes."""
        client = await self.visitor()
        client.send(request)
        await client.lost()
        return client.received

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the reactor turn until a condition of the edge's own state holds."""
        while not condition():
            await deferLater(self.reactor, 0)

    async def turns(self, count: int) -> None:
        """Let the reactor turn a number of times: each hop from origin to visitor takes two at most."""
        for _ in range(count):
            await deferLater(self.reactor, 0)

    @property
    def connection(self) -> VisitorConnection:
        """The edge's end of the only visitor's connection."""
        (connection,) = self.visitors.connections
        assert isinstance(connection, VisitorConnection)
        return connection

    def access_lines(self) -> list[bytes]:
        """Return the lines of the access log so far."""
        self.log.flush()
        return b"".join(self.lines).splitlines()


def get(path: bytes = b"/", *lines: bytes, host: bytes = HOSTNAME.encode()) -> bytes:
    """Build a GET request."""
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: " + host, *lines, b"", b""])


def status_of(response: bytes) -> int:
    """Return the status of the first response in some bytes."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", response)
    assert match is not None, response
    return int(match[1])


def _main(arguments: list[str]) -> None:
    from twisted.internet import reactor

    visitor_port, origin_port = map(int, arguments[:2])
    hostname = arguments[2] if len(arguments) > 2 else HOSTNAME
    harness = EdgeHarness(as_reactor(reactor), timeouts=VisitorTimeouts())
    Deferred.fromCoroutine(
        harness.start(visitor_port=visitor_port, origin_port=origin_port, hostname=hostname)
    ).addErrback(lambda failure: failure.printTraceback())
    as_reactor(reactor).run()


if __name__ == "__main__":
    _main(sys.argv[1:])
