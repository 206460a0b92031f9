"""
What follows from a report that holds: the route table chooses others, the log says why, and DNS may change.

DNS learns of a tunnel only that none of a hostname's routes is healthy; `registry.published` decides what that means
for addresses. To change names has a price, which the agent pays as it does for hostnames that come and go; what it
cannot pay now is published when it can. Requests are steered at once in any case.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.edge.health.reports import ReportingTunnel, Reports
from warp_twisted.wire.control import OriginHealth, RouteOffer


class ServedTunnel(ReportingTunnel, Protocol):
    """A registered tunnel; `edge.agents.registrations.EdgeTunnel` is one."""

    @property
    def agent(self) -> str:
        """The agent's id."""

    @property
    def unhealthy(self) -> Mapping[int, str]:
        """Routes whose origin is not well, and why."""

    @property
    def failing(self) -> Collection[int]:
        """Of these the ones of which its probes say so."""

    @property
    def failing_hostnames(self) -> Collection[str]:
        """Hostnames of which no route is healthy."""

    @property
    def published_failing(self) -> Collection[str]:
        """What the registry is to say of them now."""


Served = TypeVar("Served", bound=ServedTunnel)
Served_contra = TypeVar("Served_contra", bound=ServedTunnel, contravariant=True)


class Steered(Protocol[Served_contra]):
    """The route table."""

    def report(self, tunnel: Served_contra, hostname: str, path: str, complaint: str | None) -> None:
        """Note why the origin of a tunnel's route is not healthy; None: it is."""


class OriginsHealth(Reports[Served]):
    """
    The health of this edge's origins.

    :param of_agent: returns the tunnels of an agent.
    :param pay: takes the price of changing names for a tunnel's hostnames; returns after how many seconds it could be
        paid, 0 if it was.
    :param publish: tells the registry of a tunnel as it is now.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        routes: Steered[Served],
        of_agent: Callable[[str], Iterable[Served]],
        pay: Callable[[Served, Collection[str]], float],
        publish: Callable[[Served], object],
    ) -> None:
        super().__init__(clock, self._hold, self._publish_all)
        self._routes = routes
        self._of_agent = of_agent
        self._pay = pay
        self._publish = publish
        self._changed: dict[Served, None] = {}  # in this turn
        self._unpaid: dict[Served, IDelayedCall] = {}

    def forget(self, tunnel: Served) -> None:
        """Tell the registry nothing more of a tunnel that is gone."""
        call = self._unpaid.pop(tunnel, None)
        if call is not None:
            call.cancel()

    def stop(self) -> None:
        """Put nothing in force any more, and publish nothing."""
        super().stop()
        for tunnel in list(self._unpaid):
            self.forget(tunnel)

    def _hold(self, tunnel: Served, route: RouteOffer, message: OriginHealth) -> None:
        self._routes.report(tunnel, route.hostname, route.path, message.detail if route.id in tunnel.failing else None)
        others = [each for each in self._of_agent(tunnel.agent) if each is not tunnel]
        if not any(
            route.id in other.unhealthy for other in others
        ):  # the first that says so, or the last that does not
            self._log.info(
                "the origin of {hostname} at {agent} {health}: {detail}",
                hostname=route.hostname + route.path, agent=tunnel.agent, detail=message.detail or "-",
                health="is healthy" if message.healthy else "is not healthy",
            )  # fmt: skip
        self._changed[tunnel] = None

    def _publish_all(self) -> None:
        """Tell the registry of each tunnel once, whatever was said of its routes in this turn."""
        changed, self._changed = self._changed, {}
        for tunnel in changed:
            self._publish_changes(tunnel)

    def _publish_changes(self, tunnel: Served) -> None:
        if tunnel in self._unpaid:
            return
        changed = set(tunnel.failing_hostnames) ^ set(tunnel.published_failing)
        if changed:
            wait = self._pay(tunnel, changed)
            if wait:
                self._unpaid[tunnel] = self._clock.callLater(wait, self._try_again, tunnel)
            else:
                self._publish(tunnel)

    def _try_again(self, tunnel: Served) -> None:
        del self._unpaid[tunnel]
        self._publish_changes(tunnel)
