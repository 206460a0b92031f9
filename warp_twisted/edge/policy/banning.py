"""
Bans at the edge: whose refusals count, who is turned away when it connects, and what is counted and logged of that.

Bans are of this edge, in memory, and end with it; those of operators are kept by `edge.kept_bans`. A ban acts when a
visitor connects, so connections that are open go on, and are judged request by request. Loopback is never banned;
tunnels are never asked about here.
"""

import time
from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from twisted.logger import Logger

from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.refusals import TOO_MANY_FROM_ADDRESS, TOO_MANY_HANDSHAKES, TOO_MANY_REQUESTS
from warp_twisted.http1.refusals import Refusal
from warp_twisted.policy.bans import ALWAYS_SPARED, Ban, BanRule, Bans, network_text, parse_network
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.verdict import DENIED, ODD_PATH, REFUSED, ROUTE, SOURCE, TOO_MANY

# Slugs of refusals, but for those that are not the visitor's fault: no credentials yet, or the edge could not decide.
COUNTED = frozenset(f"policy-{reason.slug}" for reason in (DENIED, SOURCE, ROUTE, ODD_PATH, TOO_MANY, REFUSED)) | {
    TOO_MANY_FROM_ADDRESS.slug,
    TOO_MANY_HANDSHAKES.slug,
    TOO_MANY_REQUESTS.slug,
}
SPARED = PrefixSet.of(ALWAYS_SPARED)


class Banning:
    """
    The bans of one edge.

    :param seconds: a monotonic clock.
    :ivar bans: who is banned.
    :ivar is_edge: whether an address is that of an edge: those are never banned.
    :ivar proxies: in front of this edge: neither.
    :ivar turned_away: how many connections were.
    :ivar changed: is told a network when it is banned, and when an operator lets it in.
    """

    _log = Logger()

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._banned = 0
        self.bans = Bans(never=SPARED)
        self.is_edge: Callable[[str], bool] = _none
        self.proxies = PrefixSet.of([])
        self.turned_away = 0
        self.changed: Callable[[str], None] = _ignore

    def use(self, rule: BanRule | None, never: PrefixSet) -> None:
        """Ban by another rule from now on; bans that there are stay for their time."""
        self.bans.rule = rule
        self.bans.never = never

    def turns_away(self, address: str, network: str) -> bool:
        """Whether a visitor that connects is banned; then it is counted."""
        if not self.is_banned(address, network):
            return False
        self.turned_away += 1
        return True

    def is_banned(self, address: str, network: str) -> bool:
        """Whether a visitor is banned."""
        bans = self.bans
        return bans.is_banned(network, self._seconds()) and not (address in bans.never or self._is_ours(address))

    def refused(self, refusal: Refusal, address: str, network: str) -> None:
        """Count a refusal, if it is one to be blamed for, and ban its network if there were too many."""
        bans = self.bans
        rule = bans.rule
        if rule is None or refusal.slug not in COUNTED or self._is_ours(address):
            return
        ban = bans.refused(network, address, self._seconds())
        if ban is not None:
            self._banned += 1
            self._log.warn(
                "{network} is banned for {seconds:g} s: {reason}, the last one {slug}",
                network=network_text(network),
                seconds=rule.seconds,
                reason=ban.reason,
                slug=refusal.slug,
            )
            self.changed(network)

    def seconds_left(self, network: str) -> float:
        """Return how long a network is still banned; 0 or less if it is not."""
        return self.bans.until(network) - self._seconds()

    def spares_some_of(self, network: str) -> bool:
        """Whether a network has an address that is never banned, or is a proxy's; edges are not asked about here."""
        prefix = network_text(network)
        return self.bans.never.overlaps(prefix) or self.proxies.overlaps(prefix)

    def _is_ours(self, address: str) -> bool:
        return address in self.proxies or self.is_edge(address)

    # For operators.

    def listed(self) -> Iterable[dict[str, object]]:
        """Return who is banned, the oldest first; a copy, so that bans may change meanwhile."""
        now = self._seconds()
        return (
            {"network": network_text(network), "seconds_left": ban.until - now, "reason": ban.reason}
            for network, ban in self.bans.all()
            if ban.until > now
        )

    def add(self, text: str, seconds: float, reason: str) -> str:
        """
        Ban a network, or replace its ban.

        :param text: an address, or the network; see `parse_network`.
        :returns: the network, as it is written.
        :raises EdgeError: if it is never banned, or there is no room.
        :raises ValueError: if it is no network that can be banned.
        """
        network = parse_network(text)
        if network in self.bans.never or self._is_ours(network):
            raise EdgeError(
                f"{network} is never banned: it is loopback, an edge, a proxy, or named by ban.never of the policy"
            )
        if not self.put(network, seconds, reason):
            raise EdgeError("there are too many bans; deny sources in the policy instead")
        self._banned += 1
        shown = network_text(network)
        self._log.info("{network} is banned for {seconds:g} s by an operator", network=shown, seconds=seconds)
        return shown

    def put(self, network: str, seconds: float, reason: str) -> bool:
        """
        Ban a network, or replace its ban, as was decided elsewhere.

        :param network: as `parse_network` returns it.
        :returns: whether there was room.
        """
        now = self._seconds()
        has_room = self.bans.add(network, Ban(until=now + seconds, reason=reason), now)
        if has_room:
            self.changed(network)
        return has_room

    def lift(self, network: str) -> bool:
        """End the ban of a network, as `parse_network` returns it; return whether there was one."""
        was_banned = self.bans.is_banned(network, self._seconds()) and self.bans.remove(network)
        if was_banned:
            self.changed(network)
        return was_banned

    def remove(self, text: str) -> bool:
        """
        End a ban; return whether there was one.

        :raises ValueError: as of `add`.
        """
        network = parse_network(text)
        was_banned = self.lift(network)
        if was_banned:
            self._log.info("{network} is no longer banned, says an operator", network=network_text(network))
        return was_banned

    def collect(self) -> Iterable[Metric]:
        """Build the families of one scrape."""
        yield GaugeMetricFamily(
            "warp_edge_bans", "Networks that are banned; those whose time is over until they come again.",
            value=len(self.bans),
        )  # fmt: skip
        yield CounterMetricFamily("warp_edge_bans_made", "Bans that were made.", value=self._banned)
        yield CounterMetricFamily("warp_edge_bans_left_out", "Bans that found no room.", value=self.bans.left_out)
        yield CounterMetricFamily(
            "warp_edge_banned_connections", "Connections of banned networks.", value=self.turned_away
        )


def _none(address: str) -> bool:
    return False


def _ignore(network: str) -> None:
    """Nobody is told."""
