"""
The records of a zone by owner, put together from what several contribute to each: application, service, list, edge.

Pure; an owner whose records differ from before is noted until somebody asks.
"""

from collections.abc import Mapping

from warp_twisted.registry.published.records import Record, Records, fits, fitting, merged


class Contributions:
    """All owners of one zone."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, tuple[Record, ...]]] = {}  # owner → who contributes → records
        self._records: dict[str, tuple[Record, ...]] = {}
        self._changed: dict[str, Records] = {}

    def snapshot(self) -> Mapping[str, Records]:
        """Return all records by owner as they are now."""
        return dict(self._records)

    def owners(self) -> list[str]:
        """Return every owner that has records now."""
        return list(self._records)

    def records_of(self, owner: str) -> Records:
        """Return the records of one owner; none when there are none."""
        return self._records.get(owner, ())

    def take_changed(self) -> Mapping[str, Records]:
        """Return the owners that changed since this was asked last, with all their records now."""
        changed, self._changed = self._changed, {}
        return changed

    def put(self, owner: str, contributor: str, records: tuple[Record, ...]) -> None:
        """Take these for all that one contributes to an owner; a name that is too long for DNS has none."""
        if not fits(owner):
            return
        parts = self._parts.get(owner)
        if parts is None:
            if not records:
                return
            parts = self._parts[owner] = {}
        if parts.get(contributor, ()) == records:
            return
        if records:
            parts[contributor] = records
        else:
            del parts[contributor]
            if not parts:
                del self._parts[owner]
        groups = tuple(parts.values())
        now = fitting(groups[0] if len(groups) == 1 else merged(groups))
        if now == self._records.get(owner, ()):
            return
        self._changed[owner] = now
        if now:
            self._records[owner] = now
        else:
            del self._records[owner]
