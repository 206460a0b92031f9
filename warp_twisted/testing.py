"""
A public kit for tests: two ends of a tunnel joined in memory, without sockets, TLS or real time.

The real protocol code runs on both ends; only the transport and the clock are fakes. Nothing moves until `pump`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IConsumer, IProducer, IProtocol, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.tunnel.limits import TunnelTimes
from warp_twisted.tunnel.protocol import TunnelDelegate, TunnelProtocol
from warp_twisted.tunnel.turns import Turn
from warp_twisted.wire.control import ControlMessage, Drain
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import Opening
from warp_twisted.wire.streams import Stream


@dataclass(eq=False)
class RecordingDelegate:
    """
    A `TunnelDelegate` that remembers what it was told. Streams that are opened stay unanswered; the test answers.
    """

    opened: list[TunnelProtocol] = field(default_factory=list)
    messages: list[ControlMessage] = field(default_factory=list)
    streams: list[tuple[Stream, int]] = field(default_factory=list)
    receivers: list["RecordingReceiver"] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    hung_up: list[TunnelProtocol] = field(default_factory=list)
    losses: list[WireError] = field(default_factory=list)

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Remember the tunnel."""
        self.opened.append(tunnel)

    def control_received(self, tunnel: TunnelProtocol, message: ControlMessage) -> None:
        """Remember the message."""
        self.messages.append(message)

    def stream_opened(self, tunnel: TunnelProtocol, stream: Stream, route_id: int) -> None:
        """Remember the stream and record what comes."""
        receiver = RecordingReceiver()
        receiver.attach(stream)
        self.streams.append((stream, route_id))
        self.receivers.append(receiver)

    def drain_received(self, tunnel: TunnelProtocol, drain: Drain) -> None:
        """Remember the drain."""
        self.drains.append(drain)

    def tunnel_hung_up(self, tunnel: TunnelProtocol) -> None:
        """Remember the tunnel."""
        self.hung_up.append(tunnel)

    def tunnel_lost(self, tunnel: TunnelProtocol, error: WireError) -> None:
        """Remember the error."""
        self.losses.append(error)


