"""Visitors of several edges who ask all the time, follow events and keep something upgraded; and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from tests.case import reactor
from tests.system.edge.harness import RawConnection, get, status_of

ASK_SECONDS = 0.08  # between two requests for one hostname at one edge
EVENT_SECONDS = 0.05


class Origin(Protocol):
    """Answers each request, sends events without end, and returns what it is sent once upgraded."""

    def __init__(self) -> None:
        self._received = b""
        self._is_upgraded = False
        self._events = LoopingCall(self._send, b"data: 0123456789\n\n")

    def _send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        if self._is_upgraded:
            self._send(data)
            return
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ")[1]
            if path == b"/events":
                self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                self._events.start(EVENT_SECONDS)
            elif path == b"/socket":
                self._is_upgraded = True
                self._send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            else:
                self._send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._events.running:
            self._events.stop()


@dataclass(slots=True)
class Asked:
    """
    One request.

    :ivar status: of the answer; 0 without one, None while there is none yet.
    :ivar seconds: until it was there whole.
    """

    edge: str
    hostname: str
    at: float
    status: int | None = None
    seconds: float = 0.0


class Visitors:
    """
    Those of some edges.

    :param ports: where each edge takes visitors.
    :param hostnames: for which they ask at each.
    :ivar asked: all requests, in order.
    """

    def __init__(self, ports: Mapping[str, int], hostnames: Sequence[str]) -> None:
        self._ports = ports
        self._hostnames = hostnames
        self._asking = LoopingCall(self._ask_all)
        self._under_way: set[_Asking] = set()
        self._open: list[RawConnection] = []
        self.asked: list[Asked] = []

    def start(self) -> None:
        """Begin to ask."""
        self._asking.start(ASK_SECONDS)

    def stop(self) -> None:
        """Ask no more, and hang up."""
        if self._asking.running:
            self._asking.stop()
        for asking in list(self._under_way):
            asking.hang_up()
        for connection in self._open:
            connection.abort()

    async def open(self, edge: str, hostname: str, path: str, *fields: bytes) -> RawConnection:
        """Ask for something that goes on, and wait until it has begun."""
        connection = RawConnection()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self._ports[edge]), connection)
        self._open.append(connection)
        connection.send(get(path.encode(), *fields, host=hostname.encode()))
        await connection.until(b"\r\n\r\n")
        return connection

    def failures(self, since: float, edge: str = "", hostname: str = "") -> list[Asked]:
        """Return the requests from an instant on that were not answered 200; those under way are left out."""
        return [
            each
            for each in self.asked
            if each.at >= since
            and each.status not in (200, None)
            and edge in ("", each.edge)
            and hostname in ("", each.hostname)
        ]

    def unanswered(self, edge: str = "") -> list[Asked]:
        """Return the requests that are under way."""
        return [asking.asked for asking in self._under_way if edge in ("", asking.asked.edge)]

    def _ask_all(self) -> None:
        for edge, port in self._ports.items():
            for hostname in self._hostnames:
                asked = Asked(edge, hostname, reactor.seconds())
                self.asked.append(asked)
                asking = _Asking(asked, self._under_way)
                connecting = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), asking)
                connecting.addErrback(lambda _, asking=asking: asking.ended())


class _Asking(Protocol):
    """The connection of one request."""

    transport: Connection

    def __init__(self, asked: Asked, under_way: "set[_Asking]") -> None:
        self.asked = asked
        self._received = b""
        self._under_way = under_way
        under_way.add(self)

    def connectionMade(self) -> None:
        self.transport.write(get(b"/", b"Connection: close", host=self.asked.hostname.encode()))

    def dataReceived(self, data: bytes) -> None:
        self._received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended()

    def ended(self) -> None:
        """Note what came."""
        self.asked.seconds = reactor.seconds() - self.asked.at
        self.asked.status = status_of(self._received) if self._received else 0
        self._under_way.discard(self)

    def hang_up(self) -> None:
        """Wait no more."""
        if self.connected:
            self.transport.abortConnection()
