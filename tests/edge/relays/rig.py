"""Two edges in memory: one has visitors and a link, the other one a tunnel; the wire of both is real."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.edge.fakes import FakeBorrower
from tests.wire.pair import End, Pair
from warp_twisted.edge.relays.arrivals import Arrivals
from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.remote_tunnel import RelayOpener, RemoteTunnel
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import (
    OpeningCode,
    OpeningReader,
    OpeningReceiver,
    PreambleReader,
    decode_preamble,
    encode_opening,
    encode_preamble,
)
from warp_twisted.wire.relayed import RelayPreamble, decode_relay_preamble
from warp_twisted.wire.streams import Stream

HOSTNAME = "app.example"
ROUTE = 5


class EndOpener:
    """Opens streams at one end of a connection, as `TunnelProtocol` does."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.heard_at = 0.0
        self.pings = 0

    @property
    def can_open_stream(self) -> bool:
        return self.end.connection.can_open_stream

    def open_with(self, preamble: bytes, receiver: OpeningReceiver) -> Stream:
        reader = OpeningReader(receiver)
        reader.stream = self.end.connection.open_stream(reader, preamble)
        return reader.stream

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        return self.open_with(encode_preamble(route_id) + data, receiver)

    def ping(self) -> None:
        self.pings += 1


@dataclass(eq=False)
class Tunnel:
    """A tunnel that the second edge has."""

    protocol: EndOpener
    id: str = "t-1"
    agent: str = "agent-1"
    labels: Mapping[str, str] = field(default_factory=dict)
    via: str = ""


class Visitor(FakeBorrower):
    """Who asks: takes bytes, and notes with each piece whether the agent had heard of what was asked."""

    def __init__(self, consumes: bool = True) -> None:
        super().__init__()
        self.consumes = consumes
        self.heard: list[tuple[bytes, bool]] = []

    def lent(self, origin: OriginStream) -> None:
        """Use a stream."""
        self.stream = origin.stream

    def data_received(self, data: bytes) -> None:
        """Remember the bytes."""
        super().data_received(data)
        self.heard.append((data, self.stream.peer_heard))


class Rig:
    """
    Both edges and the agent.

    :ivar link: from the first edge (`edge`) to the second (`agent`).
    :ivar tunnel: from the second edge to the agent.
    :ivar served: streams that have reached the agent's origin.
    """

    def __init__(self, chunk: int = 0, max_requests: int = 0, limits: Limits | None = None) -> None:
        self.link = Pair(chunk, limits)
        self.tunnel = Pair(chunk, limits)
        self.counters = RelayCounters()
        self.second = RouteTable(DataPathMetrics())
        self.local = Tunnel(EndOpener(self.tunnel.edge))
        offer = RouteOffer(id=ROUTE, hostname=HOSTNAME, max_requests=max_requests)
        self.second.add(self.local, [offer])
        self.arrivals = Arrivals(self.second.route_of, self.counters)
        self.failures: list[WireError] = []
        self.link.agent.connection._stream_opened = self._relayed
        self.served: list[tuple[int, RecordingReceiver]] = []
        self.code = OpeningCode.OPENED
        self.tunnel.agent.connection._stream_opened = self._opened
        self.first = RouteTable(DataPathMetrics())
        link = EndOpener(self.link.edge)
        opener = RelayOpener("edge-2", "agent-1", lambda edge: link, self.counters.of("edge-2"))
        self.remote = RemoteTunnel("edge-2", "agent-1", {}, opener)
        self.first.add(self.remote, self.remote.offers([offer]))

    def _relayed(self, stream: Stream) -> None:
        PreambleReader(stream, self._arrived, lambda _, error: self.failures.append(error), decode_relay_preamble)

    def _arrived(self, stream: Stream, relayed: RelayPreamble) -> None:
        self.arrivals.take("edge-1", stream, relayed)

    def _opened(self, stream: Stream) -> None:
        PreambleReader(stream, self._reached, lambda _, error: self.failures.append(error), decode_preamble)

    def _reached(self, stream: Stream, route_id: int) -> None:
        receiver = RecordingReceiver()
        receiver.attach(stream)
        self.served.append((route_id, receiver))
        stream.write(encode_opening(self.code, "why"))
        if self.code is not OpeningCode.OPENED:
            stream.end()

    @property
    def origin(self) -> RecordingReceiver:
        """The agent's end of the only stream."""
        ((_, receiver),) = self.served
        return receiver

    def remote_streams(self) -> list[Stream]:
        """Return the streams that the first edge has opened."""
        return list(self.link.edge.connection._streams.values())

    def pump(self) -> None:
        """Move bytes until everybody is quiet."""
        for _ in range(3):
            self.link.pump()
            self.tunnel.pump()

    def borrow(self, visitor: Visitor) -> OriginStream:
        """Lend a stream at the first edge."""
        route = self.first.find(HOSTNAME, b"/")
        assert isinstance(route, Route)
        origin = route.borrow(visitor)
        visitor.lent(origin)
        return origin

    def ask(self, visitor: Visitor, request: bytes = b"GET / HTTP/1.1\r\n\r\n") -> OriginStream:
        """Send a request, and let it arrive."""
        origin = self.borrow(visitor)
        origin.stream.write(request)
        self.pump()
        return origin
