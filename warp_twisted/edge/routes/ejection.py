"""
What the answers of origins change about which tunnels are chosen; `routing.outliers` says when.

Called by exchanges when something is to be noted, and once a second. It must not know how requests are answered.
"""

from itertools import islice

from twisted.logger import Logger

from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.routing.outliers import FAILURES, OriginState

LOOKED_AT = 1_000  # routes with an ejected origin in one sweep; the others follow in the next


class Ejection:
    """Ejects origins that fail while others serve, and lets them prove themselves."""

    _log = Logger()

    def __init__(self, metrics: DataPathMetrics) -> None:
        self._metrics = metrics
        self._routes: dict[Route, None] = {}  # with an origin that is ejected or to be probed

    def failed(self, route: Route, member: Member, now: float) -> None:
        """Note that an origin did not answer, or that it failed."""
        origin, agent = member.origin, member.load.tunnel.agent
        if route.origins.get(agent) is not origin or not origin.failed(route.origins, now):
            return
        self._metrics.ejections += 1
        self._routes[route] = None
        route.place_agent(agent)
        if origin.ejections == 1:
            self._log.warn(
                "the origin of {agent} fails for {hostname}, {count} times in a row: its requests go to other agents",
                agent=agent,
                hostname=route.hostname,
                count=FAILURES,
            )

    def answered(self, route: Route, member: Member) -> None:
        """Note a good answer."""
        agent = member.load.tunnel.agent
        if member.origin.answered() and route.origins.get(agent) is member.origin:
            route.place_agent(agent)
            self._log.info("the origin of {agent} serves {hostname} again", agent=agent, hostname=route.hostname)

    def lent(self, route: Route, member: Member, now: float) -> None:
        """Note that a request goes to an origin that is not used as any other."""
        if member.origin.lent(now):
            route.place_agent(member.load.tunnel.agent)

    def sweep(self, now: float) -> None:
        """Let the next request probe each origin whose time is over."""
        for route in list(islice(self._routes, LOOKED_AT)):
            del self._routes[route]
            for agent, origin in list(route.origins.items()):
                if origin.look(now):
                    route.place_agent(agent)
            if any(origin.state is not OriginState.USED for origin in route.origins.values()):
                self._routes[route] = None
