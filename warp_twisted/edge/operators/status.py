"""
The status of one edge, and the list of agents, as JSON in pieces: what operators see.

Nothing secret is ever in it. The pieces are made over many turns of the reactor, so what comes or goes meanwhile may be
there or not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from warp_base.answer_stream import Pieces
from warp_base.slices import in_steps
from warp_twisted import __version__
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations
from warp_twisted.edge.operators.json_pieces import ITEMS_IN_A_STEP, json_list, sorted_in_steps
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.routes.ejection import EjectedOrigin
from warp_twisted.edge.routes.queue import QueueState
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.edge_records import EdgePolicy
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, Edge, Owner, Revocation, Tunnel
from warp_twisted.registry.published.publish import Publication

_SEPARATOR = "\0"  # which is in no hostname


class EdgeState(Protocol):
    """Whether each part of the edge serves; see `edge.readiness`."""

    def parts(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""

    def unkept(self) -> str:
        """Say why what is revoked now would come back with the next start; empty if it would not."""

    def problems(self) -> Mapping[str, str]:
        """Say of each part that serves, but not all that it should, why."""


class Entry(Protocol):
    """This edge in the registry; see `edge.registry_entry`."""

    @property
    def is_draining(self) -> bool:
        """Whether it takes nothing new."""

    def tunnel_addresses(self) -> list[str]:
        """Return `host:port` of every edge that takes tunnels."""

    def url(self, hostname: str) -> str:
        """Return the URL to show people for a hostname."""


class Described(Protocol):
    """What a status is about; see `EdgeOperations`."""

    @property
    def settings(self) -> Callable[[], EdgeSettings]:
        """Returns the settings as they are now."""

    @property
    def registrations(self) -> Registrations:
        """This edge's tunnels."""

    @property
    def mirror(self) -> Mirror:
        """What the registry holds."""

    @property
    def claims(self) -> Claims:
        """What this edge holds in the registry."""

    @property
    def entry(self) -> Entry:
        """This edge in the registry."""

    @property
    def publication(self) -> Publication:
        """What DNS publishes."""

    @property
    def readiness(self) -> EdgeState:
        """Whether each part serves."""

    @property
    def visitors(self) -> Sized:
        """The open connections of visitors."""

    @property
    def splits(self) -> Callable[[], Pieces]:
        """Describes split hostnames, in JSON."""

    @property
    def ejected(self) -> Callable[[], Iterable[EjectedOrigin]]:
        """Returns the origins that this edge has ejected."""

    @property
    def queues(self) -> Callable[[], Iterable[QueueState]]:
        """Returns the queues in which requests wait for a place at an origin."""

    def list_peers(self) -> object:
        """Describe other edges, and the links with them."""

    @property
    def policy(self) -> Callable[[], Standing]:
        """Returns how the edge stands to its policy."""


@dataclass(slots=True, kw_only=True)
class _Route:
    """
    One hostname and path that this edge serves.

    :ivar group: of the agents that the hostname belongs to; empty: not written down yet.
    :ivar services: agent → what it leads to there.
    :ivar unhealthy: agent → why its origin is not well.
    :ivar failing: of these agents those whose probes say so: they get no requests while others serve.
    """

    hostname: str
    path: str
    protocol: str
    url: str
    group: str = ""
    tunnels: int = 0
    services: dict[str, str] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)


