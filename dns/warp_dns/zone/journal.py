"""
What changed from one serial of a zone to the next, for secondaries that ask for differences (IXFR, RFC 1995).

Kept in memory and bounded by the records it holds: who was away for longer gets the whole zone, as after a restart.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warp_dns.message.records import SOA, RRset
from warp_dns.zone.data import NO_RRSETS, Change, Node, Zone

MAX_RECORDS = 100_000  # some 20 MB at worst
MAX_DIFFERENCES = 10_000

Row = tuple[bytes, int, int, bytes]  # owner as written, type, ttl, data


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One difference sequence: the records, SOA apart, that a serial took away and brought.

    :ivar old_soa: the SOA record that was, `new_soa` the one that came.
    """

    old_soa: Row
    new_soa: Row
    removed: Sequence[Row]
    added: Sequence[Row]
    old_serial: int
    new_serial: int

    @property
    def size(self) -> int:
        """How many records it holds, with both SOAs."""
        return len(self.removed) + len(self.added) + 2


class Journal:
    """The differences between the latest serials, in order."""

    def __init__(self, max_records: int = MAX_RECORDS, max_differences: int = MAX_DIFFERENCES) -> None:
        self._differences: deque[Difference] = deque()
        self._records = 0
        self._max_records = max_records
        self._max_differences = max_differences

    def note(self, difference: Difference) -> list[Row]:
        """
        Add the difference that a change made; the oldest ones make room.

        :returns: the rows that are no longer needed here: to free 100,000 at once takes 20 ms.
        """
        self._differences.append(difference)
        self._records += difference.size
        unused: list[Row] = []
        while self._differences and (
            self._records > self._max_records or len(self._differences) > self._max_differences
        ):
            self._drop_oldest(unused)
        return unused

    def clear(self) -> list[Row]:
        """Forget all differences: the next change is not the difference from any of them; returns as `note` does."""
        unused: list[Row] = []
        while self._differences:
            self._drop_oldest(unused)
        return unused

    def _drop_oldest(self, unused: list[Row]) -> None:
        oldest = self._differences.popleft()
        self._records -= oldest.size
        unused += oldest.removed
        unused += oldest.added

    def since(self, serial: int, until: int) -> list[Difference] | None:
        """Return the differences that lead from one serial to another, or None if they are not all here."""
        found: list[Difference] = []
        for difference in reversed(self._differences):
            if found or difference.new_serial == until:
                found.append(difference)
            if difference.old_serial == serial:
                return found[::-1]
        return None

    def __len__(self) -> int:
        """Return how many records are held."""
        return self._records


def difference_of(before: Zone, change: Change) -> Difference:
    """Compare two snapshots at the owners that a change touched."""
    rows = Rows()
    for owner in change.touched:
        rows.compare(before.get(owner), change.zone.get(owner))
    return rows.difference(before, change.zone)


class Rows:
    """The records that went and came between two snapshots, gathered owner by owner."""

    def __init__(self) -> None:
        self._removed: list[Row] = []
        self._added: list[Row] = []

    def __len__(self) -> int:
        """Return how many were gathered."""
        return len(self._removed) + len(self._added)

    def compare(self, old: Node | None, new: Node | None) -> None:
        """Compare what one owner held and holds."""
        old_sets = old.rrsets if old else NO_RRSETS
        new_sets = new.rrsets if new else NO_RRSETS
        for rtype in old_sets.keys() | new_sets.keys():
            was, now = old_sets.get(rtype), new_sets.get(rtype)
            if rtype == SOA or was is now or was == now:
                continue
            is_same_set = was is not None and now is not None and was.ttl == now.ttl
            if was is not None:
                gone = set(was.rdatas).difference(now.rdatas if is_same_set and now else ())
                self._removed += [(was.owner, rtype, was.ttl, rdata) for rdata in gone]
            if now is not None:
                came = set(now.rdatas).difference(was.rdatas if is_same_set and was else ())
                self._added += [(now.owner, rtype, now.ttl, rdata) for rdata in came]

    def difference(self, before: Zone, after: Zone) -> Difference:
        """Return what was gathered as the difference between two snapshots."""
        return Difference(
            next(iter(rows_of(before.soa))),
            next(iter(rows_of(after.soa))),
            self._removed,
            self._added,
            before.serial,
            after.serial,
        )


def rows_of(rrset: RRset) -> Iterable[Row]:
    """Yield an RRset record by record."""
    for rdata in rrset.rdatas:
        yield rrset.owner, rrset.type, rrset.ttl, rdata
