"""
A zone that changes: its static records, the live ones merged over them, and the serial of each snapshot.

Pure: the caller says what changed and gets the next snapshot, and why an owner was refused. A live owner that
conflicts with the static records is left out and named, the rest is published; a new static file that conflicts with
live records is refused whole. Serials follow RFC 1982.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from warp_dns.errors import InvalidRecord, InvalidZone
from warp_dns.message import names, records
from warp_dns.message.records import SOA, RecordLike, rrsets_from, soa_with_serial, type_text
from warp_dns.zone.compare import differing_names
from warp_dns.zone.data import NO_RRSETS, Change, Edit, RRsets, Shard, Zone
from warp_dns.zone.journal import Journal, Row, Rows
from warp_dns.zone.master import StaticRecords
from warp_dns.zone.source import Records
from warp_dns.zone.steps import Steps, finish, in_batches

_NEVER_LIVE = frozenset([records.NS, records.SOA, records.DNAME])  # they would affect other names
_OWNERS_PER_STEP = 16  # of some 20 µs each
MAX_FILE_ROWS = 10_000  # of a new file; beyond it the journal is cleared, and secondaries transfer the whole zone


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
    :ivar unused: lists of what is not needed any more; the caller empties them in slices.
    """

    change: Change | None
    refused: list[str] = field(default_factory=list)
    unused: list[list[Shard] | list[Row]] = field(default_factory=list)


class LiveZone:
    """The merge of one zone's static and live records."""

    def __init__(self, static: StaticRecords, serial: int | None = None) -> None:
        """
        Begin with the static records alone.

        :param serial: the first serial; None takes it from the static SOA.
        """
        self._static = static
        self._live: dict[bytes, RRsets] = {}
        self._refused: dict[bytes, str] = {}
        self._changed_meanwhile: set[bytes] | None = None  # names, while new static records are merged
        self.zone = static.zone.changed({}, static.zone.serial if serial is None else serial).zone
        self.journal = Journal()

    def come_after(self, serial: int) -> None:
        """See that the zone's serial, which nobody was told yet, comes after one that the zone had before."""
        if not is_newer(self.zone.serial, serial):
            self.zone = self.zone.changed({}, serial_after(serial)).zone
            self.journal.clear()

    def replace_live(self, live: Records) -> Update:
        """Take these for all live records there are."""
        return finish(self.replacing_live(live))

    def replacing_live(self, live: Records) -> Steps[Update]:
        """Do what `replace_live` does, in short steps, as `updating` does."""
        gone: dict[str, Sequence[RecordLike]] = {}
        for owners in in_batches(tuple(self._live), _OWNERS_PER_STEP):
            gone.update((names.to_text(owner), ()) for owner in owners)
            yield
        return (yield from self.updating({**gone, **live}))

    def update(self, live: Records) -> Update:
        """Take these for all live records of the owners named; an owner without any is gone."""
        return finish(self.updating(live))

    def updating(self, live: Records) -> Steps[Update]:
        """Do what `update` does, in short steps. Nothing else may change the zone between two of them."""
        refused: list[str] = []
        edit: Edit | None = None
        for names_ in in_batches(live, _OWNERS_PER_STEP):
            if edit is not None:
                yield
            changes = self._take({name: live[name] for name in names_}, refused)
            edit = edit or self.zone.edit()
            edit.apply(changes)
        if edit is None or not edit.touched:
            return Update(None, refused)
        edit.number(serial_after(self.zone.serial))
        yield from edit.laying_out()
        change = Change(edit.zone(), edit.touched)
        rows = Rows()
        for owners in in_batches(edit.touched, _OWNERS_PER_STEP):
            for owner in owners:
                rows.compare(self.zone.get(owner), change.zone.get(owner))
            if len(edit.touched) > _OWNERS_PER_STEP:  # also where nothing differs
                yield
        unused = self.journal.note(rows.difference(self.zone, change.zone))
        if self._changed_meanwhile is not None:
            self._changed_meanwhile |= change.touched
        self.zone = change.zone
        return Update(change, refused, [unused])

    def _take(self, live: Records, refused: list[str]) -> dict[bytes, RRsets]:
        """Take these for all live records of the owners named, and return what differs from what is served."""
        changes: dict[bytes, RRsets] = {}
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
            merged = self._merge(self._static, self._refused, owner, refused)
            if self._differs(owner, merged):
                changes[owner] = merged
        return changes

    def replace_static(self, static: StaticRecords) -> Update:
        """
        Take these for the static records.

        The serial becomes the static SOA's when that is newer, else the next one.

        :raises InvalidZone: if they clash with a live record that is served now; nothing has changed then.
        """
        return finish(self.replacing_static(static))

    def replacing_static(self, static: StaticRecords) -> Steps[Update]:
        """
        Do what `replace_static` does, in short steps; live records may change between two of them.

        The next snapshot is made beside the one that is served and compared with it; names whose live records changed
        meanwhile are done again at the end. One replacement at a time.
        """
        changed = self._changed_meanwhile = set()
        try:
            return (yield from self._replacing(static, changed))
        finally:
            self._changed_meanwhile = None

    def _replacing(self, static: StaticRecords, changed: set[bytes]) -> Steps[Update]:
        before, old = self.zone, self._static
        refused: dict[bytes, str] = {}
        edit = static.zone.edit()
        for owners in in_batches(tuple(self._live), _OWNERS_PER_STEP):
            edit.apply({owner: self._merge(static, refused, owner, []) for owner in owners})
            yield
        self._check_clashes(refused)
        made = edit.zone()
        touched: set[bytes] = set()
        rows = Rows()
        for name in differing_names(before, made):
            if name is None:
                yield
            elif name != made.apex:
                touched.add(name)
                if len(rows) <= MAX_FILE_ROWS:
                    rows.compare(before.get(name), made.get(name))
        is_same_file = not touched and (yield from _is_same_table(old.zone, static.zone))
        return self._finish_replacing(static, refused, made, touched, rows, changed, is_same_file=is_same_file)

    def _finish_replacing(
        self,
        static: StaticRecords,
        refused: dict[bytes, str],
        made: Zone,
        touched: set[bytes],
        rows: Rows,
        changed: set[bytes],
        *,
        is_same_file: bool,
    ) -> Update:
        """Do the last step: names that changed meanwhile, and the apex, are compared with what is served now."""
        edit = made.edit()
        edit.apply({name: self._merge(static, refused, name, []) for name in changed})
        self._check_clashes(refused)
        offered, serial = static.zone.serial, serial_after(self.zone.serial)
        edit.number(offered if is_newer(offered, self.zone.serial) else serial)
        zone = edit.zone()
        has_stale_rows = not touched.isdisjoint(changed) or len(rows) > MAX_FILE_ROWS
        for name in changed | edit.touched | {zone.apex}:
            touched.discard(name)
            node = zone.get(name)
            if self._differs(name, NO_RRSETS if node is None else node.rrsets) or (name in zone) != (name in self.zone):
                touched.add(name)
                rows.compare(self.zone.get(name), node)
        unused: list[list[Shard] | list[Row]] = []
        if is_same_file:  # the same content is held once
            unused.append(list(static.zone.shards))
            static.zone = self._static.zone
        self._static, self._refused = static, refused
        if not touched:
            return Update(None, unused=unused)
        difference = rows.difference(self.zone, zone)
        unused.append(self.journal.clear() if has_stale_rows else self.journal.note(difference))
        self.zone = zone
        return Update(Change(zone, touched), unused=unused)

    def _check_clashes(self, refused: Mapping[bytes, str]) -> None:
        clashes = [text for owner, text in refused.items() if owner not in self._refused]
        if clashes:
            raise InvalidZone("; ".join(sorted(clashes)))

    def _differs(self, owner: bytes, rrsets: RRsets) -> bool:
        node = self.zone.get(owner)
        present = node.rrsets if node else NO_RRSETS
        if owner == self.zone.apex:
            return _without_serial(rrsets) != _without_serial(present)
        return rrsets != present

    def _merge(self, static: StaticRecords, refused: dict[bytes, str], owner: bytes, sentences: list[str]) -> RRsets:
        """
        Return what an owner holds, static and live; a live owner that clashes is left out.

        :param refused: of each live owner that clashes, why.
        :param sentences: a list to which the same reason is appended.
        """
        fixed = static.get(owner)
        live = self._live.get(owner, NO_RRSETS)
        refused.pop(owner, None)
        try:
            if live:
                _check_live(static, owner, live, fixed)
        except InvalidRecord as error:
            refused[owner] = str(error)
            sentences.append(str(error))
            live = NO_RRSETS
        return {**fixed, **live}


