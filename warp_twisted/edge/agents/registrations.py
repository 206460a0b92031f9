"""
The table of this edge's registered tunnels: by id, and by agent and slot.

It decides what a new tunnel replaces and whether there is room for it; `edge.agents.tunnels` does what follows.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from twisted.logger import Logger

from warp_twisted.clock_difference import is_noticed
from warp_twisted.edge.agents.control_rate import names_touched
from warp_twisted.edge.agents.offers import Offer
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.edge.settings import EdgeSettings, Limits
from warp_twisted.names import Hostname
from warp_twisted.registry.claims import Claim
from warp_twisted.registry.edge_records import OfferedRoute
from warp_twisted.registry.model import Tunnel
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Accepted, OriginHealth, Refused, Renewed, RenewRefused, RouteOffer
from warp_twisted.wire.errors import TunnelClosed, WireError
from warp_twisted.wire.releases import KNOWN

SHOWN = 3  # agents that a line of the log names


@dataclass(eq=False, slots=True, kw_only=True)
class EdgeTunnel:
    """
    A registered tunnel.

    :ivar protocol: opens streams to the agent.
    :ivar offer: what is served through it.
    :ivar ends_at: when the agent's certificate ends, unless it renews, by the monotonic clock.
    :ivar is_left: whether its agent was told to dial a successor of this process, and to leave this tunnel.
    :ivar unhealthy: routes whose origin is not well, by number, and what the agent says of it.
    :ivar failing: of these the ones of which its probes say so: they get no requests while others serve.
    :ivar claim: its entry in the registry.
    :ivar warned_at: when its agent was told last of a copy of its identity, by the monotonic clock.
    :ivar protects: what the agent was promised for its origins (`wire.releases`).
    :ivar policy: digest of what the agent asked to be enforced, and is; empty: nothing.
    :ivar clock_difference: how many seconds the agent's clock was ahead of ours when it last said; None: not told.
    """

    via: ClassVar[str] = ""  # of all tunnels that are registered here
    id: str
    agent: str
    slot: int
    session: str
    software: str
    address: str
    protocol: TunnelProtocol
    offer: Offer
    registered_at: float
    ends_at: float
    is_draining: bool = False
    is_left: bool = False
    unhealthy: dict[int, str] = field(default_factory=dict)
    failing: set[int] = field(default_factory=set)
    claim: Claim | None = None
    clock_difference: float | None = None
    protects: Sequence[str] = ()
    policy: str = ""
    warned_at: float | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """The agent's labels."""
        return self.offer.labels

    @property
    def about(self) -> dict[str, str]:
        """What each line of the log says of it."""
        return {"tunnel": self.id, "agent": self.agent}

    def was_meant_to_end(self, error: WireError) -> bool:
        """Whether its end was meant: its agent had said that it leaves, or this edge decided it."""
        return self.is_draining or isinstance(error, TunnelClosed)

    def note_health(self, message: OriginHealth) -> RouteOffer | None:
        """Note what the agent says of an origin, and return its route; None if nothing has changed."""
        route = next((route for route in self.offer.routes if route.id == message.route_id), None)
        before = message.route_id in self.unhealthy, message.route_id in self.failing
        is_failing = message.probed and not message.healthy
        if route is None or before == (not message.healthy, is_failing):
            return None
        if message.healthy:
            self.unhealthy.pop(route.id, None)
        else:
            self.unhealthy[route.id] = message.detail
        (self.failing.add if is_failing else self.failing.discard)(route.id)
        return route

    @property
    def failing_hostnames(self) -> tuple[Hostname, ...]:
        """Hostnames of which no route is healthy, by the agent's probes."""
        if not self.failing:
            return ()
        well = {route.hostname for route in self.offer.routes if route.id not in self.failing}
        return tuple(hostname for hostname in self.offer.hostnames if hostname not in well)

    @property
    def published_failing(self) -> Collection[str]:
        """What the registry is to say of hostnames of which no route is healthy; those of now, if it says nothing."""
        value = self.claim.value if self.claim is not None else None
        return value.failing if isinstance(value, Tunnel) else self.failing_hostnames

    def value(self, edge: str) -> Tunnel:
        """Return what the registry is to hold of it."""
        return Tunnel(
            id=self.id,
            agent=self.agent,
            slot=self.slot,
            edge=edge,
            hostnames=self.offer.hostnames,
            labels=dict(self.labels),
            draining=self.is_draining,
            registered_at=self.registered_at,
            address=self.address,
            failing=self.failing_hostnames,
            routes=tuple(
                OfferedRoute(
                    id=route.id,
                    hostname=Hostname(route.hostname),
                    path=route.path,
                    protocol=route.protocol,
                    max_requests=route.max_requests,
                    failing=route.id in self.failing,
                    host_header=route.host_header,
                    own_scheme=route.own_scheme,
                )
                for route in self.offer.routes
            ),
        )

    def accepted(
        self,
        settings: EdgeSettings,
        fleet: "Fleet",
        lease_seconds: float,
        now: float,
        group: str,
        others: Mapping[str, int],
    ) -> Accepted:
        """
        Return what the agent is told of it.

        :param now: the time of day.
        :param group: of its agent.
        :param others: hostname → how many other agents serve it.
        """
        found = {route.id: fleet.urls(route.hostname) for route in self.offer.routes}
        return Accepted(
            edge=settings.edge.name,
            tunnel_id=self.id,
            hostnames={route.id: route.hostname for route in self.offer.routes},
            urls={route: each[0] for route, each in found.items()},
            plain_urls={route: each[1] for route, each in found.items() if len(each) > 1},
            lease_seconds=lease_seconds,
            edges=list(fleet.tunnel_addresses()),
            ping_seconds=self.protocol.times.ping_seconds,
            silence_seconds=self.protocol.times.silence_seconds,
            time=now,
            zone=settings.zone,
            name_servers={name: list(addresses) for name, addresses in fleet.name_servers().items()},
            knows=list(KNOWN),
            protects=list(self.protects),
            policy=self.policy,
            group=group,
            others={route.id: others[route.hostname] for route in self.offer.routes if route.hostname in others},
        )

    def __repr__(self) -> str:
        return f"<EdgeTunnel {self.id} of {self.agent}/{self.slot}>"