def status_pieces(edge: Described) -> Pieces:
    """Describe edges, tunnels, routes and agents."""
    settings, mirror, registrations = edge.settings(), edge.mirror, edge.registrations
    tunnels = list(registrations.by_id.values())
    streams = 0
    for step in in_steps(tunnels, ITEMS_IN_A_STEP):
        streams += sum(tunnel.protocol.stream_count for tunnel in step)
        yield b""
    parts, problems = edge.readiness.parts(), edge.readiness.problems()
    own = {
        "name": settings.edge.name,
        "zone": settings.zone,
        "version": __version__,
        "ready": all(parts.values()),
        "parts": dict(parts),
        "draining": edge.entry.is_draining,
        "tunnels": len(tunnels),
        "streams": streams,
        "visitors": len(edge.visitors),
    }
    registry = {
        "revision": mirror.revision,
        "current": mirror.is_current,
        "writable": not edge.claims.is_failing and "registry" not in problems,
        "problem": problems.get("registry", ""),
    }
    dns = {"unlisted": edge.publication.unlisted}
    policy = edge.policy()
    for key, value in (("edge", own), ("registry", registry), ("dns", dns), ("policy", policy)):
        yield (b"{" if value is own else b",") + msgspec.json.encode(key) + b":" + msgspec.json.encode(value)
    yield b',"edges":'
    yield from json_list(list(mirror.edges.values()), lambda each: _edge(each, mirror.edge_policies.get(each.name)))
    yield b',"peers":' + msgspec.json.encode(edge.list_peers())
    found: list[Iterable[Tunnel]] = []
    yield from sorted_in_steps(list(mirror.tunnels.values()), lambda each: (each.agent, each.edge, each.slot), found)
    yield b',"tunnels":'
    yield from json_list(found[0], lambda value: _tunnel(value, registrations.by_id.get(value.id)))
    yield b',"routes":'
    yield from _routes(tunnels, edge.entry, mirror.owners)
    yield b',"splits":'
    yield from edge.splits()
    yield b',"ejected":'
    yield from json_list(edge.ejected(), describe_ejected)
    yield b',"queues":'
    yield from json_list(edge.queues(), _queue)
    yield b',"agents":'
    yield from agents_pieces(mirror, settings.ca.agent_absence)
    yield b"}"


def agents_pieces(mirror: Mirror, absence: float) -> Pieces:
    """
    Describe the enrolled agents, and those that were revoked.

    :param absence: how long after the end of its certificate an agent may return, in seconds.
    """
    live: dict[str, int] = {}
    for step in in_steps(list(mirror.tunnels.values()), ITEMS_IN_A_STEP):
        for tunnel in step:
            live[tunnel.agent] = live.get(tunnel.agent, 0) + 1
        yield b""
    agents: list[Iterable[Agent]] = []
    yield from sorted_in_steps(list(mirror.agents.values()), lambda each: each.id, agents)
    revoked: list[Iterable[Revocation]] = []
    yield from sorted_in_steps(list(mirror.revocations.values()), lambda each: each.agent, revoked)

    def describe(each: Agent | Revocation) -> dict[str, object]:
        return _agent(each, live.get(each.id, 0), absence) if isinstance(each, Agent) else _revoked(each, live)

    yield from json_list((each for group in (agents[0], revoked[0]) for each in group), describe)


def hostnames_pieces(mirror: Mirror, registrations: Registrations) -> Pieces:
    """Describe the hostnames that belong to a group of agents, and who serves them through this edge."""
    owners: list[Iterable[Owner]] = []
    yield from sorted_in_steps(list(mirror.owners.values()), lambda each: each.hostname, owners)
    yield from json_list(owners[0], lambda each: _owner(each, registrations.agents_serving(each.hostname)))


def _owner(owner: Owner, serving: Iterable[str]) -> dict[str, object]:
    return {
        "hostname": owner.hostname,
        "group": owner.group,
        "since": owner.since,
        "is_exact": owner.is_exact,
        "away_since": owner.away_since,
        "served_by": sorted(serving),
        "agents": owner.agents,
    }


def _routes(tunnels: Sequence[EdgeTunnel], entry: Entry, owners: Mapping[str, Owner]) -> Pieces:
    """
    Describe what this edge serves: one entry for each hostname and path, with the tunnels that may serve it.

    What is brought into order is text, which the garbage collector does not look at: some 30,000 objects that live for
    as long as the answer takes would cost collections of several milliseconds.
    """
    names: list[str] = []
    for number, tunnel in enumerate(tunnels):
        for at, route in enumerate(tunnel.offer.routes):
            names.append(_SEPARATOR.join((route.hostname, route.path, f"{number:09}", str(at))))
        yield b""
    ordered: list[Iterable[str]] = []
    yield from sorted_in_steps(names, str, ordered)
    yield from json_list(_described(ordered[0], tunnels, entry, owners))


