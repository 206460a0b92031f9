"""Listening on loopback in tests of tunnels, and waiting for what the reactor does next."""

from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol, ServerFactory

from tests.case import reactor


def listen(factory: Factory) -> IListeningPort:
    """Listen on a free port of loopback; the caller stops it."""
    # Twisted's stubs ask for a `ServerFactory`, which is a `Factory` under another name.
    return reactor.listenTCP(0, cast(ServerFactory, factory), interface="127.0.0.1")


def serve(build: Callable[[], Protocol]) -> IListeningPort:
    """Listen, and run what `build` returns on each connection."""
    factory: Factory = Factory()
    factory.buildProtocol = lambda addr: build()  # type: ignore[method-assign]
    return listen(factory)


def port_of(listening: IListeningPort) -> int:
    """The port that was given."""
    address = listening.getHost()
    assert isinstance(address, IPv4Address)
    return address.port


def endpoint_of(listening: IListeningPort) -> HostnameEndpoint:
    """How to connect to it."""
    return HostnameEndpoint(reactor, "127.0.0.1", port_of(listening))


def turn() -> Deferred[None]:
    """Let the reactor turn once."""
    deferred: Deferred[None] = Deferred()
    reactor.callLater(0, deferred.callback, None)
    return deferred


async def until(condition: Callable[[], object]) -> None:
    """Let the reactor turn until something is true; the test's own time-out ends it."""
    while not condition():
        await turn()
