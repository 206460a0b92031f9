"""The edge's data path in memory: a clock, a tunnel and visitors' sockets of the test's."""

from twisted.internet.task import Clock

from tests.edge.fakes import FakeTransport, FakeTunnel
from warp_twisted.edge.exchange.access_log import AccessLog
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.visitors.crowd import Visitors
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

GET = b"GET /a HTTP/1.1\r\nHost: app.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class MemoryEdge:
    """Everything behind one listener, with a clock and a tunnel of the test's."""

    def __init__(self, limits: VisitorLimits | None = None) -> None:
        self.clock = Clock()
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics, limits)
        self.lines: list[bytes] = []
        self.visitors = Visitors(
            self.table,
            self.metrics,
            self.clock,
            access_log=AccessLog(self.lines.append),
            limits=limits,
            timeouts=VisitorTimeouts(),
            seconds=self.clock.seconds,
        )
        self.visitors.start()
        self.tunnel = FakeTunnel("t-1")
        self.table.add(self.tunnel, [RouteOffer(id=0, hostname="app.example")])

    def visitor(self, kind: type[PlainVisitor] = PlainVisitor) -> tuple[PlainVisitor, FakeTransport]:
        """Connect."""
        self.visitors.counts.admit("192.0.2.7")
        connection, transport = kind(self.visitors, "192.0.2.7"), FakeTransport()
        connection.makeConnection(transport)
        return connection, transport

    def streams(self) -> list[Stream]:
        """Return the streams that are open, in the order in which they were opened."""
        return [stream for _, stream in self.tunnel.protocol.opened if stream.state is not StreamState.CLOSED]