def _described(
    names: Iterable[str], tunnels: Sequence[EdgeTunnel], entry: Entry, owners: Mapping[str, Owner]
) -> Iterator[_Route]:
    """Put together what belongs to one hostname and path; the names say where, in this order."""
    described: _Route | None = None
    for name in names:
        hostname, rest = name.split(_SEPARATOR, 1)
        path, number, at = rest.rsplit(_SEPARATOR, 2)
        tunnel = tunnels[int(number)]
        routes = tunnel.offer.routes
        if int(at) >= len(routes):
            continue  # the agent has taken it back meanwhile
        route = routes[int(at)]
        if described is None or (described.hostname, described.path) != (hostname, path):
            if described is not None:
                yield described
            described = _Route(
                hostname=hostname,
                path=path,
                protocol=route.protocol,
                url=entry.url(hostname),
                group=owners[hostname].group if hostname in owners else "",
            )
        described.tunnels += 1
        described.services[tunnel.agent] = route.service
        if route.id in tunnel.unhealthy:
            if route.id in tunnel.failing and tunnel.agent not in described.failing:
                described.failing.append(tunnel.agent)
            described.unhealthy[tunnel.agent] = tunnel.unhealthy[route.id]
    if described is not None:
        yield described


def describe_ejected(origin: EjectedOrigin) -> dict[str, object]:
    """Describe an origin that is ejected."""
    return {
        "hostname": origin.route.hostname,
        "path": origin.route.path,
        "agent": origin.agent,
        "state": origin.state,
        "failures": origin.failures,
        "seconds": origin.seconds,
    }


def _queue(queue: QueueState) -> dict[str, object]:
    origins = {agent: {"max_requests": most, "requests": taken} for agent, (most, taken) in queue.origins.items()}
    return {"hostname": queue.hostname, "path": queue.path, "waiting": queue.waiting, "origins": origins}


def _edge(edge: Edge, policy: EdgePolicy | None) -> dict[str, object]:
    """Describe an edge; what policy it has only if it says so, as those of before do not."""
    described: dict[str, object] = msgspec.to_builtins(edge)
    if policy is not None:
        described["policy"] = {"file": policy.file, "version": policy.version, "error": policy.error}
    return described


def _tunnel(value: Tunnel, live: EdgeTunnel | None) -> dict[str, object]:
    """Describe a tunnel; what only its own edge knows is there for tunnels of this edge."""
    described: dict[str, object] = {
        "id": value.id,
        "agent": value.agent,
        "slot": value.slot,
        "edge": value.edge,
        "hostnames": value.hostnames,
        "labels": value.labels,
        "draining": value.draining,
        "registered_at": value.registered_at,
        "address": value.address,
    }
    if live is not None:
        described["software"] = live.software
        described["clock_difference_seconds"] = live.clock_difference
        described["streams"] = live.protocol.stream_count
        described["round_trip_seconds"] = live.protocol.round_trip_seconds
    return described


def _agent(agent: Agent, tunnels: int, absence: float) -> dict[str, object]:
    return {
        "id": agent.id,
        "hostnames": agent.hostnames,
        "labels": agent.labels,
        "token": agent.token,
        "group": agent.group,
        "policy": agent.policy,
        "enrolled_at": agent.enrolled_at,
        "expires_at": agent.expires_at,
        "returns_until": agent.expires_at + absence if absence and agent.expires_at else 0.0,
        "tunnels": tunnels,
    }


def _revoked(revocation: Revocation, live: Mapping[str, int]) -> dict[str, object]:
    return {
        "id": revocation.agent,
        "revoked_at": revocation.revoked_at,
        "reason": revocation.reason,
        "tunnels": live.get(revocation.agent, 0),
    }
