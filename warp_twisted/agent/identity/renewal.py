"""
What an agent does now and then, unasked: renew its certificate, and spread its tunnels over the edges there are.

Renewing goes over any tunnel that is up; the answer comes to whoever hears control messages. Spreading moves one
tunnel at a time, and only to an edge that has just answered, so that looking for a better place never costs the one
there is.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.links.edge_dialer import CONNECT_SECONDS
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.origins.addresses import tcp_endpoint
from warp_twisted.wire.control import RenewRequest

INTERVAL_SECONDS = 15.0
RENEW_RETRY_SECONDS = 60.0


class Upkeep:
    """
    The upkeep of one agent.

    :param now: the time of day, seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        links: Sequence[Link],
        edges: Edges,
        credentials: Credentials,
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._links = links
        self._edges = edges
        self._credentials = credentials
        self._now = now
        self._loop = LoopingCall(self.look)
        self._loop.clock = reactor
        self._spreading: Deferred[None] | None = None
        self._renew_after = 0.0

    def start(self) -> None:
        """Begin to look every `INTERVAL_SECONDS`."""
        self._loop.start(INTERVAL_SECONDS, now=False)

    def stop(self) -> None:
        """Do nothing more."""
        if self._loop.running:
            self._loop.stop()
        if self._spreading is not None:
            self._spreading.cancel()

    def look(self) -> None:
        """Do what is due now."""
        now = self._now()
        if not self._credentials.should_renew(now):
            self._renew_after = 0.0  # what was asked for has come; the next time is a new one
        elif now >= self._renew_after:
            self._renew(now)
        if self._spreading is None:
            self._spreading = Deferred.fromCoroutine(self._spread())
            self._spreading.addErrback(self._spread_failed).addCallback(self._spread_ended)

    def renew_now(self) -> None:
        """Ask for a new certificate, or as soon as a tunnel is up."""
        self._renew_after = 0.0
        self._renew(self._now())

    def _renew(self, now: float) -> None:
        link = next((link for link in self._links if link.is_up), None)
        if link is not None:
            self._renew_after = now + RENEW_RETRY_SECONDS
            link.send(RenewRequest(csr_pem=self._credentials.request()))

    async def _spread(self) -> None:
        if not all(link.is_up for link in self._links):
            return
        in_use = [link.edge for link in self._links if link.edge is not None]
        edge = self._edges.better(await self._edges.find(), in_use, self._reactor.seconds())
        if edge is None:
            return
        try:
            probe = await connectProtocol(
                tcp_endpoint(self._reactor, edge.host, edge.port, CONNECT_SECONDS), Protocol()
            )
        except ConnectError:
            self._edges.failed(edge, self._reactor.seconds())
            return
        if probe.transport is not None:
            probe.transport.loseConnection()
        crowded = Counter(in_use).most_common(1)[0][0]
        next(link for link in reversed(self._links) if link.edge == crowded).move()

    def _spread_failed(self, failure: Failure) -> None:
        if not failure.check(NoEdge, CancelledError):
            self._log.failure("looking for a better edge failed", failure)

    def _spread_ended(self, _: None) -> None:
        self._spreading = None
