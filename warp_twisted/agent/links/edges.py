"""
Where the edges are, and which of them a tunnel should dial next.

The sources, best first: a fixed list, which excludes all others; `SRV _warp-edge._tcp.<zone>`, asked again at every
dial, each of its priorities a source of its own (RFC 2782); what edges said when they accepted a tunnel; what the join
token said. A worse source is a fallback: its edges are dialed only while those of the better ones do not answer.

Tunnels are kept on the `spread` nearest edges of the best source that has one which answers (`nearness`), as many on
each. An edge that is found to have several addresses counts once. Among equally near edges a draw decides that each
agent makes once for each edge, in proportion to the SRV weight (weighted rendezvous hashing): agents spread over a
fleet by weight, an edge that is added gets its part of all agents, and one that leaves moves its own tunnels only. An
edge that failed is passed over for one to two minutes, each agent its own time, so that the agents of a fleet do not
return all at once, or until it answers when it is asked (`may_be_back`); one that answered, but did not take the
tunnel, is not asked before. Nothing here keeps a connection or a timer.

What DNS and edges name is believed within bounds, as a lie would have the agent knock at ports of its own network: a
name must lie in the zone of the settings, or be one that settings or join token name; an address must not be this
machine's own or one of its link, unless settings or join token name such a one. What is out of bounds is named in the
log and left out. Whoever answers at what is left still has to prove that it is an edge of the fleet.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import ClassVar

from twisted.logger import Logger
from twisted.names.dns import Record_SRV, RRHeader

from warp_base.host_port import join_host_port
from warp_twisted.agent.edge_address import EdgeAddress, parse_edge
from warp_twisted.agent.errors import NoEdge
from warp_twisted.agent.links.nearness import MAX_EDGES, Nearness
from warp_twisted.errors import InvalidSettings

FAILED_SECONDS = 60.0  # how long a failure counts against an edge, at least; at most twice as long
DEFAULT_SPREAD = 2


LookupService = Callable[[str], Awaitable[tuple[Sequence[RRHeader], Sequence[RRHeader], Sequence[RRHeader]]]]
Tiers = Sequence[Sequence[EdgeAddress]]


@dataclass(frozen=True, slots=True)
class Move:
    """A tunnel should leave the edge `source` for the edge `target`."""

    source: EdgeAddress
    target: EdgeAddress


@dataclass(frozen=True, slots=True)
class _Failure:
    """When an edge failed, until when that counts, and whether it answered, but did not take the tunnel."""

    at: float
    until: float
    refused: bool


@dataclass(slots=True, kw_only=True)
class Edges:
    """
    What is known of the edges.

    :ivar fixed: if not empty, these and no others.
    :ivar zone: where to look for SRV records, or empty.
    :ivar seen: those that edges named last; written by `told`.
    :ivar enrolled: those that the join token named.
    :ivar lookup_service: asks DNS for SRV records, such as `twisted.names.client.lookupService`.
    :ivar spread: over how many edges the tunnels are spread.
    :ivar nearness: how far edges are.
    """

    fixed: Sequence[EdgeAddress] = ()
    zone: str = ""
    seen: Sequence[EdgeAddress] = ()
    enrolled: Sequence[EdgeAddress] = ()
    lookup_service: LookupService | None = None
    spread: int = DEFAULT_SPREAD
    random: Random = field(default_factory=Random)
    nearness: Nearness = field(default_factory=Nearness)
    _failures: dict[EdgeAddress, _Failure] = field(default_factory=dict)
    _names: dict[EdgeAddress, str] = field(default_factory=dict)  # what the edge at an address calls itself
    _looked_up: Tiers = ()  # when DNS answered last
    _salt: bytes = b""
    _left_out: frozenset[str] = frozenset()

    _log: ClassVar[Logger] = Logger()

    async def find(self) -> Tiers:
        """
        Return the edges there are now, by source, the best first and none empty.

        :raises NoEdge: if no edge is known.
        """
        if self.fixed:
            return [self._drawn(self.fixed)]
        found: list[Sequence[EdgeAddress]] = []
        if self.zone and self.lookup_service is not None:
            found += await self._look_up(self.lookup_service)
        found += [self._drawn(self.seen), self._drawn(self.enrolled)]
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
        home = self._home(tiers, in_use, now)
        if home:
            used = Counter(in_use)
            return min(home, key=lambda edge: used[edge])
        known = {edge: self._failures[edge].at for tier in tiers for edge in tier}
        return min(known, key=lambda edge: (edge in in_use, known[edge]))  # all have failed: each is tried in turn

    def better(self, tiers: Tiers, in_use: Sequence[EdgeAddress], now: float) -> Move | None:
        """Return which tunnel should move: one of an edge that is not among the nearest, or of the most crowded."""
        home = self._home(tiers, in_use, now)
        if not home or not in_use:
            return None
        used = Counter(in_use)
        outside = [edge for edge in used if edge not in home and edge not in self._failures]
        crowded = max(home, key=lambda edge: used[edge])
        for source in (*reversed(outside), crowded):
            if used[source]:
                left = list(in_use)
                left.remove(source)
                target = self.choose(tiers, left, now)  # what is dialed then: without its tunnel that may be the source
                if target != source and (source in outside or used[source] - used[target] >= 2):
                    return Move(source, target)
        return None

    def failed(self, edge: EdgeAddress, now: float, *, refused: bool = False) -> None:
        """
        Note that an edge cannot be reached, or asks us to leave.

        :param refused: it answers, but does not take the tunnel.
        """
        if edge in self._failures or len(self._failures) < MAX_EDGES:
            self._failures[edge] = _Failure(now, now + FAILED_SECONDS * self.random.uniform(1.0, 2.0), refused)

    def may_be_back(self, tiers: Tiers, in_use: Sequence[EdgeAddress], now: float) -> EdgeAddress | None:
        """Return an edge that failed and would get a tunnel if it answered now: the one that failed first."""
        working = self.working(tiers, now)
        for tier in tiers:
            failed = [edge for edge in tier if edge in self._failures and not self._failures[edge].refused]
            for edge in sorted(failed, key=lambda edge: self._failures[edge].at):
                failure = self._failures.pop(edge)
                home = self._home(tiers, in_use, now)
                self._failures[edge] = failure
                if edge in home:
                    return edge
            if not working or working[0] in tier:
                return None
        return None

    def answered(self, edge: EdgeAddress, name: str = "") -> None:
        """
        Note that an edge took a tunnel.

        :param name: what it calls itself; two addresses of one name are one edge.
        """
        self._failures.pop(edge, None)
        if name and (edge in self._names or len(self._names) < MAX_EDGES):
            self._names[edge] = name

    def working(self, tiers: Tiers, now: float) -> Sequence[EdgeAddress]:
        """Return the edges of the best source that has one which has not failed, without those that have."""
        self._failures = {edge: failure for edge, failure in self._failures.items() if now < failure.until}
        for tier in tiers:
            if working := [edge for edge in tier if edge not in self._failures]:
                return working
        return ()

    def _home(self, tiers: Tiers, in_use: Collection[EdgeAddress], now: float) -> Sequence[EdgeAddress]:
        """Return the edges that tunnels should be on; none if all have failed."""
        home: dict[EdgeAddress | str, EdgeAddress] = {}
        for edge in self.nearness.ordered(self.working(tiers, now), in_use):
            home.setdefault(self._names.get(edge, edge), edge)
        return list(home.values())[: self.spread]

    def _draw(self, edge: EdgeAddress, weight: int = 1) -> float:
        """Return what an edge draws, lowest first; in proportion to its weight (RFC 2782: 0 is almost nothing)."""
        if not self._salt:
            self._salt = self.random.randbytes(16)
        digest = hashlib.blake2b(str(edge).encode(), key=self._salt, digest_size=8).digest()
        even = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return -(even ** (1 / (weight or 0.1)))  # type: ignore[no-any-return]

    def _drawn(self, edges: Sequence[EdgeAddress]) -> Sequence[EdgeAddress]:
        return sorted(edges, key=self._draw)

    async def _look_up(self, lookup_service: LookupService) -> Tiers:
        name = f"_warp-edge._tcp.{self.zone}"
        try:
            answers, _, _ = await lookup_service(name)
        except (
            Exception
        ) as error:  # whatever a resolver stumbles over: what this machine's resolv.conf says, an odd answer
            self._log.warn("looking up {name} failed: {error!r}; using the edges known before", name=name, error=error)
            return self._looked_up
        records: list[Record_SRV] = []
        for answer in answers[:MAX_EDGES]:
            if isinstance(answer.payload, Record_SRV):
                records.append(answer.payload)
        self._looked_up = self._by_priority(records)
        return self._looked_up

    def _by_priority(self, records: Sequence[Record_SRV]) -> Tiers:
        """Order by priority, and the edges of one priority by what they draw (RFC 2782)."""
        tiers: dict[int, dict[EdgeAddress, float]] = {}
        for record in sorted(records, key=lambda record: record.priority):
            if not record.target.name.strip(b"."):
                continue  # RFC 2782: a target of "." means that there is no service
            host = record.target.name.decode("ascii", "backslashreplace").rstrip(".")
            for edge in self._believed(read_addresses([join_host_port(host, record.port)])):
                if not any(edge in tier for tier in tiers.values()):
                    tiers.setdefault(record.priority, {})[edge] = self._draw(edge, record.weight)
        return [sorted(tier, key=tier.__getitem__) for tier in tiers.values()]

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
