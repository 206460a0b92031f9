"""
In which names two snapshots of a zone differ, found in short steps.

Snapshots of the same size are compared shard by shard, which for packed records is a comparison of strings.
"""

from collections.abc import Iterator

from warp_dns.zone.data import Entry, Node, Zone, rrsets_of


def differing_names(before: Zone, after: Zone) -> Iterator[bytes | None]:
    """
    Yield each name that appeared, disappeared or has other records, and None after each short step.

    The apex counts when its SOA has another serial only.
    """
    if len(before.shards) == len(after.shards):
        for old, new in zip(before.shards, after.shards, strict=True):
            if old is not new and old != new:
                for name in old.keys() | new.keys():
                    if not _is_same(name, old.get(name), new.get(name)):
                        yield name
            yield None
        return
    for shard in after.shards:
        for name, entry in shard.items():
            if not _is_same(name, before.entry(name), entry):
                yield name
        yield None
    for shard in before.shards:
        for name in shard:
            if name not in after:
                yield name
        yield None


def _is_same(name: bytes, old: Entry | None, new: Entry | None) -> bool:
    if old is None or new is None:
        return old is new
    if isinstance(old, Node) or isinstance(new, Node):
        return rrsets_of(name, old) == rrsets_of(name, new)
    return _packed(old) == _packed(new)


def _packed(entry: bytes | tuple[bytes, int]) -> bytes:
    return entry if isinstance(entry, bytes) else entry[0]
