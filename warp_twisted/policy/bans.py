"""
Who is turned away before a byte of TLS: networks that kept being refused, and those that an operator banned.

A network is an IPv4 address or an IPv6 /64, as for every limit. Refusals are counted in a token bucket of `refusals`
that fills within `within`: what does not fit any more is a ban. Being refused while banned does not prolong it.

Pure: instants are arguments, of a clock that only goes forward.
"""

from ipaddress import IPv4Address, IPv6Address, ip_interface
from itertools import islice
from math import inf

import msgspec

from warp_base.token_buckets import TokenBuckets
from warp_twisted.policy.sources.prefixes import PrefixSet

ALWAYS_SPARED = ("127.0.0.0/8", "::1")  # whatever a policy says
MAX_BANS = 100_000  # 20 MB; each was 20 refusals, which the limits bound
_NOBODY = PrefixSet(0)
_LOOKED_AT = 4  # when one more needs room


class BanRule(msgspec.Struct, frozen=True, kw_only=True):
    """
    When a network is banned, and for how long.

    :ivar refusals: so many within `within` seconds ban for `seconds`.
    """

    refusals: int = 20
    within: float = 10.0
    seconds: float = 600.0


class Ban(msgspec.Struct, frozen=True, kw_only=True):
    """
    One ban.

    :ivar until: instant at which it ends.
    :ivar reason: in a word or sentence for the operator.
    """

    until: float
    reason: str


class Bans:
    """
    The bans of one edge.

    :ivar rule: None while nobody is banned for refusals; may be replaced at any time.
    :ivar never: addresses that are not banned whatever they do; may be replaced at any time.
    :ivar left_out: how many bans found no room.
    """

    def __init__(self, rule: BanRule | None = None, never: PrefixSet = _NOBODY) -> None:
        self.never = never
        self.left_out = 0
        self._bans: dict[str, Ban] = {}  # by network, the oldest first
        self._refusals = TokenBuckets(1.0, 1.0)
        self.rule = rule

    @property
    def rule(self) -> BanRule | None:
        """When a network is banned by itself."""
        return self._rule

    @rule.setter
    def rule(self, rule: BanRule | None) -> None:
        self._rule = rule
        if rule is not None:
            self._refusals.burst = max(1.0, rule.refusals - 1.0)
            self._refusals.per_second = rule.refusals / rule.within

    def is_banned(self, network: str, now: float) -> bool:
        """Return whether a network is turned away; a ban that has ended is forgotten."""
        ban = self._bans.get(network)
        if ban is None:
            return False
        if ban.until > now:
            return True
        del self._bans[network]
        return False

    def refused(self, network: str, address: str, now: float) -> Ban | None:
        """
        Count a refusal.

        :param address: of the visitor, which `never` may hold.
        :returns: the ban that it causes, if it does: to be logged and counted once.
        """
        rule = self._rule
        if rule is None or self.is_banned(network, now) or address in self.never:
            return None
        if not self._refusals.take(network, now):
            return None
        ban = Ban(until=now + rule.seconds, reason=f"{rule.refusals} refusals within {rule.within:g} s")
        return ban if self.add(network, ban, now) else None

    def add(self, network: str, ban: Ban, now: float) -> bool:
        """
        Ban a network, or replace its ban.

        :returns: False if there is no room for another one.
        """
        if network not in self._bans and len(self._bans) >= MAX_BANS and not self._make_room(now):
            self.left_out += 1
            return False
        self._bans[network] = ban
        return True

    def remove(self, network: str) -> bool:
        """Let a network in again, with no refusal held against it; return whether it was banned."""
        self._refusals.forgive(network)
        return self._bans.pop(network, None) is not None

    def all(self) -> list[tuple[str, Ban]]:
        """Return networks and bans, the oldest first; some may have ended. 2 ms for 100,000."""
        return list(self._bans.items())

    def networks(self) -> list[str]:
        """Return all networks; some bans may have ended. 0.5 ms for 100,000."""
        return list(self._bans)

    def until(self, network: str) -> float:
        """Return when a ban ends, or ended; minus infinity if there is none."""
        ban = self._bans.get(network)
        return ban.until if ban is not None else -inf

    def __len__(self) -> int:
        return len(self._bans)

    def _make_room(self, now: float) -> bool:
        """Look at a few bans, the oldest first; forget those that have ended."""
        for network in list(islice(self._bans, _LOOKED_AT)):
            ban = self._bans.pop(network)
            if ban.until > now:
                self._bans[network] = ban
        return len(self._bans) < MAX_BANS


def parse_network(text: str) -> str:
    """
    Read which network is meant: an IPv4 address, an IPv6 address for its /64, or such a /64.

    :returns: as `Bans` names networks: without the length.
    :raises ValueError: for everything else.
    """
    try:
        read = ip_interface(text)
    except ValueError as error:
        raise ValueError(f"expected an IPv4 or IPv6 address, or an IPv6 /64, got {text!r}") from error
    address: IPv4Address | IPv6Address = read.ip
    length = read.network.prefixlen
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None and length == 128:
            return str(address.ipv4_mapped)
        if length in (64, 128):
            return str(IPv6Address(int(address) >> 64 << 64))
    elif length == 32:
        return str(address)
    raise ValueError(f"{text}: an IPv4 address or an IPv6 /64 is banned as a whole; deny other prefixes in the policy")


def network_text(network: str) -> str:
    """Write a network as people do: `203.0.113.9`, `2001:db8::/64`."""
    return f"{network}/64" if ":" in network else network
