"""
The routes of tunnels, and the policies that their agents ask for, in step: no route is there without its policy.

A policy is in force before the first request can be sent through its tunnel, and until none can any more.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from warp_twisted.edge.agents.offers import Offer
from warp_twisted.edge.agents.registrations import EdgeTunnel, Routes
from warp_twisted.edge.errors import EdgeError
from warp_twisted.wire.control import Hello, RouteOffer


class AskedPolicies(Protocol):
    """What agents ask to be enforced for their hostnames; see `edge.policy.asked`."""

    async def read(
        self, text: str, hostnames: Mapping[str, str], agent: str, left_out: Collection[str], /
    ) -> Mapping[str, Any]:
        """Read what an agent asks; raises OfferRefused if it cannot be enforced as it stands."""

    def put(self, tunnel: object, asked: Mapping[str, Any], /) -> None:
        """Enforce it for a tunnel's hostnames from now on; raises OfferRefused if that is too much."""

    def remove(self, tunnel: object, /) -> None:
        """Enforce nothing for the sake of a tunnel any more."""


class ProtectedRoutes:
    """
    A route table with policies.

    :param routes: the table itself.
    :param asked: enforces the policies.
    """

    def __init__(self, routes: Routes, asked: AskedPolicies) -> None:
        self._routes = routes
        self._asked = asked
        self.add = routes.add
        self.is_served = routes.is_served
        self.hang_up = routes.drain

    async def read(self, hello: Hello, offer: Offer, agent: str) -> Mapping[str, Any]:
        """
        Read what an agent asks to be enforced.

        :param offer: what it may serve, of its hello.
        :param agent: its id.
        :returns: hostname → what is to be enforced for it.
        :raises OfferRefused: if that cannot be.
        """
        served = {route.id: route.hostname for route in offer.routes}
        names = {route.hostname: served[route.id] for route in hello.routes if route.id in served}
        return await self._asked.read(hello.policy, names, agent, offer.left_out)

    def begin(self, tunnel: EdgeTunnel, offers: Sequence[RouteOffer], asked: Mapping[str, Any]) -> None:
        """
        Serve routes through a new tunnel.

        :raises EdgeError: if the routes, or the policies, cannot be had; then nothing has changed.
        """
        self._asked.put(tunnel, asked)
        try:
            self._routes.add(tunnel, offers)
        except EdgeError:
            self._asked.remove(tunnel)
            raise

    def drain(self, tunnel: EdgeTunnel) -> None:
        """Begin nothing new through a tunnel."""
        self._routes.drain(tunnel)
        self._asked.remove(tunnel)

    def remove(self, tunnel: EdgeTunnel) -> None:
        """Send nothing more through a tunnel."""
        self._routes.remove(tunnel)
        self._asked.remove(tunnel)
