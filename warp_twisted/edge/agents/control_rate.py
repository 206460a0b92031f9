"""
How many control messages one agent may send, and how many names it may have changed: two token buckets for each agent.

What a message costs the edge is not what it costs the agent: a certificate is signed, the registry is written, a line
is logged, each name of each hostname is published again. An honest agent sends a few messages a minute, and one
for each route when all its origins go down at once. The buckets are the agent's and not the tunnel's, so that a new
tunnel is no new bucket.
"""

from collections.abc import Iterable

from warp_base.token_buckets import TokenBuckets
from warp_twisted.edge.errors import OfferRefused
from warp_twisted.wire.control import ControlMessage, Hello, RenewRequest, RoutesChanged

MESSAGES_BURST = 4_000.0  # a change of health of 100 routes, told on 32 tunnels, and some more
MESSAGES_PER_SECOND = 40.0
NAMES_BURST = 8_000.0  # twice 100 hostnames with 32 labels each
NAMES_PER_SECOND = 100.0  # published at some 50 µs each, so an agent may have half a percent of a core
# What a hostname costs: itself, what is below it, its service, two instances and their places in lists. Labels come on
# top, and where a pattern covers it, each further level of a long name: the name there, and what is below that.
NAMES_OF_HOSTNAME = 7
NAMES_OF_LEVEL = 2
FREE_LEVELS = 4  # labels of a hostname that cost nothing more, those of the zone included
NAMES_OF_PATTERN = 50  # more: it is repeated at every name below it, in turns with the work of others
_PRICES: dict[type[ControlMessage], float] = {Hello: 20.0, RoutesChanged: 20.0, RenewRequest: 40.0}


class ControlRate:
    """
    The buckets of all agents.

    Instants are of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._messages = TokenBuckets(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._names = TokenBuckets(NAMES_PER_SECOND, NAMES_BURST)

    def allows(self, agent: str, message: ControlMessage, now: float) -> bool:
        """Take the price of a message, and say whether it could be paid."""
        return not self._messages.take(agent, now, _PRICES.get(type(message), 1.0))

    def charge_hello(self, agent: str, hello: Hello, names: int, now: float) -> None:
        """
        Take the price of a registration.

        :raises OfferRefused: if the agent cannot pay now.
        """
        wait = self.seconds_until_published(agent, names, now)
        if wait or not self.allows(agent, hello, now):
            reason = f"this agent registers too often; {wait:.0f} s from now it may"
            raise OfferRefused("overloaded", reason, retry=True)

    def seconds_until_published(self, agent: str, names: int, now: float) -> float:
        """
        Take the price of names that change.

        :returns: 0 if it could be paid; else how long to wait before asking again.
        """
        return self._names.take(agent, now, names) if names else 0.0


def names_touched(before: Iterable[str], after: Iterable[str], labels: int) -> int:
    """
    Return how many names of DNS a change of hostnames may touch.

    :param labels: how many labels the tunnel has; each gives every hostname one more name.
    """
    touched = set(before) ^ set(after)
    levels = sum(max(0, hostname.count(".") + 1 - FREE_LEVELS) for hostname in touched)
    patterns = sum(hostname.startswith("*.") for hostname in touched)
    return len(touched) * (NAMES_OF_HOSTNAME + labels) + levels * NAMES_OF_LEVEL + patterns * NAMES_OF_PATTERN