class Fleet(Protocol):
    """What agents are told of the fleet; see `edge.registry_entry`."""

    def tunnel_addresses(self) -> Sequence[str]:
        """Return `host:port` of the fleet's tunnel listeners."""

    def urls(self, hostname: str) -> Sequence[str]:
        """Return the URLs of a hostname, the one to show people first."""

    def name_servers(self) -> Mapping[str, Sequence[str]]:
        """Return the zone's name servers, and at which `host:port` each answers."""


class Routes(Protocol):
    """What the edge's route table does for tunnels; see `edge.routes.table`."""

    def add(self, tunnel: "EdgeTunnel", offers: Sequence[RouteOffer]) -> None:
        """Serve these routes through a tunnel, in place of those it served before."""

    def remove(self, tunnel: "EdgeTunnel") -> None:
        """Send nothing more through a tunnel."""

    def drain(self, tunnel: "EdgeTunnel") -> None:
        """Begin nothing new through a tunnel."""

    def is_served(self, hostname: str) -> bool:
        """Whether a tunnel takes requests of a hostname, or of a pattern, as it was offered."""

    def report(self, tunnel: "EdgeTunnel", hostname: str, path: str, complaint: str | None) -> None:
        """Note why the origin of a tunnel's route is not healthy, by the agent's probes; None: it is."""


class Authority(Protocol):
    """Who renews certificates; see `edge.agents.enrollment`."""

    def renew(self, agent: str, csr_pem: str) -> Renewed | RenewRefused:
        """Issue the next certificate of an enrolled agent."""


