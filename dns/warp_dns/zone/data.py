"""
One zone's data at one serial: an immutable snapshot, and how the next one is made from it.

Owners are kept flat, by folded name, with the names between them and the apex present as empty non-terminals
(RFC 4592 §2.2.2), so that "does this name exist" is one lookup. The table is cut into shards: the next snapshot
shares every shard that a change did not touch, so a change costs what it touches and not what the zone holds.
What was read from a file is held packed (see `packed`) and becomes RRsets when it is asked for.
What to answer from the data is decided in `lookup`; where the data comes from is not known here.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType

from warp_dns.errors import InvalidZone
from warp_dns.message import names
from warp_dns.message.records import NS, SOA, RRset, check_together, soa_minimum, soa_serial, soa_with_serial
from warp_dns.zone.packed import unpack
from warp_dns.zone.steps import Steps, finish

_OWNERS_PER_SHARD = 64  # when a zone is laid out; copying a dict of 1,000 owners still costs only some 8 µs
_GROWTH = 16  # times as many owners, then the zone is laid out again
_MIN_SHARDS = 256
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


# What a table holds of a name: packed records, those with the number of children when there are any, or a Node.
Entry = bytes | tuple[bytes, int] | Node
Shard = dict[bytes, Entry]

_EMPTY: Shard = {}  # shared by all zones: a shard is copied when it is first written to


class Zone:
    """A zone's snapshot. Made by `build` or a `Builder`, then by `changed`; never altered."""

    __slots__ = ("_mask", "_size", "apex", "at_apex", "negative_soa", "serial", "shards", "soa")

    def __init__(self, apex: bytes, shards: tuple[Shard, ...], size: int) -> None:
        self.apex = apex
        self.shards = shards
        self._mask = len(shards) - 1
        self._size = size
        node = node_of(apex, shards[hash(apex) & self._mask].get(apex))
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
        _check(apex, owners)
        edit = Edit(apex, (_EMPTY,) * shard_count(len(owners)))
        edit.apply(owners)
        return edit.zone()

    def changed(self, changes: Changes, serial: int) -> "Change":
        """
        Return the snapshot that follows this one.

        :param changes: folded owners and all of their RRsets; the SOA may be left out of the apex's.
        :param serial: the serial of the new snapshot.
        :raises InvalidZone: if an owner is outside the zone, or types may not stand together.
        """
        _check(self.apex, changes)
        edit = self.edit()
        edit.apply(changes)
        edit.number(serial)
        return Change(edit.zone(), frozenset(edit.touched))

    def edit(self) -> "Edit":
        """Return a copy to be changed; what it does not touch stays shared."""
        return Edit(self.apex, self.shards, self._size)

    def get(self, name: bytes) -> Node | None:
        """Return what a folded name holds, or None if the name does not exist."""
        entry = self.shards[hash(name) & self._mask].get(name)
        return entry if entry is None or entry.__class__ is Node else node_of(name, entry)

    def entry(self, name: bytes) -> Entry | None:
        """Return what is held of a folded name as it is held."""
        return self.shards[hash(name) & self._mask].get(name)

    def __contains__(self, name: bytes) -> bool:
        """Whether a folded name exists."""
        return name in self.shards[hash(name) & self._mask]

    def __iter__(self) -> Iterator[RRset]:
        """Yield every RRset, in no particular order."""
        for shard in self.shards:
            for name, entry in shard.items():
                yield from rrsets_of(name, entry).values()

    def __len__(self) -> int:
        """Return how many names exist, empty non-terminals included."""
        return self._size


def _check(apex: bytes, changes: Changes) -> None:
    for owner, rrsets in changes.items():
        if not names.is_at_or_below(owner, apex):
            raise InvalidZone(f"{names.to_text(owner)} is outside the zone {names.to_text(apex)}")
        check_together(owner, rrsets.values())


def node_of(name: bytes, entry: Entry | None) -> Node | None:
    """Return an entry of a table as a node."""
    if entry is None or isinstance(entry, Node):
        return entry
    return Node(rrsets_of(name, entry), entry[1] if isinstance(entry, tuple) else 0)


