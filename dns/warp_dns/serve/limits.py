"""
Response rate limiting: how many UDP replies of a kind a network may be sent in a second.

An attacker who forges a victim's address makes us send replies to the victim. So replies are counted by network, name
and kind of answer, as BIND and NSD count them, and past the rate only every `slip`-th query is answered, with nothing
but the TC bit: a real client asks again over TCP, a victim gets no more than it would without us. A resolver that asks
for many names stays below the rate with each of them; a forger with a list of names is held by a second, higher rate
for everything that a network is sent.

The unit is a window of one second. What is over the rate begins the next window with half of its count, so it is let
go only when it has slowed down. The tables are bounded: in a full one, keys that are not in it share counts, which may
limit a stranger a little early but never lets a flood through. Pure: `tick` is called once a second.
"""

import socket
from collections.abc import Iterable

from warp_dns.addresses import is_within, parse_networks
from warp_dns.errors import InvalidSettings

MAX_KEYS = 65536  # of each table
_SHARED_COUNTS = 1024
_MAX_EXEMPT_HOSTS = 4096
_MAX_CARRIED = 8  # times the rate: a network that stops flooding is free again within four windows


class _Window:
    """Counts of one second by key."""

    __slots__ = ("counts", "max_keys", "over", "rate")

    def __init__(self, rate: int, max_keys: int) -> None:
        self.rate = rate
        self.max_keys = max_keys
        self.counts: dict[bytes | int, int] = {}
        self.over: set[bytes | int] = set()

    def count(self, key: bytes | int) -> bool:
        """Count one reply, and say whether that is one too many."""
        counts = self.counts
        count = counts.get(key)
        if count is None:
            if len(counts) >= self.max_keys:
                key = hash(key) % _SHARED_COUNTS
            count = counts.get(key, 0)
        counts[key] = count + 1
        if count < self.rate:
            return False
        self.over.add(key)
        return True

    def tick(self) -> None:
        """A second has passed."""
        most = self.rate * _MAX_CARRIED
        self.counts = {key: min(self.counts[key], most) // 2 for key in self.over}
        self.over = {key for key, count in self.counts.items() if count >= self.rate}


class ResponseRateLimit:
    """Counts replies by network, name and kind; TCP and clients with a valid cookie are not asked."""

    def __init__(
        self,
        *,
        rate: int,
        all_rate: int = 0,
        slip: int = 2,
        ipv4_prefix: int = 24,
        ipv6_prefix: int = 56,
        exempt: Iterable[str] = (),
        max_keys: int = MAX_KEYS,
    ) -> None:
        """
        Begin with no counts.

        :param rate: replies of one kind and name that a network is sent in a second.
        :param all_rate: all replies that it is sent in a second; 0: not limited.
        :param slip: every how many limited queries one gets TC; 0 never, 1 always.
        :param ipv4_prefix: 8, 16, 24 or 32; `ipv6_prefix` is a multiple of 8 as well.
        :param exempt: networks that are never limited.
        :raises InvalidSettings: if a prefix or network is not valid.
        """
        for key, prefix, least, most in (("ipv4_prefix", ipv4_prefix, 8, 32), ("ipv6_prefix", ipv6_prefix, 16, 128)):
            if prefix not in range(least, most + 1, 8):
                raise InvalidSettings(
                    f"rate_limit.{key}: expected a multiple of 8 from {least} to {most}, got {prefix}"
                )
        self._slip = slip
        self._ipv4_bytes = ipv4_prefix // 8
        self._ipv6_bytes = ipv6_prefix // 8
        self._exempt = parse_networks(exempt, "rate_limit.exempt")
        self._exempt_hosts: dict[str, bool] = {}
        self._by_kind = _Window(rate, max_keys)
        self._by_network = _Window(all_rate, max_keys) if all_rate else None
        self._limited = 0

    def network_of(self, host: str) -> bytes:
        """Return the network that a peer's address, as its socket tells it, is counted in."""
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[: self._ipv6_bytes]
        return socket.inet_aton(host)[: self._ipv4_bytes]

    def is_over(self, network: bytes, counted_as: bytes) -> bool:
        """
        Count one reply to a network, and say whether that is one too many.

        :param counted_as: the reply's kind and name (`Compiled.counted_as`).
        """
        by_network = self._by_network
        if by_network is not None and by_network.count(network):
            return True
        return self._by_kind.count(network + counted_as)

    def is_exempt(self, host: str) -> bool:
        """Whether a peer is never limited; asked only about one that is over."""
        known = self._exempt_hosts.get(host)
        if known is None:
            known = is_within(host, self._exempt)
            if len(self._exempt_hosts) >= _MAX_EXEMPT_HOSTS:
                self._exempt_hosts.clear()
            self._exempt_hosts[host] = known
        return known

    def slips(self) -> bool:
        """Whether this limited query is one that gets TC."""
        if not self._slip:
            return False
        self._limited = (self._limited + 1) % self._slip
        return not self._limited

    def tick(self) -> None:
        """A second has passed."""
        self._by_kind.tick()
        if self._by_network is not None:
            self._by_network.tick()


def pack(host: str) -> bytes:
    """Return an address as 4 or 16 bytes."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return socket.inet_aton(host)