@dataclass(slots=True)
class TunnelCounts:
    """What has happened since the start."""

    registered: int = 0
    replaced: int = 0
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def count_refusal(self, code: str) -> None:
        """Count an agent that was refused."""
        self.refused[code] = self.refused.get(code, 0) + 1


class Registrations:
    """
    Every registered tunnel of this edge.

    :ivar by_id: the tunnels; do not change it.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.by_id: dict[str, EdgeTunnel] = {}
        self.counts = TunnelCounts()
        self._by_agent: dict[str, dict[int, EdgeTunnel]] = {}
        self._wrong_clocks: set[EdgeTunnel] = set()
        self._by_hostname: dict[str, dict[EdgeTunnel, None]] = {}

    @property
    def stream_count(self) -> int:
        """Streams open in all tunnels."""
        return sum(tunnel.protocol.stream_count for tunnel in self.by_id.values())

    @property
    def wrong_clocks(self) -> int:
        """Tunnels of agents whose clock differs noticeably from ours."""
        return len(self._wrong_clocks)

    def note_clock(self, tunnel: EdgeTunnel, seconds: float | None) -> None:
        """Note how far the clock of a tunnel's agent is ahead of ours; None if it did not say."""
        tunnel.clock_difference = seconds
        if is_noticed(seconds):
            self._wrong_clocks.add(tunnel)
        else:
            self._wrong_clocks.discard(tunnel)

    def of_agent(self, agent: str) -> list[EdgeTunnel]:
        """Return an agent's tunnels."""
        return list(self._by_agent.get(agent, {}).values())

    def tell_accepted(self, tunnel: EdgeTunnel, answer: Accepted) -> None:
        """Answer a hello or a change of routes; what is left out of it is refused then, and the tunnel stays."""
        tunnel.protocol.send_control(answer)
        reasons = tunnel.offer.left_out
        if reasons:
            what = f"{len(reasons)} hostnames are left out, such as this" if len(reasons) > 1 else "it is left out"
            reason = f"{next(iter(reasons.values()))}; {what}, and the others are served"
            self.counts.count_refusal("not_allowed")
            self._log.warn("not all of {agent} is served: {reason}", agent=tunnel.agent, reason=reason)
            tunnel.protocol.send_control(Refused(code="not_allowed", reason=reason, retry=False))

    def finish_left(self, tunnel: EdgeTunnel, drain: Callable[[EdgeTunnel], object], seconds: float) -> None:
        """
        End in order what an agent has left for another process, as it is back with this tunnel.

        :param drain: makes nothing new begin through a tunnel.
        :param seconds: for what is under way.
        """
        for left in self.of_agent(tunnel.agent):
            if left.is_left and left is not tunnel:
                drain(left)
                left.protocol.drain("the agent has another tunnel", seconds)

    def names_of_new(self, agent: str, offer: Offer) -> int:
        """Return how many names of DNS an offer touches beside those that the agent serves already."""
        is_known = any(tunnel.offer.covers(offer) for tunnel in self.of_agent(agent))
        return 0 if is_known else names_touched((), offer.hostnames, len(offer.labels))

    def agents_serving(self, hostname: str) -> set[str]:
        """Return the agents with a tunnel that takes streams for a hostname, or for a pattern as such."""
        return {tunnel.agent for tunnel in self._by_hostname.get(hostname, ()) if not tunnel.is_draining}

    def names_of_failing(self, tunnel: EdgeTunnel, hostnames: Iterable[str]) -> int:
        """
        Return how many names of DNS may change as hostnames begin or cease to be failing through a tunnel.

        All of a hostname's where no other tunnel of this edge serves it in health; else what it costs to note it.
        """
        alone = [
            hostname
            for hostname in hostnames
            if all(
                other is tunnel or other.is_draining or hostname in other.published_failing
                for other in self._by_hostname.get(hostname, ())
            )
        ]
        return names_touched((), alone, len(tunnel.labels)) + len(tunnel.offer.hostnames)

    def others_of(self, tunnel: EdgeTunnel) -> Mapping[str, int]:
        """Return hostname → how many other agents serve it, for those of a tunnel that others serve."""
        counts = {name: len(self.agents_serving(name) - {tunnel.agent}) for name in tunnel.offer.hostnames}
        return {hostname: count for hostname, count in counts.items() if count}

    def say_hostnames(self, tunnel: EdgeTunnel) -> str:
        """Write a tunnel's hostnames for the log, and with which agents they are shared."""
        said = []
        for hostname in tunnel.offer.hostnames:
            others = sorted(self.agents_serving(hostname) - {tunnel.agent})
            with_others = f" (shared with {', '.join(others[:SHOWN])}{' and others' * (len(others) > SHOWN)})"
            said.append(hostname + with_others * bool(others))
        return ", ".join(said)

    def change_offer(self, tunnel: EdgeTunnel, offer: Offer) -> None:
        """Note what a tunnel serves from now on."""
        self._forget_hostnames(tunnel)
        tunnel.offer = offer
        numbers = {route.id for route in offer.routes}
        tunnel.unhealthy = {number: detail for number, detail in tunnel.unhealthy.items() if number in numbers}
        tunnel.failing &= numbers
        self._note_hostnames(tunnel, offer.hostnames)

    def replaced_by(self, agent: str, slot: int, session: str) -> list[EdgeTunnel]:
        """Return the tunnels that a new one would replace: the one in its slot, and all of other runs of the agent."""
        return [tunnel for tunnel in self.of_agent(agent) if _is_stale(tunnel, slot, session)]

    def check_room(self, agent: str, slot: int, session: str, limits: Limits) -> None:
        """
        Refuse a tunnel too many; those that it would replace do not count.

        :raises OfferRefused: naming the limit.
        """
        own = self._by_agent.get(agent, {}).values()
        staying = sum(not _is_stale(tunnel, slot, session) for tunnel in own)
        if staying >= limits.tunnels_per_agent:
            raise OfferRefused("overloaded", f"{limits.tunnels_per_agent} tunnels is most for one agent", retry=True)
        if len(self.by_id) - (len(own) - staying) >= limits.tunnels:
            raise OfferRefused("overloaded", f"this edge has its {limits.tunnels} tunnels already", retry=True)

    def add(self, tunnel: EdgeTunnel) -> list[EdgeTunnel]:
        """
        Put a tunnel into the table, in the place of what it replaces.

        :returns: what it replaces: the tunnel in its slot, and all of an earlier run of the same agent. They stay in
            the table until they are removed.
        """
        slots = self._by_agent.setdefault(tunnel.agent, {})
        stale = self.replaced_by(tunnel.agent, tunnel.slot, tunnel.session)
        slots[tunnel.slot] = tunnel
        self.by_id[tunnel.id] = tunnel
        self._note_hostnames(tunnel, tunnel.offer.hostnames)
        self.counts.registered += 1
        self.counts.replaced += len(stale)
        return stale

    def remove(self, tunnel: EdgeTunnel) -> None:
        """Take a tunnel out."""
        self.counts.lost += 1
        self._wrong_clocks.discard(tunnel)
        del self.by_id[tunnel.id]
        self._forget_hostnames(tunnel)
        slots = self._by_agent.get(tunnel.agent, {})
        if slots.get(tunnel.slot) is tunnel:
            del slots[tunnel.slot]
        if not slots:
            self._by_agent.pop(tunnel.agent, None)

    def _note_hostnames(self, tunnel: EdgeTunnel, hostnames: Iterable[str]) -> None:
        for hostname in hostnames:
            self._by_hostname.setdefault(hostname, {})[tunnel] = None

    def _forget_hostnames(self, tunnel: EdgeTunnel) -> None:
        for hostname in tunnel.offer.hostnames:
            tunnels = self._by_hostname[hostname]
            del tunnels[tunnel]
            if not tunnels:
                del self._by_hostname[hostname]


def _is_stale(tunnel: EdgeTunnel, slot: int, session: str) -> bool:
    return tunnel.slot == slot or tunnel.session != session
