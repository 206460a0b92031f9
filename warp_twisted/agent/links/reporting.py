"""
Telling the edges how the routes' origins are, without telling them too much: an edge ends a tunnel whose agent floods.

What changes is told in the next turn, to every tunnel that is up. An agent whose origins flap tells only the newest of
each route, and at most so many messages a second over all of its tunnels (spec.md §6).
"""

from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_base.token_buckets import TokenBuckets
from warp_twisted.wire.control import ControlMessage, OriginHealth

BURST = 1_600.0  # messages; an edge takes 4,000 of an agent, hellos and all
PER_SECOND = 20.0  # an edge takes 40
TOLD_IN_A_TURN = 64  # routes


class Told(Protocol):
    """A route; `origins.routes.Route` is one."""

    @property
    def is_healthy(self) -> bool:
        """Whether its origin is."""

    def health(self) -> OriginHealth:
        """Return its health as edges hear it."""


class Tunnel(Protocol):
    """One tunnel; `link.Link` is one."""

    def send(self, message: ControlMessage) -> bool:
        """Tell the edge something if the tunnel is up; returns whether it is."""


class Tunnels(Protocol):
    """All tunnels; `link_set.LinkSet` is them."""

    @property
    def up_count(self) -> int:
        """How many are up."""

    def send(self, message: ControlMessage) -> object:
        """Tell the edge of every tunnel that is up."""


class Reporting:
    """What is still to be told."""

    def __init__(self, clock: IReactorTime, tunnels: Tunnels) -> None:
        self._clock = clock
        self._tunnels = tunnels
        self._waiting: dict[Told, None] = {}
        self._bucket = TokenBuckets(PER_SECOND, BURST)
        self._call: IDelayedCall | None = None

    def changed(self, route: Told) -> None:
        """Tell of a route whose health has changed, after whatever else is told in this turn."""
        self._waiting[route] = None
        if self._call is None:
            self._call = self._clock.callLater(0, self._tell)

    def link_up(self, link: Tunnel, routes: Iterable[Told]) -> None:
        """Tell a new tunnel of all routes that are not healthy: it takes the others for healthy."""
        for route in routes:
            if not route.is_healthy:
                link.send(route.health())

    def stop(self) -> None:
        """Tell nothing any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._waiting.clear()

    def _tell(self) -> None:
        self._call = None
        for route in list(islice(self._waiting, TOLD_IN_A_TURN)):
            wait = self._bucket.take("", self._clock.seconds(), max(1, self._tunnels.up_count))
            if wait:
                self._call = self._clock.callLater(wait, self._tell)
                return
            del self._waiting[route]
            self._tunnels.send(route.health())
        if self._waiting:
            self._call = self._clock.callLater(0, self._tell)
