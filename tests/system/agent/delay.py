"""A line between an agent and an edge that takes a while, can stand still, and can be cut: a TCP proxy on loopback."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IDelayedCall, IListeningPort, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.case import reactor
from tests.system.agent.origins import listen_at, port_of


class Line(Factory):
    """
    The line to one edge.

    :param target: the edge's port on loopback.
    :ivar seconds: how long bytes take, one way.
    :ivar is_still: whether bytes get nowhere, although connections are accepted: as if the edge's process had stopped.
    :ivar connections: how many were made.
    """

    noisy = False

    def __init__(self, target: int, seconds: float = 0.0) -> None:
        self.target = target
        self.seconds = seconds
        self.is_still = False
        self.connections = 0
        self._listening: IListeningPort = listen_at(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), self)
        self.port = port_of(self._listening)
        self.ends: set[_End] = set()
        self.calls: list[IDelayedCall] = []
        self._waiters: list[tuple[int, Deferred[None]]] = []

    def until_asked(self, connections: int) -> Deferred[None]:
        """Wait until so many connections were made in all."""
        waiter: Deferred[None] = Deferred()
        self._waiters.append((connections, waiter))
        return waiter

    def buildProtocol(self, addr: object) -> "_End":
        """Lead a connection on."""
        self.connections += 1
        for wanted, waiter in list(self._waiters):
            if self.connections >= wanted:
                self._waiters.remove((wanted, waiter))
                waiter.callback(None)
        near, far = _End(self), _End(self)
        near.other, far.other = far, near
        connecting = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.target), far)
        connecting.addErrback(lambda _: near.hang_up())
        return near

    async def stop(self) -> None:
        """Close."""
        await maybeDeferred(self._listening.stopListening)
        for end in list(self.ends):
            end.hang_up()
        for call in self.calls:
            if call.active():
                call.cancel()
        self.is_still = True


class _End(Protocol):
    """One end of a connection; what comes in goes out at the other, later."""

    transport: ITCPTransport
    other: "_End"

    def __init__(self, line: Line) -> None:
        self._line = line
        self._unsent: list[bytes] = []

    def connectionMade(self) -> None:
        self._line.ends.add(self)
        for data in self._unsent:
            self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self._later(lambda: self.other.send(data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._line.ends.discard(self)
        self._later(self.other.hang_up)

    def _later(self, call: Callable[[], None]) -> None:
        if not self._line.is_still:
            self._line.calls = [each for each in self._line.calls if each.active()]
            self._line.calls.append(reactor.callLater(self._line.seconds, call))

    def send(self, data: bytes) -> None:
        """Send what the other end received."""
        if not self.connected:
            self._unsent.append(data)
        else:
            self.transport.write(data)

    def hang_up(self) -> None:
        """Close."""
        if self.connected:
            self.transport.abortConnection()
