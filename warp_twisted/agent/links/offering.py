"""
What the edges are offered: told to every tunnel, told again after a change, and taken back if an edge refuses it.

It keeps routes and edges in step. Which routes there are is `agent.origins.routes`; why they change is the caller's.
"""

from collections.abc import Iterable, Sequence

from twisted.logger import Logger

from warp_twisted.agent.links.link import Link
from warp_twisted.agent.origins.ingress import Ingress
from warp_twisted.agent.origins.routes import Routes
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.control import RouteOffer, RoutesChanged


class Offering:
    """
    The agent's offer.

    :param ingress: what is offered first.
    :raises InvalidSettings: if a file that the rules name cannot be used.
    """

    _log = Logger()

    def __init__(self, routes: Routes, ingress: Ingress) -> None:
        routes.replace(ingress)
        self._routes = routes
        self._ingress = ingress
        self._before: Ingress | None = None  # until an edge has accepted the change
        self._number = 0

    def introduce(self, link: Link) -> list[RouteOffer]:
        """Return the offer for a link's hello."""
        link.offer_number = self._number
        return [route.offer for route in self._routes.offered]

    def link_up(self, link: Link) -> None:
        """Tell a link's edge what has changed between its hello and now."""
        if link.offer_number != self._number:
            self._tell([link])

    def change(self, ingress: Ingress, links: Iterable[Link]) -> None:
        """
        Offer something else from now on.

        :raises InvalidSettings: if a file that the rules name cannot be used; then nothing has changed.
        """
        before, is_new = self._ingress, self._routes.replace(ingress)
        self._ingress = ingress
        if is_new:
            self._before = before
            self._number += 1
            self._tell(links)

    def accepted(self) -> None:
        """An edge took the offer as it is."""
        self._before = None

    def refused(self, reason: str, links: Sequence[Link]) -> Ingress | None:
        """
        An edge does not take a change: go back to what was offered before.

        :returns: what is offered now, None if there is nothing to go back to.
        """
        before, self._before = self._before, None
        if before is None:
            self._log.warn("the edge refuses our routes: {reason}", reason=reason)
            return None
        try:
            self.change(before, links)
        except InvalidSettings as error:
            self._log.error("the routes before them cannot be used any more: {error}", error=str(error))
            return None
        self._before = None
        return before

    def _tell(self, links: Iterable[Link]) -> None:
        message = RoutesChanged(routes=[route.offer for route in self._routes.offered])
        for link in links:
            if link.is_up:
                link.offer_number = self._number
                link.send(message)
