"""
What operators see and do: an edge's state as plain values, and the calls of the admin interface.

Nothing secret is ever in a status; the text of a join token is in the answer that makes it and nowhere else.
"""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from warp_twisted import __version__
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.registrations import EdgeTunnel, Registrations
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.operators.admin import TokenWish
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Agent, JoinToken, Tunnel
from warp_twisted.registry.publish import Publication


class EdgeState(Protocol):
    """Whether each part of the edge serves; see `edge.readiness`."""

    @property
    def has_settled(self) -> bool:
        """Whether the agents of before a restart are back, or have been waited for long enough."""

    def parts(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""


class Entry(Protocol):
    """This edge in the registry; see `edge.registry_entry`."""

    @property
    def is_draining(self) -> bool:
        """Whether it takes nothing new."""

    def tunnel_addresses(self) -> list[str]:
        """Return `host:port` of every edge that takes tunnels."""

    def url(self, hostname: str) -> str:
        """Return the URL to show people for a hostname."""


class Lifecycle(Protocol):
    """What is done to the edge as a whole; see `edge.node`."""

    def drain(self) -> Deferred[None]:
        """Take nothing new."""

    async def reload(self) -> object:
        """Read the configuration again."""


@dataclass(slots=True, kw_only=True)
class _Route:
    """
    One hostname and path that this edge serves.

    :ivar services: agent → what it leads to there.
    :ivar unhealthy: agent → why its origin does not answer.
    """

    hostname: str
    path: str
    protocol: str
    url: str
    tunnels: int = 0
    services: dict[str, str] = field(default_factory=dict)
    unhealthy: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOperations:
    """
    The admin interface's view of one edge.

    :param settings: returns the settings as they are now.
    :param publication: what DNS publishes.
    :param visitors: the open connections of visitors.
    """

    settings: Callable[[], EdgeSettings]
    registrations: Registrations
    enrollment: Enrollment
    mirror: Mirror
    claims: Claims
    entry: Entry
    readiness: EdgeState
    publication: Publication
    visitors: Sized
    lifecycle: Lifecycle

    @property
    def has_settled(self) -> bool:
        """Whether the agents of before a restart are back, or have been waited for long enough."""
        return self.readiness.has_settled

    def status(self) -> object:
        """Describe edges, tunnels, routes and agents."""
        settings, mirror = self.settings(), self.mirror
        snapshot = mirror.snapshot()
        parts = self.readiness.parts()
        return {
            "edge": {
                "name": settings.edge.name,
                "zone": settings.zone,
                "version": __version__,
                "ready": all(parts.values()),
                "parts": dict(parts),
                "draining": self.entry.is_draining,
                "tunnels": len(self.registrations.by_id),
                "streams": self.registrations.stream_count,
                "visitors": len(self.visitors),
            },
            "registry": {
                "revision": snapshot.revision,
                "current": mirror.is_current,
                "writable": not self.claims.is_failing,
            },
            "edges": list(snapshot.edges.values()),
            "tunnels": [
                _tunnel(value, self.registrations.by_id.get(value.id))
                for value in sorted(snapshot.tunnels.values(), key=lambda each: (each.agent, each.edge, each.slot))
            ],
            "routes": self._routes(),
            "agents": self.list_agents(),
        }

    def list_tokens(self) -> object:
        """Describe the join tokens, soonest to end first."""
        return [_token(each) for each in sorted(self.mirror.tokens.values(), key=lambda each: each.expires_at)]

    def list_agents(self) -> object:
        """Describe the enrolled agents, and those that were revoked."""
        mirror = self.mirror
        live: dict[str, int] = {}
        for tunnel in mirror.tunnels.values():
            live[tunnel.agent] = live.get(tunnel.agent, 0) + 1
        agents = [_agent(each, live.get(each.id, 0)) for _, each in sorted(mirror.agents.items())]
        revoked = [
            {"id": each.agent, "revoked_at": each.revoked_at, "reason": each.reason, "tunnels": live.get(each.agent, 0)}
            for _, each in sorted(mirror.revocations.items())
        ]
        return [*agents, *revoked]

    async def create_token(self, wish: TokenWish) -> object:
        """Make a join token."""
        edges = self.entry.tunnel_addresses()
        if not edges:
            raise EdgeError("no edge takes tunnels now, so a join token could not say where to enroll")
        kept, text = await self.enrollment.create_token(
            edges=edges,
            hostnames=wish.hostnames,
            labels=wish.labels,
            uses=wish.uses,
            ttl_seconds=wish.ttl_seconds,
        )
        return {**_token(kept), "token": text}

    async def revoke_token(self, token: str) -> None:
        """Let nobody in with a token any more."""
        await self.enrollment.revoke_token(token)

    async def revoke_agent(self, agent: str, reason: str) -> None:
        """Cut an agent off."""
        await self.enrollment.revoke_agent(agent, reason)

    def begin_drain(self) -> object:
        """Take nothing new; the answer does not wait for what is under way."""
        self.lifecycle.drain()
        return {"draining": True}

    async def reload(self) -> object:
        """Read the configuration again."""
        return await self.lifecycle.reload()

    def _routes(self) -> list[object]:
        """Describe what this edge serves: one entry for each hostname and path, with the tunnels that may serve it."""
        found: dict[tuple[str, str], _Route] = {}
        for tunnel in self.registrations.by_id.values():
            for route in tunnel.offer.routes:
                key = (route.hostname, route.path)
                if key not in found:
                    url = self.entry.url(route.hostname)
                    found[key] = _Route(hostname=route.hostname, path=route.path, protocol=route.protocol, url=url)
                entry = found[key]
                entry.tunnels += 1
                entry.services[tunnel.agent] = route.service
                if route.id in tunnel.unhealthy:
                    entry.unhealthy[tunnel.agent] = tunnel.unhealthy[route.id]
        return [found[key] for key in sorted(found)]


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
        described["streams"] = live.protocol.stream_count
        described["round_trip_seconds"] = live.protocol.round_trip_seconds
    return described


def _token(token: JoinToken) -> dict[str, object]:
    return {
        "id": token.id,
        "hostnames": token.hostnames,
        "labels": token.labels,
        "uses_left": token.uses_left,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }


def _agent(agent: Agent, tunnels: int) -> dict[str, object]:
    return {
        "id": agent.id,
        "hostnames": agent.hostnames,
        "labels": agent.labels,
        "token": agent.token,
        "enrolled_at": agent.enrolled_at,
        "tunnels": tunnels,
    }
