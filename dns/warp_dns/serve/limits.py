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
from typing import Any

from warp_dns.addresses import is_within, parse_networks
from warp_dns.errors import InvalidSettings

MAX_KEYS = 65536  # of each table
_MAX_HOSTS = 65536  # whose network is remembered
_SHARED_COUNTS = 1024
_MAX_EXEMPT_HOSTS = 4096
_UNLIMITED = 1 << 62
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

    def tick(self) -> dict[Any, Any]:
        """A second has passed; returns a table that is not needed any more."""
        most = self.rate * _MAX_CARRIED
        before = self.counts
        self.counts = {key: min(before[key], most) // 2 for key in self.over}
        self.over = {key for key, count in self.counts.items() if count >= self.rate}
        return before


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
        self._by_network = _Window(all_rate or _UNLIMITED, max_keys)
        self._networks: dict[str, bytes] = {}
        self._limited = 0

    def is_over(self, host: str, counted_as: bytes) -> bool:
        """
        Count one reply to a peer's network, and say whether that is one too many.

        Two counts for each query that the server answers: what is known already is counted here, without further calls.

        :param host: the peer's address as its socket tells it.
        :param counted_as: the reply's kind and name (`Compiled.counted_as`).
        """
        network = self._networks.get(host) or self._network_of(host)
        window = self._by_network
        count = window.counts.get(network)
        if count is None or count >= window.rate:
            if window.count(network):
                return True
        else:
            window.counts[network] = count + 1
        key = network + counted_as
        window = self._by_kind
        count = window.counts.get(key)
        if count is None or count >= window.rate:
            return window.count(key)
        window.counts[key] = count + 1
        return False

    def _network_of(self, host: str) -> bytes:
        """Return the network that an address is counted in, and remember it."""
        if ":" in host:
            network = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[: self._ipv6_bytes]
        else:
            network = socket.inet_aton(host)[: self._ipv4_bytes]
        if len(self._networks) < _MAX_HOSTS:
            self._networks[host] = network
        return network

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

    def tick(self) -> list[dict[Any, Any]]:
        """
        A second has passed.

        :returns: tables that are not needed any more; the caller empties them in slices, as a flood has filled them.
        """
        unused = [self._by_kind.tick(), self._by_network.tick()]
        if len(self._networks) >= _MAX_HOSTS:
            unused.append(self._networks)
            self._networks = {}
        return unused


def pack(host: str) -> bytes:
    """Return an address as 4 or 16 bytes."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return socket.inet_aton(host)