def _check_live(static: StaticRecords, owner: bytes, live: RRsets, fixed: RRsets) -> None:
    cuts = static.cuts()
    if cuts:
        for suffix in names.suffixes(owner):
            if suffix in cuts:
                cut = f"{cuts[suffix]} delegates {names.to_text(suffix)}"
                raise InvalidRecord(f"{names.to_text(owner)} is published, but {cut}")
    for rtype in live:
        if rtype in _NEVER_LIVE:
            text = f"{names.to_text(owner)} {type_text(rtype)}"
            raise InvalidRecord(f"{text} is published, but never taken from a source")
        if rtype in fixed:
            text, location = f"{names.to_text(owner)} {type_text(rtype)}", static.location(owner, rtype)
            raise InvalidRecord(f"{text} is published, but {location} holds it too")
    if not fixed:
        return  # what is live was checked by itself
    try:
        records.check_together(owner, [*fixed.values(), *live.values()])
    except InvalidRecord as error:
        locations = {static.location(owner, rtype) for rtype in fixed}
        raise InvalidRecord(f"{error}: published, and {', '.join(sorted(locations))}") from error


def _without_serial(rrsets: RRsets) -> dict[int, object]:
    soa = rrsets[SOA]
    return {**rrsets, SOA: (soa.ttl, soa_with_serial(soa.rdatas[0], 0))}


def _is_same_table(before: Zone, after: Zone) -> Steps[bool]:
    """Return whether two snapshots hold the same records in as many shards."""
    if len(before.shards) != len(after.shards):
        return False
    for old, new in zip(before.shards, after.shards, strict=True):
        if old != new:
            return False
        yield
    return True
