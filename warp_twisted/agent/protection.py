"""
What edges enforce for the agent's hostnames because it asks for it, as they have confirmed; told when that changes.

Only for people: that nothing is served without it is `agent.links.link`'s.
"""

from collections.abc import Callable, Sequence

from warp_twisted.agent.events import Event, Protected
from warp_twisted.agent.origins.ingress import Ingress
from warp_twisted.wire.control import Accepted, RouteOffer


class Protection:
    """
    What was told last.

    :param observe: is told of changes.
    """

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self._observe = observe
        self._last = Protected(hostnames={})

    def accepted(self, message: Accepted, ingress: Ingress, offers: Sequence[RouteOffer]) -> None:
        """
        Take what an edge says to a hello or to new routes.

        :param ingress: the rules that are offered now, and `offers`: their routes.
        """
        hostnames: dict[str, list[str]] = {}
        if message.policy:
            names = {offer.hostname: message.hostnames.get(offer.id, offer.hostname) for offer in offers}
            for _, offered, policy in ingress.policies:
                for name in offered:
                    hostnames.setdefault(names.get(name, name), []).extend(policy.words())
        protected = Protected(hostnames=hostnames)
        if protected != self._last:
            self._last = protected
            self._observe(protected)
