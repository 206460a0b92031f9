"""
The calls of the admin interface, on one edge. What a status says is in `operators.status`.

The text of a join token is in the answer that makes it and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from warp_base.answer_stream import Pieces
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.registrations import Registrations
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.kept_bans import KeptBans
from warp_twisted.edge.operators.admin import BanWish, ServiceTokenWish, TokenWish
from warp_twisted.edge.operators.json_pieces import json_list, sorted_in_steps
from warp_twisted.edge.operators.status import EdgeState, Entry, agents_pieces, hostnames_pieces, status_pieces
from warp_twisted.edge.owners.ownership import Ownership
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.policy.service_tokens import ServiceTokens
from warp_twisted.edge.routes.ejection import EjectedOrigin
from warp_twisted.edge.routes.queue import QueueState
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.names import HostnamePattern
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import JoinToken, ServiceToken
from warp_twisted.registry.published.publish import Publication


class Lifecycle(Protocol):
    """What is done to the edge as a whole; see `edge.node`."""

    def drain(self) -> Deferred[None]:
        """Take nothing new."""

    async def reload(self) -> object:
        """Read the configuration again."""


class Peers(Protocol):
    """The other edges; see `edge.peers.peers`."""

    def listed(self) -> Sequence[Mapping[str, object]]:
        """Describe them."""

    async def remove(self, edge: str) -> object:
        """Take the record of one that is gone out of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOperations:
    """
    The admin interface's view of one edge.

    :param settings: returns the settings as they are now.
    :param visitors: the open connections of visitors.
    :param splits: describes split hostnames.
    :param ejected: returns the origins that this edge has ejected.
    :param queues: returns the queues in which requests wait for a place at an origin.
    :param policy: returns how the edge stands to its policy.
    :param peers: the other edges.
    """

    settings: Callable[[], EdgeSettings]
    registrations: Registrations
    enrollment: Enrollment
    ownership: Ownership
    service_tokens: ServiceTokens
    mirror: Mirror
    claims: Claims
    entry: Entry
    publication: Publication
    readiness: EdgeState
    visitors: Sized
    banning: Banning
    policy: Callable[[], Standing]
    kept_bans: KeptBans
    lifecycle: Lifecycle
    splits: Callable[[], Pieces]
    ejected: Callable[[], Iterable[EjectedOrigin]]
    queues: Callable[[], Iterable[QueueState]]
    peers: Peers

    def status(self) -> Pieces:
        """Describe edges, tunnels, routes and agents, in JSON."""
        return status_pieces(self)

    def list_tokens(self) -> Pieces:
        """Describe the join tokens, soonest to end first, in JSON."""
        tokens: list[Iterable[JoinToken]] = []
        yield from sorted_in_steps(list(self.mirror.tokens.values()), lambda each: each.expires_at, tokens)
        yield from json_list(tokens[0], _token)

    def list_agents(self) -> Pieces:
        """Describe the enrolled agents, and those that were revoked, in JSON."""
        return agents_pieces(self.mirror, self.settings().ca.agent_absence)

    def list_peers(self) -> object:
        """Describe the other edges of the fleet, and the links with them."""
        return self.peers.listed()

    async def remove_edge(self, edge: str) -> object:
        """Take the record of an edge that is gone out of the registry."""
        return await self.peers.remove(edge)

    def list_hostnames(self) -> Pieces:
        """Describe the hostnames that belong to a group of agents, in JSON."""
        return hostnames_pieces(self.mirror, self.registrations)

    async def release_hostname(self, hostname: str) -> object:
        """Let a hostname belong to nobody."""
        owner = await self.ownership.release(HostnamePattern.parse(hostname).text)
        return {"hostname": owner.hostname, "group": owner.group}

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
            share=wish.share,
            policy=wish.policy,
        )
        return {**_token(kept), "token": text}

    def list_service_tokens(self) -> Pieces:
        """Describe the service tokens, soonest to end first, in JSON."""
        tokens: list[Iterable[ServiceToken]] = []
        yield from sorted_in_steps(list(self.service_tokens.all()), lambda each: each.expires_at, tokens)
        yield from json_list(tokens[0], _service_token)

    async def create_service_token(self, wish: ServiceTokenWish) -> object:
        """Make a service token."""
        kept, secret = await self.service_tokens.create(wish.name, wish.ttl_seconds)
        return {**_service_token(kept), "secret": secret}

    async def revoke_service_token(self, token: str) -> object:
        """Let nobody prove anything with a service token any more."""
        await self.service_tokens.revoke(token)
        return {"not_kept": self._not_kept()}

    async def revoke_token(self, token: str) -> object:
        """Let nobody in with a token any more."""
        await self.enrollment.revoke_token(token)
        return {"not_kept": self._not_kept()}

    async def revoke_agent(self, agent: str, reason: str) -> object:
        """Cut an agent off."""
        return {"was_known": await self.enrollment.revoke_agent(agent, reason), "not_kept": self._not_kept()}

    def _not_kept(self) -> str:
        """Say why what was just done would not outlive this edge now; empty if it does."""
        return self.readiness.unkept()

    async def share_agent(self, agent: str, word: str) -> object:
        """Give the group of an agent a share word."""
        return {"group": word, "changed": await self.ownership.share(agent, word)}

    def list_bans(self) -> Pieces:
        """Describe who is turned away when it connects, the oldest first, in JSON."""
        return json_list(self.banning.listed())

    async def ban(self, wish: BanWish) -> object:
        """Turn a network away."""
        network, not_kept = await self.kept_bans.add(wish.network, wish.seconds, wish.reason)
        return {"network": network, "seconds": wish.seconds, "not_kept": not_kept}

    async def end_ban(self, network: str) -> object:
        """Let a network in again."""
        return {"was_banned": await self.kept_bans.remove(network)}

    def begin_drain(self) -> object:
        """Take nothing new; the answer does not wait for what is under way."""
        self.lifecycle.drain()
        return {"draining": True}

    async def reload(self) -> object:
        """Read the configuration again."""
        return await self.lifecycle.reload()


def _service_token(token: ServiceToken) -> dict[str, object]:
    return {"id": token.id, "name": token.name, "created_at": token.created_at, "expires_at": token.expires_at}


def _token(token: JoinToken) -> dict[str, object]:
    return {
        "id": token.id,
        "hostnames": token.hostnames,
        "labels": token.labels,
        "group": token.group,
        "policy": token.policy,
        "uses_left": token.uses_left,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }
