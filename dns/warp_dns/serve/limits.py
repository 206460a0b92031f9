"""
Response rate limiting: how many UDP replies a network may be sent in a second.

Whoever forges a victim's address makes us send replies to the victim. So replies are counted by network, and past
the rate only every `slip`-th query is answered, with nothing but the TC bit: a real client asks again over TCP, a
victim gets no more than it would without us. Everything a network gets counts together, as in Knot since 3.4;
counting each name apart, as BIND does, lets a forger with a list of names multiply the rate by its length.

The unit is a window of one second. A network over the rate begins the next window with half of its count, so it is
let go only when it has slowed down. The table is bounded: when it is full, networks not in it share counts, which
may limit a stranger a little early but never lets a flood through. Pure: `tick` is called once a second.
"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from warp_dns.errors import InvalidSettings

MAX_NETWORKS = 65536
_SHARED_COUNTS = 1024
_MAX_EXEMPT_HOSTS = 4096
_MAX_CARRIED = 8  # times the rate: a network that stops flooding is free again within four windows


class ResponseRateLimit:
    """Counts replies by network; TCP and clients with a valid cookie are not asked."""

    def __init__(
        self,
        *,
        rate: int,
        slip: int = 2,
        ipv4_prefix: int = 24,
        ipv6_prefix: int = 56,
        exempt: Iterable[str] = (),
        max_networks: int = MAX_NETWORKS,
    ) -> None:
        """
        Begin with no counts.

        :param rate: replies a second and network; 0 switches limiting off.
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
        self.rate = rate
        self._slip = slip
        self._ipv4_bytes = ipv4_prefix // 8
        self._ipv6_bytes = ipv6_prefix // 8
        self._exempt: list[IPv4Network | IPv6Network] = []
        for index, text in enumerate(exempt):
            try:
                self._exempt.append(ip_network(text))
            except ValueError as error:
                raise InvalidSettings(
                    f"rate_limit.exempt[{index}]: expected a network such as 192.0.2.0/24, got {text!r} ({error})"
                ) from error
        self._exempt_hosts: dict[str, bool] = {}
        self._max_networks = max_networks
        self._counts: dict[bytes | int, int] = {}
        self._over: set[bytes | int] = set()
        self._limited = 0

    def network_of(self, host: str) -> bytes:
        """Return the network that a peer's address, as its socket tells it, is counted in."""
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[: self._ipv6_bytes]
        return socket.inet_aton(host)[: self._ipv4_bytes]

    def is_over(self, network: bytes) -> bool:
        """Count one reply to a network, and say whether that is one too many."""
        counts = self._counts
        key: bytes | int = network
        count = counts.get(key)
        if count is None:
            if len(counts) >= self._max_networks:
                key = hash(network) % _SHARED_COUNTS
            count = counts.get(key, 0)
        counts[key] = count + 1
        if count < self.rate:
            return False
        self._over.add(key)
        return True

    def is_exempt(self, host: str) -> bool:
        """Whether a peer is never limited; asked only about one that is over."""
        known = self._exempt_hosts.get(host)
        if known is None:
            address = ip_address(host.partition("%")[0])
            known = any(address in network for network in self._exempt)
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
        most = self.rate * _MAX_CARRIED
        self._counts = {key: min(self._counts[key], most) // 2 for key in self._over}
        self._over = {key for key, count in self._counts.items() if count >= self.rate}


def pack(host: str) -> bytes:
    """Return an address as 4 or 16 bytes."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return socket.inet_aton(host)
