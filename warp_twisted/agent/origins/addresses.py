"""
Where origins are: `host:port` read from a service text, and the endpoint that connects there.

`localhost` is the usual origin and gets an endpoint of its own: Twisted's `HostnameEndpoint` asks a thread
for each connection and waits 300 ms after a refused `::1` before it tries `127.0.0.1` (measured); ours asks
nobody (RFC 6761 §6.3) and begins with the address that answered last.
"""

from urllib.parse import urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.errors import InvalidSettings


def split_address(service: str, default_port: int | None) -> tuple[str, str, int]:
    """
    Take a `scheme://host:port` service apart.

    :param default_port: the port when none is written, None if one must be.
    :returns: scheme, host (an IPv6 address without brackets), port.
    :raises InvalidSettings: if there is more than that in it, or less.
    """
    try:
        parts = urlsplit(service)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidSettings(f"{service!r} is not a service: {error}") from error
    if not host or any(character.isspace() for character in service) or not host.isprintable():
        raise InvalidSettings(f"{service!r} is not a service: {parts.scheme}://host:port is expected")
    if parts.username is not None or parts.password is not None:
        raise InvalidSettings("a service may not hold a user name or password: the agent passes requests on unread")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidSettings(
            f"{service!r} is not a service: the path is the visitor's, expected {parts.scheme}://host:port"
        )
    if port is None:
        port = default_port
    if not port:
        raise InvalidSettings(f"{service!r} is not a service: {parts.scheme}://host:port is expected")
    return parts.scheme, host, port


def tcp_endpoint(reactor: IReactorTime, host: str, port: int, timeout: float) -> IStreamClientEndpoint:
    """Return the endpoint that connects to a host and port the quickest safe way."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    if host == "localhost":
        return LoopbackEndpoint(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout),
            TCP6ClientEndpoint(reactor, "::1", port, timeout),
        )
    return HostnameEndpoint(reactor, host, port, timeout)


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
