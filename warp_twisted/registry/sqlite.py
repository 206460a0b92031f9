"""
The embedded store: what lasts is in an SQLite file, what is leased is in memory.

Order of a change: check it, write what lasts to the file, and only when that is on the disk apply it in
memory and tell the watches (change, save, only then send). The file is touched in one thread of its own,
so that a slow disk delays enrollments and never a visitor's byte. Changes are done one after the other, and
no lease ends while one is under way, so that what was checked still holds when it is applied.

While the file cannot be written, what is in memory is served, what must last is refused at once, and every second it
is tried again. What is insisted on (revocations) holds in memory meanwhile. The first write that succeeds puts right
every key of which the file may say something else: those that are owed, and those of the write that failed, of which
the disk may have got anything.

Another process of the same edge may take the file over (`release`, `take`). Until then, and after it, a store follows:
it reads what the other writes, twice a second, refuses what must last, and goes on with leases and watches of its own.

A crash leaves the file and its write-ahead log, from which SQLite recovers at the next start, and a lock file
whose lock the kernel has dropped.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from warp_twisted.registry.errors import RegistryError, StoreBroken, StoreClosed, StoreHandedOver
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.memory_backed import MemoryBackedStore
from warp_twisted.registry.sqlite_file import FILE, RegistryFile
from warp_twisted.registry.sqlite_reader import Changes, RegistryReader
from warp_twisted.registry.store import (
    NO_LEASE,
    Delete,
    Expect,
    Item,
    Operation,
    Put,
)

RETRY_SECONDS = 1.0
FOLLOW_SECONDS = 0.5  # between two looks at what the other process has written
APPLIED_AT_ONCE = 100  # changes of the other process in one turn of the reactor, some 2 ms with those who hear of them
HANDED_OVER = "another process of this edge has the registry since a moment ago; ask again, and that one answers"

Perform = Callable[[Callable[[], None]], Deferred[None]]


class SqliteStore(MemoryBackedStore):
    """
    A `Store` whose keys without a lease outlive the process.

    :param directory: holds the file; made if it is not there, readable by nobody else.
    :param clock: measures leases.
    :param perform: runs a function that waits for the disk; each call ends before the next begins.
    :param is_follower: leave the file to another process until `take`.
    :ivar problem: why the file cannot be written now; empty while it can.
    :raises StoreInUse: if another process has it open.
    :raises StoreBroken: if the file is damaged, or of a release whose files this one must not read.
    """

    _log = Logger()

    def __init__(
        self, directory: Path, clock: IReactorTime, perform: Perform = execute, *, is_follower: bool = False
    ) -> None:
        self._directory = directory
        self._file: RegistryFile | None = None
        self._reader = RegistryReader(directory)
        try:
            if is_follower:
                items = [item for _, item in self._reader.changes() if item is not None]
            else:
                self._file = RegistryFile(directory)
                items = self._file.read()
        except (OSError, sqlite3.Error) as error:
            raise StoreBroken(f"{directory / FILE}: {error}") from error
        super().__init__(MemoryStore(clock, items))
        self._clock = clock
        self._perform = perform
        self._unsure: set[str] = set()  # keys of which the file may say something else than memory
        self._retry: IDelayedCall | None = None
        self._following: IDelayedCall | None = None
        self._has_complained = False
        self.problem = ""
        if self._file is None:
            self._follow_later()
        elif self._file.problem:
            self._failed(self._file.problem)

    @property
    def unkept(self) -> str:
        """See `LastingStore.unkept`."""
        return self.problems().get("registry", "")

    @property
    def owed(self) -> int:
        """See `LastingStore.owed`."""
        return len(self._unsure)

    def problems(self) -> Mapping[str, str]:
        """See `LastingStore.problems`."""
        return {"registry": f"it cannot be written: {self.problem}"} if self.problem else {}

    async def open(self) -> None:
        """See `LastingStore.open`; the file was read when this was made."""

    # One process of an edge after the other.

    @property
    def is_follower(self) -> bool:
        """Whether another process has the file."""
        return self._file is None

    def release(self) -> Deferred[None]:
        """
        Let another process have the file, after every change that was asked for before; follow it from now on.

        :raises StoreBroken: if it cannot be written now: what is owed to it would be lost. Nothing has changed then.
        """
        return self._in_turn(self._release)

    def take(self) -> Deferred[None]:
        """
        Have the file, and all that the other process has written to it.

        :raises StoreInUse: if that one still has it.
        :raises StoreBroken: if it cannot be read.
        """
        return self._in_turn(self._take)

    async def _release(self) -> None:
        file = self._file
        if file is None:
            return
        if self.problem:
            raise StoreBroken(f"the registry cannot be written, so it is not handed over: {self.problem}")

        def release() -> None:
            self._reader = RegistryReader(self._directory, {item.key: item.modified for item in file.read()})
            file.close()

        await self._perform_or_break(release)
        self._file = None
        self._follow_later()

    async def _take(self) -> None:
        if self._file is not None:
            return
        taken: list[RegistryFile] = []
        changes: Changes = []

        def take() -> None:
            file = RegistryFile(self._directory)
            try:
                changes.extend(self._reader.difference(file.read()))
            except BaseException:
                file.close()
                raise
            self._reader.close()
            taken.append(file)

        await self._perform_or_break(take)
        self._file = taken[0]
        if self._following is not None:
            self._following.cancel()
            self._following = None
        self._memory.follow(changes)
        if self._file.problem:
            self._failed(self._file.problem)

    def _follow_later(self) -> None:
        self._following = self._clock.callLater(FOLLOW_SECONDS, self._follow_soon)

    def _follow_soon(self) -> None:
        self._following = None
        self._in_turn(self._follow)

    async def _follow(self) -> None:
        if self._is_closed or self._file is not None:
            return
        changes: Changes = []
        try:
            await self._perform(lambda: changes.extend(self._reader.changes()))
            self._has_complained = False
        except (OSError, sqlite3.Error, RegistryError) as error:
            if not self._has_complained:
                self._log.error("the registry that another process writes cannot be read: {error}", error=str(error))
            self._has_complained = True
        for at in range(0, len(changes), APPLIED_AT_ONCE):
            self._memory.follow(changes[at : at + APPLIED_AT_ONCE])
            if at + APPLIED_AT_ONCE < len(changes):
                await deferLater(self._clock, 0)
        self._follow_later()

    async def _perform_or_break(self, function: Callable[[], None]) -> None:
        try:
            await self._perform(function)
        except (OSError, sqlite3.Error) as error:
            raise StoreBroken(f"{self._directory / FILE}: {error}") from error

    # Changes.

    async def _change(self, operations: Sequence[Operation]) -> int:
        self._memory.check(operations)
        revision = self._memory.revision + 1
        durable: list[tuple[str, Item | None]] = []
        for operation in operations:
            if isinstance(operation, Put) and operation.lease == NO_LEASE:
                item = Item(operation.key, operation.value, NO_LEASE, revision, revision)
                durable.append((operation.key, item))
            elif self._memory.durable_item(operation.key) is not None:
                durable.append((operation.key, None))  # it is removed, or lives under a lease from now on
        if not durable:
            return self._memory.apply(operations)
        file = self._file
        if file is None:
            raise StoreHandedOver(HANDED_OVER)
        if self.problem:
            raise StoreBroken(f"the registry cannot be written: {self.problem}")
        self._memory.hold_leases()
        try:
            await self._perform(lambda: file.write(durable))
            return self._memory.apply(operations)
        except (OSError, sqlite3.Error) as error:
            self._unsure.update(key for key, _ in durable)
            self._failed(str(error))
            raise StoreBroken(f"the registry cannot be written: {error}") from error
        finally:
            self._memory.release_leases()

    async def _insist(self, operations: Sequence[Operation]) -> bool:
        try:
            await self._change(operations)
        except StoreBroken:
            self._memory.apply(operations)
            self._unsure.update(each.key for each in operations)
            return False
        return True

    def _failed(self, problem: str) -> None:
        if not self.problem:
            self._log.error("the registry cannot be written, what it holds stays in use: {problem}", problem=problem)
        self.problem = problem
        if not self._is_closed:
            self._retry = self._clock.callLater(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._in_turn(self._mend)

    async def _mend(self) -> None:
        """Write what is owed, and a page in any case."""
        file = self._file
        if self._is_closed or file is None:
            return
        owed = [(key, self._memory.durable_item(key)) for key in sorted(self._unsure)]
        try:
            await self._perform(lambda: file.write(owed))
        except (OSError, sqlite3.Error, RegistryError) as error:
            self._failed(str(error))
            return
        self._unsure.clear()
        self.problem = ""
        self._log.info("the registry can be written again")

    async def _put(self, operation: Put) -> int:
        return await self._change((operation,))

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
        for call in (self._retry, self._following):
            if call is not None:
                call.cancel()
        self._retry = self._following = None
        await self._memory.close()
        await self._perform(self._file.close if self._file is not None else self._reader.close)


class _DaemonThread(Thread):
    """A thread that is never the reason why a process does not end."""

    daemon = True


class ThreadedSqliteStore(SqliteStore):
    """
    The same, with the disk waited for in a thread.

    :param reactor: where the thread's results are delivered, and the clock of leases.
    """

    def __init__(self, directory: Path, reactor: Any, *, is_follower: bool = False) -> None:
        self._threads = ThreadPool(minthreads=1, maxthreads=1, name="registry")
        self._threads.threadFactory = _DaemonThread

        def perform(function: Callable[[], None]) -> Deferred[None]:
            return deferToThreadPool(reactor, self._threads, function)

        super().__init__(directory, reactor, perform, is_follower=is_follower)
        self._threads.start()

    async def _close(self) -> None:
        await super()._close()
        self._threads.stop()
