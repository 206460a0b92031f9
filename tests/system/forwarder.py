"""A forwarder of TCP on loopback that can fall silent: connections stay, and nothing comes through them any more."""

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.case import reactor
from tests.system.agent.origins import port_of
from warp_base.host_port import split_host_port


class Forwarder:
    """
    Forwards connections to one address.

    :ivar is_silent: whether what comes is lost, as in a network that is cut; connections that come are held.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._listening: Any = None
        self.ends: set[_End] = set()
        self.is_silent = False

    def start(self) -> str:
        """Listen, and return where."""
        self._listening = reactor.listenTCP(0, cast(Any, _Factory(self)), interface="127.0.0.1")
        return f"127.0.0.1:{port_of(self._listening)}"

    async def stop(self) -> None:
        """End everything."""
        await self._listening.stopListening()
        for end in tuple(self.ends):
            end.abort()

    async def connect(self, near: "_End") -> None:
        """Connect a client with the address that is forwarded to."""
        host, port = split_host_port(self._address)
        assert port is not None
        far = _End(self)
        try:
            await connectProtocol(TCP4ClientEndpoint(reactor, host, port), far)
        except ConnectError:
            near.abort()
            return
        near.pair(far)


class _Factory(Factory):
    noisy = False

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    def buildProtocol(self, addr: object) -> "_Near":
        return _Near(self._forwarder)


class _End(Protocol):
    """One end of a connection; what comes before the other is there is kept."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._other: _End | None = None
        self._early = bytearray()

    def pair(self, other: "_End") -> None:
        """Forward between the two."""
        self._other, other._other = other, self
        for end in (self, other):
            end.dataReceived(b"")

    def connectionMade(self) -> None:
        self._forwarder.ends.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self._forwarder.is_silent:
            return
        self._early += data
        if self._other is not None and self._other.transport is not None:
            self._other.transport.write(bytes(self._early))
            self._early.clear()

    def abort(self) -> None:
        """End the connection, at this end."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._forwarder.ends.discard(self)
        if self._other is not None and not self._forwarder.is_silent:
            self._other.abort()


class _Near(_End):
    """The end of who came."""

    def connectionMade(self) -> None:
        super().connectionMade()
        Deferred.fromCoroutine(self._forwarder.connect(self))
