"""
Keeping the agent's tunnels on the nearest edges, as many on each.

Every now and then, each agent at moments of its own, the round trips to edges are brought up to date: of edges with a
tunnel of ours its pings are taken, of others a few at a time are asked (`round_trips`), and none where there are no
more edges than tunnels are spread over. An edge that was lost is asked as well, so that it has its tunnels again within
half a minute after it is back. Then one tunnel is moved, if that is better (`edges`), and only to an edge that has just
answered, so that looking for a better edge never costs the one there is. The tunnel that is left serves until the new
one is up.
"""

from collections.abc import Iterable
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.edges import Edges, Tiers
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.round_trips import MeasuresRoundTrips

INTERVAL_SECONDS = 15.0  # on average; from half to one and a half of it
MOVED_SECONDS = 4.0  # the same after a move, as others may be due
MEASURE_SECONDS = 600.0  # 16,000 agents then ask an edge 27 times a second, which takes it 1 % of a core
MEASURED_AT_ONCE = 4


class Rebalancing:
    """
    Moves the tunnels of one agent, now and then.

    :param chance: for the moments.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        links: Iterable[Link],
        edges: Edges,
        round_trips: MeasuresRoundTrips,
        chance: Random,
    ) -> None:
        self._reactor = reactor
        self._links = links
        self._edges = edges
        self._round_trips = round_trips
        self._chance = chance
        self._next: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._pings: dict[Link, float] = {}  # that were taken

    def start(self, seconds: float = INTERVAL_SECONDS) -> None:
        """
        Begin to look, `INTERVAL_SECONDS` apart on average.

        :param seconds: until the first look, on average.
        """
        self._next = self._reactor.callLater(seconds * self._chance.uniform(0.5, 1.5), self._look_again)

    def stop(self) -> None:
        """Move nothing more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._looking is not None:
            self._looking.cancel()

    def look(self) -> None:
        """Measure, and move one tunnel if that is better, unless a look is under way."""
        if self._looking is None:
            self._looking = Deferred.fromCoroutine(self._look())
            self._looking.addErrback(self._failed).addCallback(self._looked)

    def _look_again(self) -> None:
        self.start()
        self.look()

    async def _look(self) -> None:
        tiers = await self._edges.find()
        self._take_pings()
        await self._measure_some(tiers)
        await self._ask_one_that_failed(tiers)
        if not all(link.is_up for link in self._links):
            return  # a link without a tunnel will choose the edge itself
        in_use = [link.edge for link in self._links if link.edge is not None]
        move = self._edges.better(tiers, in_use, self._reactor.seconds())
        if move is None or not await self._answers(move.target):
            return
        links = [link for link in self._links if link.edge == move.source and link.is_up]
        if links:
            min(reversed(links), key=_streams).move()
            if self._next is not None:
                self._next.cancel()
                self.start(MOVED_SECONDS)

    def _take_pings(self) -> None:
        """Take what the tunnels measured since the last look."""
        for link in self._links:
            tunnel = link.tunnel if link.is_up else None
            seconds = None if tunnel is None else tunnel.round_trip_seconds
            if seconds is not None and link.edge is not None and self._pings.get(link) != seconds:
                self._pings[link] = seconds
                self._edges.nearness.measured(link.edge, seconds, self._reactor.seconds())

    async def _measure_some(self, tiers: Tiers) -> None:
        """Measure the edges that were not measured for long, where there are more than are needed."""
        now = self._reactor.seconds()
        working = self._edges.working(tiers, now)
        if len(working) <= self._edges.spread:
            return
        for edge in self._edges.nearness.oldest(working, now - MEASURE_SECONDS)[:MEASURED_AT_ONCE]:
            await self._answers(edge)

    async def _ask_one_that_failed(self, tiers: Tiers) -> None:
        """Ask an edge that failed, if tunnels should be there again, and trust it if it answers."""
        in_use = [link.edge for link in self._links if link.edge is not None]
        edge = self._edges.may_be_back(tiers, in_use, self._reactor.seconds())
        if edge is not None and await self._answers(edge):
            self._edges.answered(edge)

    async def _answers(self, edge: EdgeAddress) -> bool:
        """Measure an edge, and return whether it answered."""
        try:
            seconds = await self._round_trips.measure(edge)
        except ConnectError:
            self._edges.failed(edge, self._reactor.seconds())
            return False
        self._edges.nearness.measured(edge, seconds, self._reactor.seconds())
        return True

    def _failed(self, failure: Failure) -> None:
        if not failure.check(NoEdge, CancelledError, ConnectingCancelledError):
            self._log.failure("looking for a better edge failed", failure)

    def _looked(self, _: None) -> None:
        self._looking = None


def _streams(link: Link) -> int:
    """Return how many streams a link's tunnel has: those that last are cut some time after it is left."""
    return link.tunnel.stream_count if link.tunnel is not None else 0
