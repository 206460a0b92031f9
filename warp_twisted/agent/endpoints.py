"""
The endpoint that connects to a host and port, for origins and edges alike.

`localhost` is the usual origin and gets an endpoint of its own: Twisted's `HostnameEndpoint` asks a thread
for each connection and waits 300 ms after a refused `::1` before it tries `127.0.0.1` (measured); ours asks
nobody (RFC 6761 §6.3) and begins with the address that answered last.
"""

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer


def tcp_endpoint(
    reactor: IReactorTime, host: str, port: int, timeout: float, attempt_delay: float | None = None
) -> IStreamClientEndpoint:
    """
    Return the endpoint that connects to a host and port the quickest safe way.

    :param attempt_delay: seconds from one address of a name to the next, if the first has not answered; None: 0.3.
    """
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    if host == "localhost":
        return LoopbackEndpoint(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout),
            TCP6ClientEndpoint(reactor, "::1", port, timeout),
        )
    return HostnameEndpoint(reactor, host, port, timeout, attemptDelay=attempt_delay)


@implementer(IStreamClientEndpoint)
class LoopbackEndpoint:
    """
    Connects to the first of two endpoints, to the other when that fails, and begins with the better one
    next time.
    """

    def __init__(self, first: IStreamClientEndpoint, other: IStreamClientEndpoint) -> None:
        self._first = first
        self._other = other

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; when both fail, the error is that of the endpoint tried first."""
        connecting: Deferred[IProtocol] = self._first.connect(factory)
        return connecting.addErrback(self._connect_other, factory)

    def _connect_other(self, first_failure: Failure, factory: IProtocolFactory) -> Deferred[IProtocol]:
        first_failure.trap(ConnectError)

        def answered(protocol: IProtocol) -> IProtocol:
            self._first, self._other = self._other, self._first
            return protocol

        def neither_answered(_: Failure) -> Failure:
            return first_failure

        connecting: Deferred[IProtocol] = self._other.connect(factory)
        return connecting.addCallbacks(answered, neither_answered)
