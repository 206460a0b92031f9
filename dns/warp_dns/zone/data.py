"""
One zone's data at one serial: an immutable snapshot, and how the next one is made from it.

Owners are kept flat, by folded name, with the names between them and the apex present as empty non-terminals
(RFC 4592 §2.2.2), so that "does this name exist" is one lookup. The table is cut into shards: the next snapshot
shares every shard that a change did not touch, so a change costs what it touches and not what the zone holds.
What to answer from the data is decided in `answer`; where the data comes from is not known here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from warp_dns.errors import InvalidZone
from warp_dns.message import names
from warp_dns.message.records import NS, SOA, RRset, check_together, soa_minimum, soa_serial, soa_with_serial

_OWNERS_PER_SHARD = 64  # copying one such dict costs about as much as building a node
_MAX_SHARDS = 65536

RRsets = Mapping[int, RRset]
Changes = Mapping[bytes, RRsets]  # folded owner → all its RRsets now; empty: no records left

NO_RRSETS: RRsets = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """
    One existing name.

    :ivar rrsets: by type; empty for an empty non-terminal.
    :ivar children: how many existing names are directly below.
    """

    rrsets: RRsets
    children: int


_Shard = dict[bytes, Node]


class Zone:
    """A zone's snapshot. Made by `build`, then by `changed`; never altered."""

    __slots__ = ("_mask", "_shards", "_size", "apex", "at_apex", "negative_soa", "serial", "soa")

    def __init__(self, apex: bytes, shards: tuple[_Shard, ...], size: int) -> None:
        self.apex = apex
        self._shards = shards
        self._mask = len(shards) - 1
        self._size = size
        node = self.get(apex)
        if node is None or SOA not in node.rrsets or NS not in node.rrsets:
            raise InvalidZone(f"zone {names.to_text(apex)} needs an SOA and an NS record at its apex")
        self.at_apex = node
        self.soa = node.rrsets[SOA]
        rdata = self.soa.rdatas[0]
        self.serial = soa_serial(rdata)
        self.negative_soa = replace(self.soa, ttl=min(self.soa.ttl, soa_minimum(rdata)))  # RFC 2308 §5

    @classmethod
    def build(cls, apex: bytes, rrsets: Iterable[RRset]) -> "Zone":
        """
        Make a zone from all of its RRsets.

        :param apex: folded.
        :raises InvalidZone: if the apex lacks SOA or NS, or an owner is outside the zone.
        """
        owners: dict[bytes, dict[int, RRset]] = {}
        for rrset in rrsets:
            owners.setdefault(rrset.owner.lower(), {})[rrset.type] = rrset
        count = _shard_count(len(owners))
        shards: tuple[_Shard, ...] = tuple({} for _ in range(count))
        edit = _Edit(apex, shards, count - 1)
        edit.copied = [True] * count
        edit.apply(owners)
        return cls(apex, tuple(edit.shards), edit.size)

    def changed(self, changes: Changes, serial: int) -> "Change":
        """
        Return the snapshot that follows this one.

        :param changes: folded owners and all of their RRsets; the SOA may be left out of the apex's.
        :param serial: the serial of the new snapshot.
        :raises InvalidZone: if an owner is outside the zone, or types may not stand together.
        """
        edit = _Edit(self.apex, self._shards, self._mask, self._size)
        soa = changes.get(self.apex, NO_RRSETS).get(SOA, self.soa)
        numbered = replace(soa, rdatas=(soa_with_serial(soa.rdatas[0], serial),))
        at_apex = {**changes.get(self.apex, self.at_apex.rrsets), SOA: numbered}
        edit.apply({**changes, self.apex: at_apex})
        if self.apex not in changes:
            edit.touched.discard(self.apex)
        zone = Zone(self.apex, tuple(edit.shards), edit.size)
        if edit.size > 4 * _OWNERS_PER_SHARD * len(self._shards) and len(self._shards) < _MAX_SHARDS:
            zone = Zone.build(self.apex, zone)
        return Change(zone, frozenset(edit.touched))

    def get(self, name: bytes) -> Node | None:
        """Return what a folded name holds, or None if the name does not exist."""
        return self._shards[hash(name) & self._mask].get(name)

    def __iter__(self) -> Iterator[RRset]:
        """Yield every RRset, in no particular order."""
        for shard in self._shards:
            for node in shard.values():
                yield from node.rrsets.values()

    def __len__(self) -> int:
        """Return how many names exist, empty non-terminals included."""
        return self._size


@dataclass(frozen=True, slots=True)
class Change:
    """
    A snapshot and how it differs from the one before.

    :ivar touched: folded names that appeared, disappeared or have other records now, empty non-terminals included;
        the apex does not count when only its serial changed.
    """

    zone: Zone
    touched: frozenset[bytes]


class _Edit:
    """The shards of a snapshot in the making: copied when first written to."""

    def __init__(self, apex: bytes, shards: tuple[_Shard, ...], mask: int, size: int = 0) -> None:
        self.apex = apex
        self.shards = list(shards)
        self.copied = [False] * len(shards)
        self.mask = mask
        self.size = size
        self.touched: set[bytes] = set()

    def apply(self, changes: Changes) -> None:
        for owner, rrsets in changes.items():
            if not names.is_at_or_below(owner, self.apex):
                raise InvalidZone(f"{names.to_text(owner)} is outside the zone {names.to_text(self.apex)}")
            check_together(owner, rrsets.values())
            self.touched.add(owner)
            node = self._get(owner)
            if rrsets:
                if node is None:
                    self._add(owner, rrsets)
                else:
                    self._put(owner, Node(dict(rrsets), node.children))
            elif node is not None:
                self._clear(owner, node)

    def _add(self, owner: bytes, rrsets: RRsets) -> None:
        self._put(owner, Node(dict(rrsets), 0))
        self.size += 1
        while owner != self.apex:
            owner = names.parent(owner)
            node = self._get(owner)
            if node is not None:
                self._put(owner, Node(node.rrsets, node.children + 1))
                return
            self._put(owner, Node(NO_RRSETS, 1))
            self.touched.add(owner)
            self.size += 1

    def _clear(self, owner: bytes, node: Node) -> None:
        self._put(owner, Node(NO_RRSETS, node.children))
        while owner != self.apex:
            current = self._get(owner)
            if current is None or current.children or current.rrsets:
                return
            del self._shard(owner)[owner]
            self.touched.add(owner)
            self.size -= 1
            owner = names.parent(owner)
            above = self._shard(owner)[owner]
            self._put(owner, Node(above.rrsets, above.children - 1))

    def _get(self, owner: bytes) -> Node | None:
        return self.shards[hash(owner) & self.mask].get(owner)

    def _put(self, owner: bytes, node: Node) -> None:
        self._shard(owner)[owner] = node

    def _shard(self, owner: bytes) -> _Shard:
        index = hash(owner) & self.mask
        if not self.copied[index]:
            self.shards[index] = dict(self.shards[index])
            self.copied[index] = True
        return self.shards[index]


def _shard_count(owners: int) -> int:
    return min(_MAX_SHARDS, 1 << max(0, (owners // _OWNERS_PER_SHARD).bit_length()))
