"""
The embedded store: what lasts is in an SQLite file, what is leased is in memory.

Order of a change: check it, write what lasts to the file, and only when that is on the disk apply it in
memory and tell the watches (change, save, only then send). The file is touched in one thread of its own,
so that a slow disk delays enrollments and never a visitor's byte. Changes are done one after the other, and
no lease ends while one is under way, so that what was checked still holds when it is applied.

A crash leaves the file and its write-ahead log, from which SQLite recovers at the next start, and a lock file
whose lock the kernel has dropped.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, execute
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from warp_twisted.registry import layouts
from warp_twisted.registry.errors import RegistryError, StoreBroken, StoreClosed, StoreInUse
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.store import (
    NO_LEASE,
    Delete,
    Event,
    Expect,
    Item,
    LeaseId,
    Listing,
    Operation,
    Put,
    Watch,
)

FILE = "registry.sqlite"

_SELECT = "SELECT key, value, created, modified FROM item"
Perform = Callable[[Callable[[], None]], Deferred[None]]


class _File:
    """The SQLite file; its methods are called one at a time, but not always in one thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(directory / (FILE + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StoreInUse(
                f"{directory / FILE} is in use by another process; stop that one, or set another `state`"
            ) from error
        try:
            self._connection = self._open(directory / FILE)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, path: Path) -> sqlite3.Connection:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would make it 0644
        connection = _connect(path)
        try:
            layouts.check(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a revocation must outlive a power cut
            layouts.upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self) -> list[Item]:
        return [_item(row) for row in self._connection.execute(_SELECT)]

    def write(self, operations: Sequence[Operation], revision: int) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for operation in operations:
                if isinstance(operation, Put):
                    self._connection.execute(
                        "INSERT INTO item (key, value, created, modified) VALUES (?, ?, ?, ?)"
                        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified",
                        (operation.key, operation.value, revision, revision),
                    )
                else:
                    self._connection.execute("DELETE FROM item WHERE key = ?", (operation.key,))
            layouts.keys_written(self._connection, (each.key for each in operations if isinstance(each, Put)))

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)


def _connect(path: Path) -> sqlite3.Connection:
    """
    Open the file.

    Beside its log SQLite wants a file that readers in other processes share, and on a full disk cannot have it. Alone
    it keeps that in memory: what is there can be read, and a backup waits until the next start.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


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


class SqliteStore:
    """
    A `Store` whose keys without a lease outlive the process.

    :param directory: holds the file; made if it is not there, readable by nobody else.
    :param clock: measures leases.
    :param perform: runs a function that waits for the disk; each call ends before the next begins.
    :raises StoreInUse: if another process has it open.
    :raises StoreBroken: if the file is damaged, or of a release whose files this one must not read.
    """

    def __init__(self, directory: Path, clock: IReactorTime, perform: Perform = execute) -> None:
        try:
            self._file = _File(directory)
            self._memory = MemoryStore(clock, self._file.read())
        except (OSError, sqlite3.Error) as error:
            raise StoreBroken(f"{directory / FILE}: {error}") from error
        self._perform = perform
        self._turn = DeferredLock()
        self._is_closed = False

    def get(self, key: str) -> Deferred[Item | None]:
        """See `Store.get`."""
        return self._memory.get(key)

    def range(self, prefix: str) -> Deferred[Listing]:
        """See `Store.range`."""
        return self._memory.range(prefix)

    def put(self, key: str, value: bytes, lease: LeaseId = NO_LEASE) -> Deferred[int]:
        """See `Store.put`."""
        return self._in_turn(self._change, (Put(key, value, lease),))

    def delete(self, key: str) -> Deferred[bool]:
        """See `Store.delete`."""
        return self._in_turn(self._delete, key)

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """See `Store.transact`."""
        return self._in_turn(self._transact, expectations, operations)

    def grant(self, ttl_seconds: float) -> Deferred[LeaseId]:
        """See `Store.grant`."""
        return self._memory.grant(ttl_seconds)

    def keep_alive(self, lease: LeaseId) -> Deferred[None]:
        """See `Store.keep_alive`."""
        return self._memory.keep_alive(lease)

    def revoke(self, lease: LeaseId) -> Deferred[None]:
        """See `Store.revoke`."""
        return self._in_turn(self._revoke, lease)

    def watch(
        self,
        prefix: str,
        after_revision: int,
        changed: Callable[[Sequence[Event]], None],
        lost: Callable[[RegistryError], None],
    ) -> Watch:
        """See `Store.watch`."""
        return self._memory.watch(prefix, after_revision, changed, lost)

    def close(self) -> Deferred[None]:
        """See `Store.close`."""
        return self._in_turn(self._close) if not self._is_closed else execute(lambda: None)

    def _in_turn(self, method: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        return self._turn.run(lambda: Deferred.fromCoroutine(method(*arguments)))

    async def _change(self, operations: Sequence[Operation]) -> int:
        self._memory.check(operations)
        durable: list[Operation] = []
        for operation in operations:
            if isinstance(operation, Put) and operation.lease == NO_LEASE:
                durable.append(operation)
            elif self._memory.is_durable(operation.key):
                durable.append(Delete(operation.key))  # it is removed, or lives under a lease from now on
        if not durable:
            return self._memory.apply(operations)
        revision = self._memory.revision + 1
        self._memory.hold_leases()
        try:
            await self._perform(lambda: self._file.write(durable, revision))
            return self._memory.apply(operations)
        except (OSError, sqlite3.Error) as error:
            raise StoreBroken(f"the registry cannot be written: {error}") from error
        finally:
            self._memory.release_leases()

    async def _revoke(self, lease: LeaseId) -> None:
        await self._memory.revoke(lease)

    async def _delete(self, key: str) -> bool:
        was_there = await self._memory.get(key) is not None
        await self._change((Delete(key),))
        return was_there

    async def _transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
        self._memory.check(operations)
        if not self._memory.holds(expectations):
            return False
        await self._change(operations)
        return True

    async def _close(self) -> None:
        if self._is_closed:
            raise StoreClosed()
        self._is_closed = True
        await self._memory.close()
        await self._perform(self._file.close)


class _DaemonThread(Thread):
    """A thread that is never the reason why a process does not end."""

    daemon = True


class ThreadedSqliteStore(SqliteStore):
    """
    The same, with the disk waited for in a thread.

    :param reactor: where the thread's results are delivered, and the clock of leases.
    """

    def __init__(self, directory: Path, reactor: Any) -> None:
        self._threads = ThreadPool(minthreads=1, maxthreads=1, name="registry")
        self._threads.threadFactory = _DaemonThread

        def perform(function: Callable[[], None]) -> Deferred[None]:
            return deferToThreadPool(reactor, self._threads, function)

        super().__init__(directory, reactor, perform)
        self._threads.start()

    async def _close(self) -> None:
        await super()._close()
        self._threads.stop()
