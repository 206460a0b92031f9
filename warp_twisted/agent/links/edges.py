"""
Where the edges are, and which of them a tunnel should dial next.

The sources, best first: a fixed list, which excludes all others; `SRV _warp-edge._tcp.<zone>`, asked again at every
dial; what edges said when they accepted a tunnel; what the join token said. A worse source is a fallback: its edges
are dialed only while those of the better ones do not answer. Among the edges of one source, the one with the fewest
of our tunnels comes first, then SRV priority, then chance. Nothing here keeps a connection or a timer.

What DNS and edges name is believed within bounds, as a lie would have the agent knock at ports of its own network: a
name must lie in the zone of the settings, or be one that settings or join token name; an address must not be this
machine's own or one of its link, unless settings or join token name such a one. What is out of bounds is named in the
log and left out. Whoever answers at what is left still has to prove that it is an edge of the fleet.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import ClassVar

from twisted.logger import Logger
from twisted.names.dns import Record_SRV, RRHeader

from warp_base.host_port import join_host_port
from warp_twisted.agent.edge_address import EdgeAddress, parse_edge
from warp_twisted.agent.errors import NoEdge
from warp_twisted.errors import InvalidSettings

MAX_EDGES = 256
FAILED_SECONDS = 60.0  # how long a failed dial counts against an edge


LookupService = Callable[[str], Awaitable[tuple[Sequence[RRHeader], Sequence[RRHeader], Sequence[RRHeader]]]]
Tiers = Sequence[Sequence[EdgeAddress]]


@dataclass(slots=True, kw_only=True)
class Edges:
    """
    What is known of the edges.

    :ivar fixed: if not empty, these and no others.
    :ivar zone: where to look for SRV records, or empty.
    :ivar seen: those that edges named last; written by `told`.
    :ivar enrolled: those that the join token named.
    :ivar lookup_service: asks DNS for SRV records, such as `twisted.names.client.lookupService`.
    """

    fixed: Sequence[EdgeAddress] = ()
    zone: str = ""
    seen: Sequence[EdgeAddress] = ()
    enrolled: Sequence[EdgeAddress] = ()
    lookup_service: LookupService | None = None
    random: Random = field(default_factory=Random)
    _failed_at: dict[EdgeAddress, float] = field(default_factory=dict)
    _left_out: frozenset[str] = frozenset()

    _log: ClassVar[Logger] = Logger()

    async def find(self) -> Tiers:
        """
        Return the edges there are now, by source, the best first and none empty.

        :raises NoEdge: if no edge is known.
        """
        if self.fixed:
            return [self._shuffled(self.fixed)]
        found = []
        if self.zone and self.lookup_service is not None:
            found.append(await self._look_up(self.lookup_service))
        found += [self._shuffled(self.seen), self._shuffled(self.enrolled)]
        tiers = [tier for tier in found if tier]
        if not tiers:
            raise NoEdge("no edge is known: set edges or zone, or enroll again with a new join token")
        return tiers

    def told(self, texts: Sequence[str]) -> Sequence[str]:
        """
        Take note of the edges that an edge named, in place of those named before.

        :param texts: `host:port` each, as an edge sent them, or as they were kept.
        :returns: those of them that are believed.
        """
        self.seen = self._believed(read_addresses(texts[:MAX_EDGES]))
        return [str(edge) for edge in self.seen]

    def choose(self, tiers: Tiers, in_use: Sequence[EdgeAddress], now: float) -> EdgeAddress:
        """
        Choose the edge to dial next.

        :param tiers: from `find`.
        :param in_use: the edge of each tunnel that is up or being dialed.
        """
        used = Counter(in_use)
        self._failed_at = {edge: at for edge, at in self._failed_at.items() if now - at < FAILED_SECONDS}
        ranked = [
            (edge in self._failed_at, tier, used[edge], rank, edge)
            for tier, edges in enumerate(tiers)
            for rank, edge in enumerate(edges)
        ]
        return min(ranked)[-1]

    def better(self, tiers: Tiers, in_use: Sequence[EdgeAddress], now: float) -> EdgeAddress | None:
        """Return the edge that one of our tunnels should move to, so that no edge has two more than another."""
        edge = self.choose(tiers, in_use, now)
        used = Counter(in_use)
        return edge if used and max(used.values()) - used[edge] >= 2 else None

    def failed(self, edge: EdgeAddress, now: float) -> None:
        """Note that an edge could not be dialed."""
        if len(self._failed_at) < MAX_EDGES:
            self._failed_at[edge] = now

    def answered(self, edge: EdgeAddress) -> None:
        """Note that an edge took a tunnel."""
        self._failed_at.pop(edge, None)

    def _shuffled(self, edges: Sequence[EdgeAddress]) -> Sequence[EdgeAddress]:
        return self.random.sample(edges, len(edges))

    async def _look_up(self, lookup_service: LookupService) -> Sequence[EdgeAddress]:
        name = f"_warp-edge._tcp.{self.zone}"
        try:
            answers, _, _ = await lookup_service(name)
        except (
            Exception
        ) as error:  # whatever a resolver stumbles over: what this machine's resolv.conf says, an odd answer
            self._log.warn("looking up {name} failed: {error!r}; using the edges known before", name=name, error=error)
            return ()
        records: list[Record_SRV] = []
        for answer in answers[:MAX_EDGES]:
            if isinstance(answer.payload, Record_SRV):
                records.append(answer.payload)
        return self._ordered(records)

    def _ordered(self, records: Sequence[Record_SRV]) -> Sequence[EdgeAddress]:
        """Order by priority, and inside one priority by chance in proportion to weight (RFC 2782)."""
        drawn = [
            (record.priority, -(self.random.random() ** (1 / (record.weight or 0.1))), record) for record in records
        ]
        drawn.sort(key=lambda item: item[:2])
        texts = [
            join_host_port(record.target.name.decode("ascii", "backslashreplace").rstrip("."), record.port)
            for _, _, record in drawn
            if record.target.name.strip(b".")  # RFC 2782: a target of "." means that there is no service
        ]
        return list(dict.fromkeys(self._believed(read_addresses(texts))))

    def _believed(self, edges: Sequence[EdgeAddress]) -> Sequence[EdgeAddress]:
        """Leave out what is out of bounds, and say so when that changes."""
        named = [edge.host for edge in (*self.fixed, *self.enrolled)]
        believed = [edge for edge in edges if _is_within(edge.host, self.zone, named)]
        left_out = frozenset(map(str, edges)) - frozenset(map(str, believed))
        for text in sorted(left_out - self._left_out):
            self._log.warn("{text} is not dialed: neither zone nor edges nor join token cover it", text=text)
        self._left_out |= left_out if len(self._left_out) < MAX_EDGES else frozenset()
        return believed


def _is_within(host: str, zone: str, named: Sequence[str]) -> bool:
    if host in named or (zone and host.endswith(f".{zone}")):
        return True
    address = _address(host)
    if address is None:
        return False
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    if address.is_loopback or address.is_link_local:
        others = [other for other in map(_address, named) if other is not None]
        return any(
            (other.is_loopback, other.is_link_local) == (address.is_loopback, address.is_link_local) for other in others
        ) or (address.is_loopback and "localhost" in named)
    return True


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def read_addresses(texts: Sequence[str]) -> Sequence[EdgeAddress]:
    """Read what edges and tokens name, leaving out what is no address."""
    found = []
    for text in texts:
        try:
            found.append(parse_edge(text, "edge"))
        except InvalidSettings:
            Edges._log.warn("{text} is no address of an edge", text=text)
    return found
