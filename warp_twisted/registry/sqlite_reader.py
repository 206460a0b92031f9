"""
What another process writes to the embedded registry's file: read again and again, never written, never locked.

While one process of an edge hands over to another, one of the two holds the file's lock and writes. The other reads
here what has changed, so that revocations, bans and policies reach what it still serves. It knows of no leases and no
watches, and does not say when to look: `registry.sqlite` does.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from warp_twisted.registry import layouts
from warp_twisted.registry.sqlite_file import FILE, connect, is_of_the_disk, read_as_it_is, read_item, read_items
from warp_twisted.registry.store import Item

ONE_BY_ONE = 1_000  # keys that have changed; a statement for each costs 40 µs, all at once 2 µs a key of the registry

Changes = list[tuple[str, Item | None]]


class RegistryReader:
    """
    Reads one registry's file; its methods are called one at a time, but not always in one thread.

    :param directory: holds the file, which may not be there yet.
    :param seen: key → revision of what is known already.
    :param name: of the file.
    """

    def __init__(self, directory: Path, seen: Mapping[str, int] | None = None, name: str = FILE) -> None:
        self._path = directory / name
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None  # of the file, as SQLite counts what other connections commit
        self.seen = dict(seen or {})

    def changes(self) -> Changes:
        """
        Return what was put or, with None, removed since the last call.

        Costs a call of the system where nothing was, and some microseconds a key of the registry where something was.

        :raises StoreBroken: if this release must not read the file.
        :raises OSError, sqlite3.Error: if it cannot be read.
        """
        if self._connection is None and not self._path.exists():
            return []
        try:
            return self._changes(self._connection or self._open())
        except (OSError, sqlite3.OperationalError) as error:
            self.close()
            if not is_of_the_disk(error):
                raise
            return self.difference(read_as_it_is(self._path))

    def difference(self, items: Iterable[Item]) -> Changes:
        """Return how the file's whole content differs from what is known, which it is from now on."""
        found = {item.key: item for item in items}
        changes: Changes = [(key, None) for key in self.seen if key not in found]
        changes += [(key, item) for key, item in found.items() if self.seen.get(key) != item.modified]
        self.seen = {key: item.modified for key, item in found.items()}
        return changes

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        connection, self._connection, self._version = self._connection, None, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path)
        try:
            layouts.check(connection, self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _changes(self, connection: sqlite3.Connection) -> Changes:
        # First the version: what is committed after it is read twice rather than not at all.
        with closing(connection.execute("PRAGMA data_version")) as cursor:
            (version,) = cursor.fetchone()
        if version == self._version:
            return []
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return []  # it is being made
        latest: dict[str, int] = dict(connection.execute("SELECT key, modified FROM item"))
        changed = [key for key, modified in latest.items() if self.seen.get(key) != modified]
        self._version = version
        if len(changed) > ONE_BY_ONE:
            return self.difference(read_items(connection))
        changes: Changes = [(key, None) for key in self.seen if key not in latest]
        changes += [(key, read_item(connection, key)) for key in changed]
        self.seen = latest
        return changes
