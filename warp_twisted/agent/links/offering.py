"""
What the edges are offered: told to every tunnel, told again after a change, and taken back if an edge refuses it.

It keeps routes and edges in step. What rules are, and which routes follow from them, is the table's that it is handed
(`OfferedRoutes`); why they change is the caller's.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from twisted.logger import Logger

from warp_twisted.agent.links.link import Link
from warp_twisted.wire.control import RouteOffer, RoutesChanged


class ProtectedRules(Protocol):
    """Rules, with what edges are asked to enforce."""

    @property
    def policy(self) -> str:
        """As a hello has it; empty: nothing."""

    @property
    def requires(self) -> Sequence[str]:
        """What edges must promise for them."""


Rules = TypeVar("Rules", bound=ProtectedRules)
TakenRules = TypeVar("TakenRules", contravariant=True)


class OfferedRoutes(Protocol[TakenRules]):
    """The table of routes whose rules are offered."""

    @property
    def offers(self) -> Sequence[RouteOffer]:
        """What the edges are told, in the order in which they must try it."""

    def replace(self, rules: TakenRules, /) -> bool:
        """
        Serve other rules from now on.

        :returns: whether the offer to the edges changed.
        """


class Offering(Generic[Rules]):
    """
    The agent's offer.

    :param rules: what is offered first.
    :ivar rules: what is offered now.
    """

    _log = Logger()

    def __init__(self, routes: OfferedRoutes[Rules], rules: Rules) -> None:
        routes.replace(rules)
        self._routes = routes
        self.rules = rules
        self._before: Rules | None = None  # until an edge has accepted the change
        self._number = 0
        self._policy_since = 0  # the first offer with the policy of now

    def introduce(self, link: Link) -> list[RouteOffer]:
        """Return the offer for a link's hello."""
        link.offer_number = self._number
        return list(self._routes.offers)

    def link_up(self, link: Link) -> None:
        """Tell a link's edge what has changed between its hello and now."""
        if link.offer_number != self._number:
            self._tell([link])

    def change(self, rules: Rules, links: Iterable[Link]) -> bool:
        """
        Offer something else from now on.

        :returns: whether it comes with another policy, or needs another promise of edges. Then the tunnels that there
            are hear nothing: what was asked in their hello may not cover what is new. It is offered on new ones, and
            what was offered before not again.
        """
        before, is_new = self.rules, self._routes.replace(rules)
        self.rules = rules
        if (rules.policy, rules.requires) != (before.policy, before.requires):
            self._before = None
            self._number += 1
            self._policy_since = self._number
            return True
        if is_new:
            self._before = before
            self._number += 1
            self._tell(links)
        return False

    def accepted(self) -> None:
        """An edge took the offer as it is."""
        self._before = None

    def refused(self, reason: str, links: Iterable[Link]) -> Rules | None:
        """
        An edge does not take a change: go back to what was offered before.

        :returns: what is offered now, None if there is nothing to go back to.
        """
        before, self._before = self._before, None
        if before is None:
            self._log.warn("the edge refuses our routes: {reason}", reason=reason)
            return None
        self.change(before, links)
        self._before = None
        return before

    def _tell(self, links: Iterable[Link]) -> None:
        message = RoutesChanged(routes=list(self._routes.offers))
        for link in links:
            if link.is_up and link.offer_number >= self._policy_since:
                link.offer_number = self._number
                link.send(message)
