"""
Measuring how far an edge is that has no tunnel of ours: from the first message of TLS to the first bytes of its answer.

That is one round trip and what the edge computes for its answer, half a millisecond; a ping over a tunnel takes as
long. A TCP connection alone would not do: a process that has stopped still accepts, and a load balancer answers for an
edge. The connection is closed with the answer: no certificate is judged here, and none of ours is shown.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectionDone, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.links.edge_dialer import CONNECT_SECONDS
from warp_twisted.tunnel.contexts import server_name

ANSWER_SECONDS = 5.0


class MeasuresRoundTrips(Protocol):
    """What `Rebalancing` asks of a way to measure."""

    async def measure(self, edge: EdgeAddress) -> float:
        """
        Return the round trip to an edge in seconds.

        :raises ConnectError: if it does not answer.
        """


class RoundTrips:
    """
    Measures round trips.

    :param tls_context: returns what tunnels are dialed with now.
    """

    def __init__(self, reactor: IReactorTime, tls_context: Callable[[], ssl.SSLContext]) -> None:
        self._reactor = reactor
        self._tls_context = tls_context

    async def measure(self, edge: EdgeAddress) -> float:
        """
        Return the round trip to an edge in seconds.

        :raises ConnectError: if it does not answer.
        """
        greeting = _greeting(self._tls_context(), edge.host)
        endpoint = tcp_endpoint(self._reactor, edge.host, edge.port, CONNECT_SECONDS)
        asking: _Asking = await connectProtocol(endpoint, _Asking(self._reactor, greeting))
        return await asking.answered


class _Asking(TwistedProtocol):
    """One connection: our greeting, and the wait for the first bytes."""

    transport: ITCPTransport | None

    def __init__(self, clock: IReactorTime, greeting: bytes) -> None:
        self.answered: Deferred[float] = Deferred(self._cancelled)
        self._clock = clock
        self._greeting = greeting
        self._asked_at = 0.0
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(ANSWER_SECONDS, self._give_up)
        self._asked_at = self._clock.seconds()
        if self.transport is not None:
            self.transport.write(self._greeting)

    def dataReceived(self, data: bytes) -> None:
        self._finish(self._clock.seconds() - self._asked_at)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        message = "the edge hung up" if reason.check(ConnectionDone) else reason.getErrorMessage()
        self._finish(ConnectError(string=message))

    def _give_up(self) -> None:
        self._finish(TimeoutError(string="the edge does not answer"))

    def _cancelled(self, _: Deferred[float]) -> None:
        self._finish(None)

    def _finish(self, result: float | ConnectError | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self.transport is not None:
            self.transport.abortConnection()
        if result is None or self.answered.called:
            return
        if isinstance(result, ConnectError):
            self.answered.errback(result)
        else:
            self.answered.callback(result)


def _greeting(context: ssl.SSLContext, host: str) -> bytes:
    """Return the first message of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name(host))
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
