"""
How much and how long one visitor may take, and how many visitors there may be at once.

Values only, and the counting of connections; `connection` and `exchange` enforce the rest.
"""

from ipaddress import IPv6Address, ip_address

import msgspec

from warp_twisted.edge.refusals import TOO_MANY_CONNECTIONS, TOO_MANY_FROM_ADDRESS
from warp_twisted.http1.limits import BodyLimits, HeadLimits, ResponseRules
from warp_twisted.http1.refusals import Refusal


class VisitorLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Sizes and counts.

    :param head: of requests.
    :param response: of responses.
    :param body: of requests.
    :param response_body: of responses; a body without bound by default, trailers and extensions bounded.
    :param unread_bytes: in all, of answers that wait for visitors to read them and of requests that wait for origins
        to take them or to be served, before the slowest visitors are cut.
    :param body_bytes_per_second: which a visitor must send of a body on average, after `visitor_stall`; 0 for no bound.
    :param requests_per_second: of one IPv4 address or one IPv6 /64; 0 for no bound. `request_burst`: at once.
    :param handshakes_per_second: TLS handshakes, as requests. `handshake_burst`: at once.
    :param held_bytes: pipelined bytes kept while a request is served, before the visitor is no longer read.
    :param replay_bytes: of a request, kept until its answer begins, to send it again if its stream dies.
    :param interim_responses: of one request (103 and its like), before the origin is given up.
    :param idle_streams: kept open per route and tunnel for the next request.
    :param queued_requests: that wait for a place at the origins of one route.
    :param connections: in all.
    :param connections_per_address: of one IPv4 address or one IPv6 /64.
    """

    head: HeadLimits = HeadLimits()
    response: ResponseRules = ResponseRules()
    body: BodyLimits = BodyLimits()
    response_body: BodyLimits = BodyLimits()
    unread_bytes: int = 512 * 1024 * 1024
    body_bytes_per_second: int = 240
    requests_per_second: float = 0.0
    request_burst: int = 100
    handshakes_per_second: float = 100.0
    handshake_burst: int = 500
    held_bytes: int = 65_536
    replay_bytes: int = 65_536
    interim_responses: int = 16
    idle_streams: int = 256
    queued_requests: int = 100
    connections: int = 20_000
    connections_per_address: int = 1_000


class VisitorTimeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Waits, in seconds; each ends up to `tick` late, because one sweep looks at all connections.

    :param header: from a connection's or a request's first byte to the end of its head; for the TLS handshake; and
        for the end of a TLS connection.
    :param idle: between two requests.
    :param visitor_stall: without a byte of the body from the visitor, or until it has read another 64 KiB.
    :param origin_connect: until the agent has reached the origin; the agent has a limit of its own.
    :param origin_response: from the end of the request to the response head.
    :param origin_stall: between two pieces of a response; long, for event streams are quiet.
    :param queued: for a place at an origin that takes only so many requests at once.
    :param upgraded: without a byte in either direction after an upgrade.
    :param half_closed: without a byte in either direction after one side has closed its sending side.
    :param linger: for the visitor to close after our last words.
    :param idle_stream: an unused stream to an origin; below nginx's 75 seconds, so that we close first.
    :param suspicion: until a tunnel that was asked for something and is silent is suspected of being dead.
    :param tick: between two sweeps.
    """

    header: float = 10.0
    idle: float = 75.0
    visitor_stall: float = 60.0
    origin_connect: float = 15.0
    origin_response: float = 60.0
    origin_stall: float = 3_600.0
    queued: float = 10.0
    upgraded: float = 3_600.0
    half_closed: float = 60.0
    linger: float = 2.0
    idle_stream: float = 55.0
    suspicion: float = 2.0
    tick: float = 1.0


class ConnectionCounts:
    """
    How many visitor connections are open, in all and per address.

    :param limits: replace `limits` to change them; connections that are open stay.
    """

    def __init__(self, limits: VisitorLimits) -> None:
        self.limits = limits
        self.total = 0
        self._by_network: dict[str, int] = {}

    def admit(self, address: str, *, is_exchanged: bool = False, is_limited: bool = True) -> Refusal | None:
        """
        Count a connection in, or say why not.

        :param is_exchanged: whether another one is about to go for it.
        :param is_limited: whether the address may have so many only.
        :returns: None if it is counted; then `release` must follow at its end.
        """
        network = network_of(address)
        count = self._by_network.get(network, 0)
        if count >= self.limits.connections_per_address and is_limited:
            return TOO_MANY_FROM_ADDRESS
        if self.total >= self.limits.connections and not is_exchanged:
            return TOO_MANY_CONNECTIONS
        self._by_network[network] = count + 1
        self.total += 1
        return None

    def release(self, address: str) -> None:
        """Count a connection out."""
        network = network_of(address)
        self.total -= 1
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]


def plain_address(address: str) -> str:
    """Strip the IPv6 zone from an address, and map IPv4-mapped IPv6 addresses to IPv4."""
    if ":" not in address:
        return address
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def network_of(address: str) -> str:
    """Return what counts as one visitor: an IPv4 address, or the /64 that an IPv6 visitor owns as a whole."""
    if ":" not in address:
        return address
    return str(IPv6Address(int(IPv6Address(address)) >> 64 << 64))
