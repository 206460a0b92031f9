"""TCP to origins, as `originRequest` has it: addresses one after the other, and keep-alive."""

from socket import IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from zope.interface import implementer

from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.origins.interface import OriginRequest


def origin_endpoint(reactor: IReactorTime, host: str, port: int, request: OriginRequest) -> IStreamClientEndpoint:
    """Return the endpoint that connects to an origin."""
    timeout = request.connect_timeout
    endpoint = tcp_endpoint(reactor, host, port, timeout, attempt_delay=timeout if request.no_happy_eyeballs else None)
    return KeptAlive(endpoint, request.tcp_keep_alive) if request.tcp_keep_alive else endpoint


@implementer(IStreamClientEndpoint)
class KeptAlive:
    """
    Connects, and has the kernel ask a silent peer whether it is still there (tcp(7), TCP_KEEPIDLE).

    :param seconds: of silence, and between two questions; whole ones, at least 1.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, seconds: float) -> None:
        self._endpoint = endpoint
        self._seconds = max(1, round(seconds))

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(factory)
        return connecting.addCallback(self._keep)

    def _keep(self, protocol: Any) -> IProtocol:
        transport = protocol.transport
        transport.setTcpKeepAlive(True)
        for option in (TCP_KEEPIDLE, TCP_KEEPINTVL):
            transport.getHandle().setsockopt(IPPROTO_TCP, option, self._seconds)
        connected: IProtocol = protocol
        return connected
