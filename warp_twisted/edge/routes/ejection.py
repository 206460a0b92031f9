"""
What the answers of origins change about which tunnels are chosen; `routing.outliers` says when.

Called by exchanges when something is to be noted, and once a second. It must not know how requests are answered.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from twisted.logger import Logger

from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.pool import Member
from warp_twisted.edge.routes.route import Route
from warp_twisted.routing.outliers import FAILURES, OriginState

LOOKED_AT = 1_000  # ejected origins in one sweep; the others follow in the next


class EjectedOrigin(NamedTuple):
    """
    An agent's origin that is not used as others are, for operators.

    :ivar path: of the route.
    :ivar labels: of the agent.
    :ivar state: `ejected`, `due` (the next request is its probe) or `probed`.
    :ivar failures: since its last good answer.
    :ivar seconds: until it is probed; 0: nothing waits for that.
    """

    route: Route
    agent: str
    labels: Mapping[str, str]
    state: str
    failures: int
    seconds: float


class Ejection:
    """Ejects origins that fail while others serve, and lets them prove themselves."""

    _log = Logger()

    def __init__(self, metrics: DataPathMetrics) -> None:
        self._metrics = metrics
        self._out: dict[tuple[Route, str], Member] = {}  # by route and agent: whose origin is ejected, or to be probed
        self._now = 0.0

    @property
    def count(self) -> int:
        """How many origins are not used as others are; of an agent that left meanwhile for a moment longer."""
        return len(self._out)

    def listed(self, most: int = LOOKED_AT) -> Iterator[EjectedOrigin]:
        """
        Describe the origins that are not used as others are.

        :param most: of them.
        """
        for (route, agent), member in list(islice(self._out.items(), most)):
            origin = member.origin
            if route.origins.get(agent) is origin and origin.state is not OriginState.USED:
                left = max(0.0, origin.until - self._now) if origin.state is OriginState.EJECTED else 0.0
                labels, state = member.load.tunnel.labels, origin.state.name.lower()
                yield EjectedOrigin(route, agent, labels, state, origin.failures, left)

    def failed(self, route: Route, member: Member, now: float) -> None:
        """Note that an origin did not answer, or that it failed."""
        origin, agent = member.origin, member.load.tunnel.agent
        if route.origins.get(agent) is not origin or not origin.failed(route.origins, now):
            return
        self._metrics.ejections += 1
        self._now = now
        self._out[route, agent] = member
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
            self._out.pop((route, agent), None)
            route.place_agent(agent)
            self._log.info("the origin of {agent} serves {hostname} again", agent=agent, hostname=route.hostname)

    def lent(self, route: Route, member: Member, now: float) -> None:
        """Note that a request goes to an origin that is not used as any other."""
        if member.origin.lent(now):
            route.place_agent(member.load.tunnel.agent)

    def sweep(self, now: float) -> None:
        """Let the next request probe each origin whose time is over."""
        self._now = now
        for place, member in list(islice(self._out.items(), LOOKED_AT)):
            route, agent = place
            del self._out[place]
            if route.origins.get(agent) is not member.origin:
                continue  # its agent has left, so it is known no longer
            if member.origin.look(now):
                route.place_agent(agent)
            self._out[place] = member
