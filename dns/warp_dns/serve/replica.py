"""
What a server tells its worker processes, and what they report: a stream of msgpack values, each with its length.

The first process owns the zones and their serials; a worker is given the first snapshot and then what each change
touched, so that all answer with the same records at the same serial. A snapshot or change of many names travels in
parts (`Stage`), so that neither side is blocked by one. Pure: values and bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

import msgspec

from warp_dns.message.records import RRset
from warp_dns.serve.metrics import Counted
from warp_dns.settings import EdgeSettings, Secrets, ServerSettings
from warp_dns.zone.data import Builder, Change, Edit, Entry, Zone
from warp_dns.zone.steps import Steps, in_batches

SOCKET_DESCRIPTOR = 3  # where a worker finds its bound socket
MAX_VALUE_BYTES = 64 << 20  # the RRset of one owner may be large
OWNERS_PER_VALUE = 100  # some 0.2 ms of work on either side
_LENGTH_BYTES = 4


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first value: how to answer."""

    settings: ServerSettings
    secrets: Secrets
    workers: int


Records = bytes | list[RRset]  # packed (`zone.packed`), or RRsets


class Stage(msgspec.Struct, frozen=True, tag=True):
    """Some folded owners and all of their records, for the `Serve` or `Advance` of the zone that follows."""

    apex: bytes
    owners: list[tuple[bytes, Records]]


class Serve(msgspec.Struct, frozen=True, tag=True):
    """A zone's whole snapshot: all that was staged."""

    apex: bytes


class Advance(msgspec.Struct, frozen=True, tag=True):
    """What a change touched: what was staged, and these owners."""

    apex: bytes
    serial: int
    owners: list[tuple[bytes, Records]]


class Withdraw(msgspec.Struct, frozen=True, tag=True):
    """A zone that is no longer served."""

    apex: bytes


class SetEdges(msgspec.Struct, frozen=True, tag=True):
    """Where edges are and how they do."""

    edges: dict[str, EdgeSettings]


class SetSuspended(msgspec.Struct, frozen=True, tag=True):
    """The zones that are not to be answered from for now, and those of which not all records are known."""

    apexes: list[bytes]
    incomplete: list[bytes] = []


Order = Begin | Stage | Serve | Advance | Withdraw | SetEdges | SetSuspended


def serving(zone: Zone) -> Iterator[Order]:
    """Yield what gives a worker a snapshot."""
    entries = chain.from_iterable(shard.items() for shard in zone.shards)
    owners = ((name, _records(entry)) for name, entry in entries)
    yield from _staged(zone.apex, (each for each in owners if each[1]))
    yield Serve(zone.apex)


def advancing(change: Change) -> Iterator[Order]:
    """Yield what brings a worker to the next snapshot."""
    zone = change.zone
    touched = ((owner, _records(zone.entry(owner))) for owner in change.touched)
    last: list[tuple[bytes, Records]] = []
    if len(change.touched) <= OWNERS_PER_VALUE:
        last = list(touched)
    else:
        yield from _staged(zone.apex, touched)
    yield Advance(zone.apex, zone.serial, last)


def _staged(apex: bytes, owners: Iterable[tuple[bytes, Records]]) -> Iterator[Stage]:
    remaining = iter(owners)
    while part := list(islice(remaining, OWNERS_PER_VALUE)):
        yield Stage(apex, part)


def _records(entry: Entry | None) -> Records:
    if isinstance(entry, bytes):
        return entry
    if isinstance(entry, tuple):
        return entry[0]
    return [] if entry is None else list(entry.rrsets.values())


def building(apex: bytes, owners: Mapping[bytes, Records]) -> Steps[Zone]:
    """Make a snapshot of all owners of a zone, in short steps."""
    builder = Builder(apex, len(owners))
    for part in in_batches(tuple(owners.items()), OWNERS_PER_VALUE):
        for owner, held in part:
            if isinstance(held, bytes):
                builder.add(owner, held)
        yield
    unpacked = {owner: held for owner, held in owners.items() if not isinstance(held, bytes)}
    edit = builder.edit()
    yield from _applying(edit, unpacked)
    return edit.zone()


def changing(zone: Zone, serial: int, owners: Mapping[bytes, Records]) -> Steps[Change]:
    """Apply a change to the snapshot before it, in short steps."""
    edit = zone.edit()
    yield from _applying(edit, owners)
    edit.number(serial)
    return Change(edit.zone(), edit.touched)


def _applying(edit: Edit, owners: Mapping[bytes, Records]) -> Steps[None]:
    for part in in_batches(tuple(owners.items()), OWNERS_PER_VALUE):
        for owner, held in part:
            if isinstance(held, bytes) and held:
                edit.hold(owner, held)
            else:
                edit.apply({owner: {rrset.type: rrset for rrset in held if isinstance(rrset, RRset)}})
        yield


def pack_value(value: Order | Counted) -> bytes:
    """Return a value as it travels."""
    content = msgspec.msgpack.encode(value)
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


class ValueReader:
    """Cuts a stream into the bytes of values."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def values(self, data: bytes) -> Iterator[bytes]:
        """
        Take bytes; yield what is complete.

        :raises ValueError: if a value is larger than any can be.
        """
        self._unread += data
        while len(self._unread) >= _LENGTH_BYTES:
            length = int.from_bytes(self._unread[:_LENGTH_BYTES], "big")
            if length > MAX_VALUE_BYTES:
                raise ValueError(f"a value of {length} bytes")
            end = _LENGTH_BYTES + length
            if len(self._unread) < end:
                return
            content = bytes(self._unread[_LENGTH_BYTES:end])
            del self._unread[:end]
            yield content