def rrsets_of(name: bytes, entry: Entry | None) -> RRsets:
    """Return the RRsets of an entry of a table; none if the name does not exist."""
    if entry is None:
        return NO_RRSETS
    if isinstance(entry, Node):
        return entry.rrsets
    packed = entry[0] if isinstance(entry, tuple) else entry
    return unpack(name, packed) if packed else NO_RRSETS


@dataclass(frozen=True, slots=True)
class Change:
    """
    A snapshot and how it differs from the one before.

    :ivar touched: folded names that appeared, disappeared or have other records now, empty non-terminals included;
        the apex does not count when only its serial changed.
    """

    zone: Zone
    touched: Set[bytes]


class Edit:
    """
    A snapshot in the making. Its shards are copied when they are first written to.

    :ivar touched: as `Change.touched`.
    """

    def __init__(self, apex: bytes, shards: tuple[Shard, ...], size: int = 0) -> None:
        self.apex = apex
        self.touched: set[bytes] = set()
        self._shards = list(shards)
        self._copied = bytearray(len(shards))
        self._mask = len(shards) - 1
        self._size = size

    def zone(self) -> Zone:
        """
        Return the snapshot; the edit must not be used any more.

        :raises InvalidZone: if the apex lacks SOA or NS.
        """
        finish(self.laying_out())
        return Zone(self.apex, tuple(self._shards), self._size)

    def get(self, owner: bytes) -> Node | None:
        """Return what a folded name holds now, or None if it does not exist."""
        return node_of(owner, self._entry(owner))

    def number(self, serial: int) -> None:
        """Set the serial; that alone does not count as touching the apex."""
        node = self.get(self.apex)
        if node is not None and SOA in node.rrsets:
            soa = node.rrsets[SOA]
            numbered = replace(soa, rdatas=(soa_with_serial(soa.rdatas[0], serial),))
            self._put(self.apex, Node({**node.rrsets, SOA: numbered}, node.children))

    def apply(self, changes: Changes) -> None:
        """
        Change owners: each has these RRsets afterwards. The apex keeps its SOA if none is given.

        :param changes: owners of the zone, and types that may stand together, as the caller made sure.
        """
        for owner, rrsets in changes.items():
            node = self.get(owner)
            if owner == self.apex and node is not None and SOA not in rrsets:
                rrsets = {SOA: node.rrsets[SOA], **rrsets}
            self.touched.add(owner)
            if rrsets:
                if node is None:
                    self._add(owner, Node(dict(rrsets), 0))
                else:
                    self._put(owner, Node(dict(rrsets), node.children))
            elif node is not None:
                self._clear(owner, node)

    def hold(self, owner: bytes, packed: bytes) -> None:
        """Give an owner packed records, which were checked where they come from."""
        self.touched.add(owner)
        entry = self._entry(owner)
        if entry is None:
            self._add(owner, packed)
            return
        children = 0 if isinstance(entry, bytes) else entry.children if isinstance(entry, Node) else entry[1]
        self._put(owner, (packed, children) if children else packed)

    def _add(self, owner: bytes, entry: Entry) -> None:
        self._put(owner, entry)
        self._size += 1
        while owner != self.apex:
            owner = names.parent(owner)
            if self._entry(owner) is not None:
                self._count_child(owner, 1)
                return
            self._put(owner, (b"", 1))
            self.touched.add(owner)
            self._size += 1

    def _clear(self, owner: bytes, node: Node) -> None:
        self._put(owner, (b"", node.children))
        while owner != self.apex:
            if (current := self._entry(owner)) is None or current.__class__ is not tuple or current != (b"", 0):
                return
            del self._shard(owner)[owner]
            self.touched.add(owner)
            self._size -= 1
            owner = names.parent(owner)
            self._count_child(owner, -1)

    def _count_child(self, owner: bytes, by: int) -> None:
        entry = self._entry(owner)
        if isinstance(entry, Node):
            self._put(owner, Node(entry.rrsets, entry.children + by))
        elif isinstance(entry, tuple):
            self._put(owner, (entry[0], entry[1] + by))
        elif entry is not None:
            self._put(owner, (entry, by))

    def _entry(self, owner: bytes) -> Entry | None:
        return self._shards[hash(owner) & self._mask].get(owner)

    def _put(self, owner: bytes, entry: Entry) -> None:
        self._shard(owner)[owner] = entry

    def _shard(self, owner: bytes) -> Shard:
        index = hash(owner) & self._mask
        if not self._copied[index]:
            self._shards[index] = dict(self._shards[index])
            self._copied[index] = 1
        return self._shards[index]

    def laying_out(self) -> Steps[None]:
        """Lay the table out again if it has grown much, in short steps; `zone` does it at once otherwise."""
        if self._size <= _GROWTH * _OWNERS_PER_SHARD * len(self._shards) or len(self._shards) >= _MAX_SHARDS:
            return
        count = shard_count(self._size)
        shards: list[Shard] = [{} for _ in range(count)]
        mask = count - 1
        for shard in self._shards:
            for owner, entry in shard.items():
                shards[hash(owner) & mask][owner] = entry
            yield
        self._shards, self._mask, self._copied = shards, mask, bytearray(b"\1") * count


