"""
The file of the embedded registry: opening, reading and writing it, also on a disk that takes nothing.

A disk that is full, read-only or failing is no reason not to start: what the file and its write-ahead log hold is read
without writing, and the file is opened for writing later. One that cannot be read is: revocations are in it. After a
write that failed the file is closed, as neither SQLite nor we know what of it the disk has, and opened again before the
next. It knows of no leases and no watches.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from warp_twisted.registry import layouts
from warp_twisted.registry.errors import StoreBroken, StoreInUse
from warp_twisted.registry.store import NO_LEASE, Item

FILE = "registry.sqlite"

_DISK_ERRORS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_SELECT = "SELECT key, value, created, modified FROM item"
_PUT = (
    "INSERT INTO item (key, value, created, modified) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified"
)


class RegistryFile:
    """
    One process' registry file; its methods are called one at a time, but not always in one thread.

    :param directory: holds the file; made if it is not there, readable by nobody else.
    :param name: of the file.
    :ivar problem: why it could not be opened for writing; empty if it was.
    :raises StoreInUse: if another process has it open.
    :raises StoreBroken: if this release must not read it.
    :raises OSError, sqlite3.Error: if it cannot be read.
    """

    def __init__(self, directory: Path, name: str = FILE) -> None:
        self._path = directory / name
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.problem = ""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock, self._is_directory_locked = self._take_lock()
        try:
            self._begin()
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self) -> None:
        try:
            self._identity = _identity(self._path)
            self._connection = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            if not is_of_the_disk(error):
                raise
            self.problem = str(error)
            self._identity = _identity(self._path)
            self.read()  # what cannot be read either is no registry to serve from

    def _take_lock(self) -> tuple[int, bool]:
        """
        Keep other processes away.

        :returns: the descriptor that holds the lock, and whether that is the directory's, as a file for it is not
            there and cannot be made.
        """
        path = self._path.with_name(self._path.name + ".lock")
        try:
            # Not for writing: it would keep a disk that fails from being remounted read-only.
            descriptor, is_directory = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), False
        except OSError:
            is_directory = not path.exists()
            descriptor = os.open(path.parent if is_directory else path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise StoreInUse(
                f"{self._path} is in use by another process; stop that one, or set another `state`"
            ) from error
        return descriptor, is_directory

    def _open(self) -> sqlite3.Connection:
        if self._identity is None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # SQLite: 0644
            self._identity = _identity(self._path)
        elif _identity(self._path) != self._identity:
            raise StoreBroken(f"{self._path} is not the file that was read at the start; start the edge again")
        connection = connect(self._path)
        try:
            layouts.check(connection, self._path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a revocation must outlive a power cut
            layouts.upgrade(connection)
            connection.execute("UPDATE layout SET number = number")  # SQLite itself finds out with the first change
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self) -> list[Item]:
        """Return all that it holds, whether it can be written or not."""
        if self._connection is not None:
            return read_items(self._connection)
        return read_as_it_is(self._path) if self._identity is not None else []

    def write(self, changes: Sequence[tuple[str, Item | None]]) -> None:
        """
        Put or, where there is no item, remove keys, in one transaction.

        :raises OSError, sqlite3.Error, RegistryError: if that cannot be known to be on the disk; it may be there.
        """
        connection = self._connection or self._open_again()
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for key, item in changes:
                    if item is not None:
                        connection.execute(_PUT, (key, item.value, item.created, item.modified))
                    else:
                        connection.execute("DELETE FROM item WHERE key = ?", (key,))
                layouts.keys_written(connection, (key for key, item in changes if item is not None))
        except Exception as error:
            self.problem = str(error)
            self._connection = None
            with suppress(sqlite3.Error):
                connection.close()
            raise

    def _open_again(self) -> sqlite3.Connection:
        if self._is_directory_locked:
            os.close(self._lock)
            self._lock, self._is_directory_locked = self._take_lock()
        self._connection = self._open()
        self.problem = ""
        return self._connection

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._connection is not None:
            self._connection.close()
        os.close(self._lock)


def read_as_it_is(path: Path) -> list[Item]:
    """
    Return all that a file holds, without writing anything: on a disk that takes nothing.

    :raises OSError, sqlite3.Error: if it cannot be read.
    """
    if not path.stat().st_size and not _has_content(path, "-wal"):
        return []
    with closing(_connect_as_it_is(path)) as connection:
        layouts.check(connection, path)
        is_empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return [] if is_empty else read_items(connection)


def connect(path: Path) -> sqlite3.Connection:
    """Open a file, to be used in any thread; each statement is a transaction unless one is begun."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _connect_as_it_is(path: Path) -> sqlite3.Connection:
    """
    Open a file and its write-ahead log without writing anything, by the lock that keeps other processes away.

    SQLite reads a file without a log if it is told that it is immutable, and one with a log if it needs no file beside
    it that processes share. What begins to be a registry has a journal, which cannot be rolled back here.

    :raises sqlite3.OperationalError: if it has one.
    """
    if _has_content(path, "-journal"):
        raise sqlite3.OperationalError("the file has a journal, which cannot be rolled back on a disk as this one is")
    how = "vfs=unix-none" if _has_content(path, "-wal") else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&{how}", uri=True, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def is_of_the_disk(error: OSError | sqlite3.OperationalError) -> bool:
    """Say whether an error says that the disk takes nothing, rather than that something is wrong with the file."""
    return (
        isinstance(error, OSError) or error.sqlite_errorcode & 0xFF in _DISK_ERRORS
    )  # the rest says which of its kind


def _has_content(path: Path, suffix: str) -> bool:
    try:
        return path.with_name(path.name + suffix).stat().st_size > 0
    except FileNotFoundError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def read_items(connection: sqlite3.Connection) -> list[Item]:
    """Return all that a registry's file holds."""
    return [_item(row) for row in connection.execute(_SELECT)]


def read_item(connection: sqlite3.Connection, key: str) -> Item | None:
    """
    Read a key from a registry's file, whether it is in use or not.

    :raises sqlite3.Error: it is no registry.
    """
    row = connection.execute(_SELECT + " WHERE key = ?", (key,)).fetchone()
    return _item(row) if row is not None else None


def _item(row: tuple[str, bytes, int, int]) -> Item:
    key, value, created, modified = row
    return Item(key, bytes(value), NO_LEASE, created, modified)
