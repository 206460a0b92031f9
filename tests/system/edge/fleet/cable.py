"""
A cable between two programs: a TCP proxy on loopback that can stop passing bytes, in both directions or in one.

What is under way while it is cut waits in the sockets and arrives when it is mended, as TCP repeats it. Who connects
through a cable that is cut in both directions reaches nobody until then.
"""

from collections.abc import Iterable

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from tests.case import reactor
from tests.system.agent.origins import listen_at, port_of

FORTH, BACK = "forth", "back"  # from who connects, and to it


class Cable(Factory):
    """
    The cable to one listener.

    :param port: of the listener.
    :param address: of the listener and of the cable, on loopback.
    :ivar port: where to connect instead.
    """

    noisy = False

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._target = TCP4ClientEndpoint(reactor, address, port)
        self._cut: frozenset[str] = frozenset()
        self._near: set[_Near] = set()
        self._listening: IListeningPort = listen_at(TCP4ServerEndpoint(reactor, 0, interface=address), self)
        self.port = port_of(self._listening)

    def cut(self, *directions: str) -> None:
        """Pass nothing more in these directions; in none, if none is named."""
        self._cut = frozenset(directions or (FORTH, BACK))
        self._follow(self._near)

    def mend(self) -> None:
        """Pass everything again."""
        self._cut = frozenset()
        self._follow(list(self._near))

    def _follow(self, ends: "Iterable[_Near]") -> None:
        for near in ends:
            if len(self._cut) < 2:
                near.reach(self._target)
            near.pass_on(FORTH not in self._cut)
            near.far.pass_on(BACK not in self._cut)

    def buildProtocol(self, addr: object) -> "_Near":
        """Lead a connection on."""
        return _Near(self)

    def joined(self, near: "_Near") -> None:
        """Take a new connection."""
        self._near.add(near)
        self._follow([near])

    def left(self, near: "_Near") -> None:
        """Forget one."""
        self._near.discard(near)

    async def stop(self) -> None:
        """Close."""
        await maybeDeferred(self._listening.stopListening)
        for near in list(self._near):
            near.hang_up()


class _End(Protocol):
    """One end of a connection."""

    transport: Connection
    other: "_End"

    def __init__(self) -> None:
        self._unsent: list[bytes] = []
        self._passes = True

    def connectionMade(self) -> None:
        for data in self._unsent:
            self.transport.write(data)
        self.pass_on(self._passes)

    def dataReceived(self, data: bytes) -> None:
        self.other.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.other.hang_up()

    def pass_on(self, passes: bool) -> None:
        """Read, or do not."""
        self._passes = passes
        if self.connected:
            (self.transport.resumeProducing if passes else self.transport.pauseProducing)()

    def send(self, data: bytes) -> None:
        """Send what the other end has read."""
        if self.connected:
            self.transport.write(data)
        else:
            self._unsent.append(data)

    def hang_up(self) -> None:
        """Close."""
        if self.connected:
            self.transport.abortConnection()


class _Near(_End):
    """The end of who connects."""

    def __init__(self, cable: Cable) -> None:
        super().__init__()
        self._cable = cable
        self._is_reaching = False
        self.far = self.other = _End()
        self.far.other = self

    def connectionMade(self) -> None:
        super().connectionMade()
        self._cable.joined(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._cable.left(self)

    def reach(self, endpoint: IStreamClientEndpoint) -> None:
        """Connect to the listener, once."""
        if not self._is_reaching:
            self._is_reaching = True
            connecting = connectProtocol(endpoint, self.far)
            connecting.addErrback(lambda _: self.hang_up())