class Builder:
    """
    A zone in the making from packed records, one after the other; for readers of files of any size.

    Records of one owner that follow each other are joined once, so that an owner with many records costs no more than
    as many owners.
    """

    def __init__(self, apex: bytes, expected_owners: int) -> None:
        self.apex = apex
        count = shard_count(expected_owners)
        self._shards: list[Shard] = [{} for _ in range(count)]
        self._mask = count - 1
        self._size = 1
        self._put(apex, (b"", 0))
        self._at_apex = 0  # children of the apex, counted apart: most names are
        self._owner = apex
        self._rows: list[bytes] = []

    def add(self, owner: bytes, row: bytes) -> None:
        """
        Add a record.

        :param owner: folded; at or below the apex.
        :param row: as `packed.row` makes it.
        """
        if owner == self._owner:
            self._rows.append(row)
            return
        if self._rows:
            self._flush()
        self._owner = owner
        self._rows = [row]

    def rrsets(self, owner: bytes) -> RRsets:
        """Return what a folded owner holds so far."""
        self._flush()
        return rrsets_of(owner, self._shards[hash(owner) & self._mask].get(owner))

    def zone(self) -> Zone:
        """
        Return the snapshot; the builder must not be used any more.

        :raises InvalidZone: if the apex lacks SOA or NS.
        """
        return self.edit().zone()

    def edit(self) -> Edit:
        """Return what was added, to be changed further; the builder must not be used any more."""
        self._flush()
        entry = self._shards[hash(self.apex) & self._mask][self.apex]
        if isinstance(entry, tuple):  # as it is made one in the beginning, and stays one
            self._put(self.apex, (entry[0], entry[1] + self._at_apex))
        return Edit(self.apex, tuple(self._shards), self._size)

    def _flush(self) -> None:
        rows = self._rows
        if not rows:
            return
        owner = self._owner
        shard = self._shards[hash(owner) & self._mask]
        entry = shard.get(owner)
        if entry is None:
            shard[owner] = rows[0] if len(rows) == 1 else b"".join(rows)
            self._size += 1
            if (above := owner[owner[0] + 1 :]) == self.apex:
                self._at_apex += 1
            else:
                self._add_child(above)
        elif isinstance(entry, tuple):
            shard[owner] = (b"".join((entry[0], *rows)), entry[1])
        elif isinstance(entry, bytes):
            shard[owner] = b"".join((entry, *rows))
        self._rows = []

    def _add_child(self, owner: bytes) -> None:
        """Count a child at a name; the names above exist with it."""
        while True:
            shard = self._shards[hash(owner) & self._mask]
            entry = shard.get(owner)
            if isinstance(entry, tuple):
                shard[owner] = (entry[0], entry[1] + 1)
                return
            if isinstance(entry, bytes):
                shard[owner] = (entry, 1)
                return
            shard[owner] = (b"", 1)
            self._size += 1
            owner = owner[owner[0] + 1 :]

    def _put(self, owner: bytes, entry: Entry) -> None:
        self._shards[hash(owner) & self._mask][owner] = entry


def shard_count(owners: int) -> int:
    """Return how many shards a zone of so many names is laid out with: a power of two."""
    return min(_MAX_SHARDS, max(_MIN_SHARDS, 1 << max(0, (owners // _OWNERS_PER_SHARD).bit_length())))
