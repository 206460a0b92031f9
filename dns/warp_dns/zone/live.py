"""
A zone that changes: its static records, the live ones merged over them, and the serial of each snapshot.

Pure: who calls says what changed; the answer is the next snapshot, or why an owner was refused. A live owner that
clashes with the static records is left out and named, the rest is published; a static file that clashes with what
is live is refused whole. Serials follow RFC 1982.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from warp_dns.errors import InvalidRecord, InvalidZone
from warp_dns.message import names, records
from warp_dns.message.records import NS, SOA, RRset, rrsets_from, soa_serial, soa_with_serial, type_text
from warp_dns.zone.data import NO_RRSETS, Change, RRsets, Zone
from warp_dns.zone.journal import Journal
from warp_dns.zone.master import StaticRecords
from warp_dns.zone.source import Records

_NEVER_LIVE = frozenset([records.NS, records.SOA, records.DNAME])  # they would take other names with them


def serial_after(serial: int) -> int:
    """Return the next serial (RFC 1982 §3.1), passing over 0, which some secondaries take for "none"."""
    return serial + 1 & 0xFFFFFFFF or 1


def is_newer(serial: int, than: int) -> bool:
    """Whether a serial comes after another (RFC 1982 §3.2); at a distance of 2**31 neither does."""
    return 0 < (serial - than & 0xFFFFFFFF) < 0x80000000


@dataclass(frozen=True, slots=True)
class Update:
    """
    The outcome of a change.

    :ivar change: the next snapshot, or None when nothing differs.
    :ivar refused: a sentence for each live owner that was left out.
    """

    change: Change | None
    refused: list[str] = field(default_factory=list)


class LiveZone:
    """The merge of one zone's static and live records."""

    def __init__(self, static: StaticRecords, serial: int | None = None, after: int | None = None) -> None:
        """
        Begin with the static records alone.

        :param serial: the first serial; None takes it from the static SOA.
        :param after: a serial that the zone had before; the first one is made to come after it.
        :raises InvalidZone: if they make no zone.
        """
        self._static = static
        self._cuts = static.cuts()
        self._live: dict[bytes, RRsets] = {}
        self._refused: dict[bytes, str] = {}
        soa = static.owners[static.apex][SOA]
        first = soa_serial(soa.rdatas[0]) if serial is None else serial
        if after is not None and not is_newer(first, after):
            first = serial_after(after)
        self.zone = _build(static, {}, first)
        self.journal = Journal()

    def replace_live(self, live: Records) -> Update:
        """Take these for all live records there are."""
        gone = {names.to_text(owner): () for owner in self._live}
        return self.update({**gone, **live})

    def update(self, live: Records) -> Update:
        """Take these for all live records of the owners named; an owner without any is gone."""
        changes: dict[bytes, RRsets] = {}
        refused: list[str] = []
        for text, members in live.items():
            try:
                written = names.from_text(text)
                owner = written.lower()
                if not names.is_at_or_below(owner, self.zone.apex):
                    raise InvalidRecord(f"{text} is outside the zone {names.to_text(self.zone.apex)}")
                rrsets = rrsets_from(written, members)
            except InvalidRecord as error:
                refused.append(str(error))
                continue
            if rrsets:
                self._live[owner] = rrsets
            else:
                self._live.pop(owner, None)
            merged = self._merge(owner, refused)
            node = self.zone.get(owner)
            if merged != (node.rrsets if node else NO_RRSETS):
                changes[owner] = merged
        return self._advance(changes, serial_after(self.zone.serial), refused)

    def replace_static(self, static: StaticRecords) -> Update:
        """
        Take these for the static records.

        The serial becomes the static SOA's when that is newer, else the next one.

        :raises InvalidZone: if they make no zone, or clash with a live record that is served now.
        """
        before = self._static, self._cuts, self._refused
        self._static, self._cuts, self._refused = static, static.cuts(), {}
        try:
            merged: dict[bytes, RRsets] = {}
            for owner in self._live.keys() | static.owners.keys():
                merged[owner] = self._merge(owner, [])
            clashes = [text for owner, text in self._refused.items() if owner not in before[2]]
            if clashes:
                raise InvalidZone("; ".join(sorted(clashes)))
            _build(static, {}, 0)
        except InvalidZone:
            self._static, self._cuts, self._refused = before
            raise
        for rrset in self.zone:
            merged.setdefault(rrset.owner.lower(), NO_RRSETS)
        changes = {owner: rrsets for owner, rrsets in merged.items() if self._differs(owner, rrsets)}
        offered = soa_serial(static.owners[static.apex][SOA].rdatas[0])
        serial = offered if is_newer(offered, self.zone.serial) else serial_after(self.zone.serial)
        return self._advance(changes, serial, [])

    def _advance(self, changes: Mapping[bytes, RRsets], serial: int, refused: list[str]) -> Update:
        if not changes:
            return Update(None, refused)
        change = self.zone.changed(changes, serial)
        self.journal.note(self.zone, change)
        self.zone = change.zone
        return Update(change, refused)

    def _differs(self, owner: bytes, rrsets: RRsets) -> bool:
        node = self.zone.get(owner)
        present = node.rrsets if node else NO_RRSETS
        if owner == self.zone.apex:
            return _without_serial(rrsets) != _without_serial(present)
        return rrsets != present

    def _merge(self, owner: bytes, refused: list[str]) -> RRsets:
        """Return what an owner holds now; a live owner that clashes is noted as refused and left out."""
        static = self._static.owners.get(owner, {})
        live = self._live.get(owner, NO_RRSETS)
        self._refused.pop(owner, None)
        try:
            if live:
                self._check_live(owner, live, static)
        except InvalidRecord as error:
            self._refused[owner] = str(error)
            refused.append(str(error))
            live = NO_RRSETS
        return {**static, **live}

    def _check_live(self, owner: bytes, live: RRsets, static: RRsets) -> None:
        text = names.to_text(owner)
        for suffix in names.suffixes(owner):
            if suffix in self._cuts:
                raise InvalidRecord(f"{text} is published, but {self._cuts[suffix]} delegates {names.to_text(suffix)}")
        for rtype in live:
            if rtype in _NEVER_LIVE:
                raise InvalidRecord(f"{text} {type_text(rtype)} is published, but never taken from a source")
            if rtype in static:
                place = self._static.places[owner, rtype]
                raise InvalidRecord(f"{text} {type_text(rtype)} is published, but {place} holds it too")
        try:
            records.check_together(owner, [*static.values(), *live.values()])
        except InvalidRecord as error:
            places = {self._static.places[owner, rtype] for rtype in static}
            raise InvalidRecord(f"{error}: published, and {', '.join(sorted(places))}") from error


def _without_serial(rrsets: RRsets) -> dict[int, object]:
    soa = rrsets[SOA]
    return {**rrsets, SOA: (soa.ttl, soa_with_serial(soa.rdatas[0], 0))}


def _build(static: StaticRecords, live: Mapping[bytes, RRsets], serial: int) -> Zone:
    return Zone.build(static.apex, _numbered(static, live, serial))


def _numbered(static: StaticRecords, live: Mapping[bytes, RRsets], serial: int) -> Iterable[RRset]:
    for owner in static.owners.keys() | live.keys():
        for rrset in {**static.owners.get(owner, {}), **live.get(owner, {})}.values():
            if rrset.type == SOA:
                yield RRset(rrset.owner, SOA, rrset.ttl, (soa_with_serial(rrset.rdatas[0], serial),))
            else:
                yield rrset


__all__ = ["NS", "LiveZone", "Update", "is_newer", "serial_after"]
