"""
What the other edges say of their tunnels, put into the table of routes.

All tunnels of one agent at one edge are one member there: which of them serves is that edge's to choose. The newest one
that is not draining says what the agent serves and by which labels; when none is left the member goes. Changes are put
in place in slices, as an edge that comes back tells thousands of tunnels at once; the last word on each agent counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from twisted.logger import Logger

from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.remote_tunnel import LinkTo, OfferedRoute, RelayOpener, RemoteTunnel
from warp_twisted.edge.routes.load import ServingTunnel
from warp_twisted.edge.routes.rules import BadPathRule
from warp_twisted.http1.host_rewriting import BadHostHeader
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import MessageTooLarge


class ToldRoute(OfferedRoute, Protocol):
    """A route, with what is known of its origin."""

    @property
    def failing(self) -> bool:
        """Whether the agent's probes say that its origin is not healthy."""


class ToldTunnel(Protocol):
    """A tunnel of another edge."""

    @property
    def id(self) -> str:
        """Its name at that edge."""

    @property
    def edge(self) -> str:
        """Which edge."""

    @property
    def agent(self) -> str:
        """Whose it is."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The agent's labels."""

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""

    @property
    def registered_at(self) -> float:
        """When it came: the newest one of an agent says what is so now."""

    @property
    def routes(self) -> Sequence[ToldRoute]:
        """What it serves, in the order in which rules are tried."""


class ServedRoutes(Protocol):
    """The table of routes."""

    def add(self, tunnel: ServingTunnel, offers: Sequence[RouteOffer]) -> None:
        """Serve offers through a tunnel, in place of those it served before."""

    def remove(self, tunnel: ServingTunnel) -> None:
        """Send nothing more through a tunnel."""

    def report(self, tunnel: ServingTunnel, hostname: str, path: str, complaint: str | None) -> None:
        """Note whether a route's origin is healthy."""


_Place = tuple[str, str]  # edge and agent


class RemoteAgents:
    """
    The agents of other edges that requests may be relayed to.

    :param routes: the table of routes.
    :param link_to: returns the link with an edge.
    :param start: runs a job in slices.
    """

    _log = Logger()

    def __init__(
        self,
        routes: ServedRoutes,
        link_to: LinkTo,
        counters: RelayCounters,
        start: Callable[[Iterator[None]], object],
    ) -> None:
        self._routes = routes
        self._link_to = link_to
        self._counters = counters
        self._start = start
        self._told: dict[_Place, dict[str, ToldTunnel]] = {}
        self._served: dict[_Place, RemoteTunnel] = {}
        self._failing: dict[_Place, frozenset[tuple[str, str]]] = {}
        self._due: dict[_Place, None] = {}
        self._is_working = False

    @property
    def count(self) -> int:
        """How many agents stand in the table of routes, once for each edge that has them."""
        return len(self._served)

    def changed(self, changes: Iterable[tuple[ToldTunnel | None, ToldTunnel | None]]) -> None:
        """
        Hear of other edges' tunnels.

        :param changes: each tunnel as it was, None if it is new, and as it is, None if it is gone.
        """
        for before, after in changes:
            if before is not None:
                place = before.edge, before.agent
                self._told.get(place, {}).pop(before.id, None)
                self._due[place] = None
            if after is not None:
                place = after.edge, after.agent
                self._told.setdefault(place, {})[after.id] = after
                self._due[place] = None
        if self._due and not self._is_working:
            self._is_working = True
            self._start(self._steps())

    def _steps(self) -> Iterator[None]:
        try:
            while self._due:
                place = next(iter(self._due))
                del self._due[place]
                self._settle(place)
                yield
        finally:
            self._is_working = False

    def _settle(self, place: _Place) -> None:
        """Bring the table of routes to what is known of one agent at one edge."""
        told = self._told.get(place, {})
        if not told:
            self._told.pop(place, None)
        serving = [tunnel for tunnel in told.values() if not tunnel.draining]
        served = self._served.get(place)
        newest = max(serving, key=lambda tunnel: tunnel.registered_at, default=None)
        if served is not None and (newest is None or served.labels != newest.labels):
            self._leave(place)
            served = None
        if newest is None:
            return
        if served is None:
            edge, agent = place
            opener = RelayOpener(edge, agent, self._link_to, self._counters.of(edge))
            served = RemoteTunnel(edge, agent, dict(newest.labels), opener)
        try:
            self._routes.add(served, served.offers(newest.routes))
        except (BadPathRule, BadHostHeader, MessageTooLarge) as error:
            self._log.warn(
                "requests are not relayed to agent {agent} at edge {edge}: {error}",
                agent=newest.agent, edge=newest.edge, error=str(error),
            )  # fmt: skip
            self._leave(place)
            return
        self._served[place] = served
        self._report(place, served, newest)

    def _report(self, place: _Place, served: RemoteTunnel, newest: ToldTunnel) -> None:
        """Note which origins are not healthy, by what the other edge says."""
        before = self._failing.get(place, frozenset())
        failing = frozenset((route.hostname, route.path) for route in newest.routes if route.failing)
        for hostname, path in before - failing:
            self._routes.report(served, hostname, path, None)
        for hostname, path in failing:
            self._routes.report(served, hostname, path, f"edge {newest.edge} says that its agent's probes fail")
        if failing:
            self._failing[place] = failing
        else:
            self._failing.pop(place, None)

    def _leave(self, place: _Place) -> None:
        self._failing.pop(place, None)
        served = self._served.pop(place, None)
        if served is not None:
            self._routes.remove(served)