class RecordingReceiver:
    """
    A `StreamReceiver`, and `OpeningReceiver`, that remembers what it was told.

    :param consumes: whether it returns credit at once, as a reader that keeps up.
    """

    def __init__(self, consumes: bool = True) -> None:
        self.consumes = consumes
        self._stream: Stream | None = None
        self.data = b""
        self.has_ended = False
        self.credits = 0
        self.errors: list[WireError] = []
        self.openings: list[Opening] = []

    @property
    def stream(self) -> Stream:
        """
        The stream whose receiver this is.

        :raises AssertionError: if it is none's.
        """
        assert self._stream is not None, "not attached to a stream"  # noqa: S101 -- a kit for tests
        return self._stream

    @stream.setter
    def stream(self, stream: Stream) -> None:
        self._stream = stream

    def attach(self, stream: Stream) -> None:
        """Become the receiver of a stream."""
        self.stream = stream
        stream.receiver = self

    def data_received(self, data: bytes) -> None:
        """Remember the bytes."""
        self.data += data
        if self.consumes and self._stream is not None:
            self._stream.consumed(len(data))

    def end_received(self) -> None:
        """Remember the end."""
        self.has_ended = True

    def credit_received(self) -> None:
        """Count."""
        self.credits += 1

    def stream_lost(self, error: WireError) -> None:
        """Remember the error."""
        self.errors.append(error)

    def opening_received(self, opening: Opening) -> None:
        """Remember the answer."""
        self.openings.append(opening)


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a pipe in memory.

    :param capacity: bytes in flight above which the producer that writes is paused, as a full socket buffer does.
    :ivar peer_certificate: what `TunnelProtocol.peer_certificate` returns.
    """

    negotiated_protocol = "warp/1"

    def __init__(
        self, protocol: IProtocol, host: IAddress, peer: IAddress, capacity: int, certificate: x509.Certificate | None
    ) -> None:
        self.protocol = protocol
        self.peer_certificate = certificate
        self.capacity = capacity
        self.other: MemoryTransport | None = None
        self.in_flight = bytearray()
        self.is_lost = False
        self.disconnecting = False
        self._host = host
        self._peer = peer
        self._producer: IPushProducer | None = None
        self._has_paused_producer = False
        self._is_reading = True

    def getHost(self) -> IAddress:
        return self._host

    def getPeer(self) -> IAddress:
        return self._peer

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.is_lost:
            return
        self.in_flight += data
        if len(self.in_flight) > self.capacity and self._producer is not None and not self._has_paused_producer:
            self._has_paused_producer = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.in_flight.clear()
        self.disconnecting = True

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self._is_reading = False

    def resumeProducing(self) -> None:
        self._is_reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    pause_reading, resume_reading = pauseProducing, resumeProducing

    def deliver(self, count: int) -> bool:
        """Move up to `count` bytes to the other end; returns whether anything happened."""
        other = self.other
        if other is None or self.is_lost:
            return False
        if self.in_flight and other._is_reading and not other.is_lost:
            data = bytes(self.in_flight[:count])
            del self.in_flight[:count]
            other.protocol.dataReceived(data)
            if self._has_paused_producer and len(self.in_flight) <= self.capacity:
                self._has_paused_producer = False
                if self._producer is not None:
                    self._producer.resumeProducing()
            return True
        if self.disconnecting and (other.is_lost or not self.in_flight):
            self.lose()
            other.lose()
            return True
        return False

    def lose(self) -> None:
        """Tell the protocol that the connection is gone, once."""
        if not self.is_lost:
            self.is_lost = True
            protocol = self.protocol
            del self.protocol  # as Twisted's transports do, so that no reference cycle is left
            self._producer = self.other = None
            protocol.connectionLost(Failure(ConnectionDone()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelPair:
    """
    Both ends of a tunnel.

    :ivar clock: the reactor of both; `clock.advance` lets time pass.
    """

    edge: TunnelProtocol
    agent: TunnelProtocol
    edge_transport: MemoryTransport
    agent_transport: MemoryTransport
    clock: Clock

    def pump(self, turns: int = 1000, chunk: int = 64 * 1024) -> None:
        """
        Move bytes and run calls that are due until both ends are quiet.

        :param chunk: bytes that one read returns.
        :raises AssertionError: if they are not quiet after so many turns.
        """
        for _ in range(turns):
            self.clock.advance(0)
            moved = self.edge_transport.deliver(chunk)
            moved = self.agent_transport.deliver(chunk) or moved
            now = self.clock.seconds()
            if not moved and not any(call.getTime() <= now for call in self.clock.getDelayedCalls()):
                return
        raise AssertionError(f"the tunnel is not quiet after {turns} turns")


def tunnel_pair(
    edge: TunnelDelegate,
    agent: TunnelDelegate,
    *,
    clock: Clock | None = None,
    certificate: x509.Certificate | None = None,
    edge_limits: Limits | None = None,
    agent_limits: Limits | None = None,
    times: TunnelTimes | None = None,
    capacity: int = 64 * 1024,
) -> TunnelPair:
    """
    Join an edge's end and an agent's end in memory and open the tunnel.

    :param edge: who uses the edge's end; `RecordingDelegate` will often do.
    :param agent: who uses the agent's end.
    :param certificate: the agent's, as the edge sees it.
    :param capacity: bytes in flight in each direction before the sender is paused.
    """
    clock = clock or Clock()
    turn = Turn(clock)
    edge_end = TunnelProtocol(Role.SERVER, edge, clock=clock, turn=turn, limits=edge_limits, times=times)
    agent_end = TunnelProtocol(Role.CLIENT, agent, clock=clock, turn=turn, limits=agent_limits, times=times)
    here, there = IPv4Address("TCP", "192.0.2.1", 7844), IPv4Address("TCP", "192.0.2.2", 40000)
    edge_transport = MemoryTransport(edge_end, here, there, capacity, certificate)
    agent_transport = MemoryTransport(agent_end, there, here, capacity, None)
    edge_transport.other, agent_transport.other = agent_transport, edge_transport
    edge_end.makeConnection(edge_transport)
    agent_end.makeConnection(agent_transport)
    pair = TunnelPair(
        edge=edge_end, agent=agent_end, edge_transport=edge_transport, agent_transport=agent_transport, clock=clock
    )
    pair.pump()
    return pair
