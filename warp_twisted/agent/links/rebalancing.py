"""
Spreading the agent's tunnels over the edges there are.

One tunnel is moved at a time, and only to an edge that has just answered, so that looking for a better edge never costs
the one there is. Which edge would be better is `edges`.
"""

from collections import Counter
from collections.abc import Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.edge_dialer import CONNECT_SECONDS
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link

INTERVAL_SECONDS = 15.0


class Rebalancing:
    """Moves the tunnels of one agent, now and then."""

    _log = Logger()

    def __init__(self, reactor: IReactorTime, links: Iterable[Link], edges: Edges) -> None:
        self._reactor = reactor
        self._links = links
        self._edges = edges
        self._loop = LoopingCall(self.look)
        self._loop.clock = reactor
        self._looking: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to look every `INTERVAL_SECONDS`."""
        self._loop.start(INTERVAL_SECONDS, now=False)

    def stop(self) -> None:
        """Move nothing more."""
        if self._loop.running:
            self._loop.stop()
        if self._looking is not None:
            self._looking.cancel()

    def look(self) -> None:
        """Move one tunnel if that evens them out, unless a look is under way."""
        if self._looking is None:
            self._looking = Deferred.fromCoroutine(self._move_one())
            self._looking.addErrback(self._failed).addCallback(self._looked)

    async def _move_one(self) -> None:
        if not all(link.is_up for link in self._links):
            return
        in_use = [link.edge for link in self._links if link.edge is not None]
        edge = self._edges.better(await self._edges.find(), in_use, self._reactor.seconds())
        if edge is None:
            return
        endpoint = tcp_endpoint(self._reactor, edge.host, edge.port, CONNECT_SECONDS)
        try:
            probe = await connectProtocol(endpoint, Protocol())
        except ConnectError:
            self._edges.failed(edge, self._reactor.seconds())
            return
        if probe.transport is not None:
            probe.transport.loseConnection()
        crowded = Counter(in_use).most_common(1)[0][0]
        [link for link in self._links if link.edge == crowded][-1].move()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(NoEdge, CancelledError, ConnectingCancelledError):
            self._log.failure("looking for a better edge failed", failure)

    def _looked(self, _: None) -> None:
        self._looking = None
