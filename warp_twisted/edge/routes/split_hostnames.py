"""
How the requests of this edge's hostnames are split now: by which policy, and with which keys visitors are kept.

A policy is followed route by route, in short steps: what a route has of it is put in place in one.
"""

from collections.abc import Iterator, Sequence

from warp_twisted.edge.routes.route import Route
from warp_twisted.edge.routes.share_counters import ShareMetrics
from warp_twisted.routing.cookies import CookieKeys
from warp_twisted.routing.table import RoutingTable

FOLLOWED_IN_A_STEP = 16  # some 0.3 ms, where each has a split and few tunnels


class SplitHostnames:
    """
    What all routes have in common.

    :param metrics: counts each share.
    :ivar cookie_keys: which sign the cookies of visitors that keep to their share; None: nobody can.
    """

    def __init__(self, metrics: ShareMetrics) -> None:
        self._metrics = metrics
        self.cookie_keys: CookieKeys | None = None
        self._routing = RoutingTable()

    @property
    def keeps_by_cookie(self) -> bool:
        """Whether the visitors of any hostname keep to their share by a cookie."""
        return any(split.cookie is not None for split in self._routing.splits)

    def use_cookie_keys(self, keys: CookieKeys | None) -> None:
        """Sign and read cookies with these keys."""
        self.cookie_keys = keys

    def begin(self, route: Route) -> None:
        """Split the requests of a route that is new."""
        route.use_splits(self._routing.covering(route.hostname), self._metrics.of)

    def follow(self, routing: RoutingTable, routes: Sequence[Route]) -> Iterator[None]:
        """
        Split requests as a policy says.

        :param routes: that there are; those to come `begin`.
        :returns: steps, each of which some routes follow.
        """
        self._routing = routing
        self._metrics.keep({(split.hostname, selector) for split in routing.splits for selector in split.names})
        return self._following(routing, routes)

    def _following(self, routing: RoutingTable, routes: Sequence[Route]) -> Iterator[None]:
        for at, route in enumerate(routes):
            if self._routing is not routing:
                return  # a later one is followed
            self.begin(route)
            if at % FOLLOWED_IN_A_STEP == 0:
                yield
