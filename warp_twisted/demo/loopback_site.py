"""
A web site on a loopback port of its own choice, which the agent beside it exposes.

Stopping it cuts every connection, so that a stopped application is stopped for everybody.
"""

import weakref
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorTCP, ITCPTransport
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from warp_base.quiet_site import QuietSite


class _Channel(HTTPChannel):
    """A connection that its site can find again, whatever protocol it speaks by then."""

    site: "_ClosableSite"

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.transports.add(cast(ITCPTransport, self.transport))


class _ClosableSite(QuietSite):
    """A site that can close the connections it has, so that a stopped application is stopped for everybody."""

    protocol = _Channel  # type: ignore[assignment]  # documented as replaceable, typed as the private default

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource, timeout=None)
        self.transports: weakref.WeakSet[ITCPTransport] = weakref.WeakSet()

    def close(self) -> None:
        """Cut every connection."""
        for transport in list(self.transports):
            transport.abortConnection()


class LoopbackSite:
    """
    A site that may be stopped and started again.

    :param root: what it serves.
    :ivar port: where it listens, once it was started.
    """

    def __init__(self, reactor: IReactorTCP, root: Resource) -> None:
        self._site = _ClosableSite(root)
        self._reactor = reactor
        self._listener: IListeningPort | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen, and set `port`; a second start takes the same port again."""
        endpoint = TCP4ServerEndpoint(self._reactor, self.port, interface="127.0.0.1")
        self._listener = await endpoint.listen(self._site)
        self.port = cast(IPv4Address, self._listener.getHost()).port

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._listener is not None:
            await maybeDeferred(self._listener.stopListening)
            self._listener = None
        self._site.close()
