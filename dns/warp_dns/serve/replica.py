"""
What a server tells its worker processes, and what they report: a stream of msgpack values, each with its length.

The first process owns the zones and their serials; a worker is given the first snapshot and then what each change
touched, so that all answer with the same records at the same serial. Pure: values and bytes.
"""

from collections.abc import Iterator

import msgspec

from warp_dns.message.records import RRset
from warp_dns.serve.metrics import Counted
from warp_dns.settings import EdgeSettings, Secrets, ServerSettings
from warp_dns.zone.data import NO_RRSETS, Change, Zone

SOCKET_DESCRIPTOR = 3  # where a worker finds its bound socket
MAX_VALUE_BYTES = 256 << 20  # a zone's first snapshot
_LENGTH_BYTES = 4


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first value: how to answer."""

    settings: ServerSettings
    secrets: Secrets
    workers: int


class Serve(msgspec.Struct, frozen=True, tag=True):
    """A zone's whole snapshot."""

    apex: bytes
    rrsets: list[RRset]


class Advance(msgspec.Struct, frozen=True, tag=True):
    """What a change touched: folded owners and all of their RRsets."""

    apex: bytes
    serial: int
    owners: list[tuple[bytes, list[RRset]]]


class Withdraw(msgspec.Struct, frozen=True, tag=True):
    """A zone that is no longer served."""

    apex: bytes


class SetEdges(msgspec.Struct, frozen=True, tag=True):
    """Where edges are and how they do."""

    edges: dict[str, EdgeSettings]


class SetSuspended(msgspec.Struct, frozen=True, tag=True):
    """The zones that are not to be answered from for now."""

    apexes: list[bytes]


Order = Begin | Serve | Advance | Withdraw | SetEdges | SetSuspended


def serve(zone: Zone) -> Serve:
    """Return a snapshot as a value."""
    return Serve(zone.apex, list(zone))


def advance(change: Change) -> Advance:
    """Return a change as a value."""
    zone = change.zone
    owners = []
    for owner in change.touched:
        node = zone.get(owner)
        owners.append((owner, list((node.rrsets if node else NO_RRSETS).values())))
    return Advance(zone.apex, zone.serial, owners)


def changed(zone: Zone, value: Advance) -> Change:
    """Apply a change to the snapshot before it."""
    changes = {owner: {rrset.type: rrset for rrset in rrsets} for owner, rrsets in value.owners}
    return zone.changed(changes, value.serial)


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


__all__ = [
    "Advance",
    "Begin",
    "Counted",
    "Order",
    "Serve",
    "SetEdges",
    "SetSuspended",
    "ValueReader",
    "Withdraw",
    "advance",
    "changed",
    "pack_value",
    "serve",
]
