"""
What etcd said last, on this machine's disk, so that an edge starts and knows whom to refuse while etcd is away.

An SQLite file as the embedded registry's: each write is a transaction, the file is its owner's alone, one process has
its lock, and a disk that takes nothing is no reason not to read it. It holds each key with etcd's revision, what was
insisted on and is not in etcd yet (owed), and a record of which registry this is and up to which revision. A file
without that record was not filled to the end, and counts as none.

Changes are collected for a moment and written a thousand at a time, in a thread. What is owed is written at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sqlite3 import Error as SqliteError

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.registry.errors import RegistryError, StoreBroken
from warp_twisted.registry.sqlite_file import RegistryFile
from warp_twisted.registry.sqlite_reader import RegistryReader
from warp_twisted.registry.store import NO_LEASE, Delete, Item, Operation, Put

FILE = "etcd-copy.sqlite"
WRITE_SECONDS = 0.5  # after a change, with all that has changed meanwhile
RETRY_SECONDS = 2.0
BATCH = 1000  # keys in one transaction

_KEYS, _OWED, _STANDING = "etcd/", "owed/", "standing"
_PUT, _DELETE = b"+", b"-"

Perform = Callable[[Callable[[], None]], Deferred[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    How far a copy is.

    :ivar registry: the identity of the registry that it is of.
    :ivar revision: etcd's, up to which everything is here.
    """

    registry: str
    revision: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a copy holds: keys with etcd's revisions, and what is owed to etcd."""

    standing: Standing
    items: tuple[Item, ...]
    owed: Mapping[str, Operation]


class EtcdCopy:
    """
    The copy of one edge.

    :param directory: holds the file.
    :param perform: runs a function that waits for the disk; each call ends before the next begins.
    :ivar problem: why it cannot be written now; empty while it can.
    """

    _log = Logger()

    def __init__(self, directory: Path, clock: IReactorTime, perform: Perform) -> None:
        self.path = directory / FILE
        self._directory = directory
        self._clock = clock
        self._perform = perform
        self._turn = DeferredLock()
        self._writing = DeferredLock()
        self._file: RegistryFile | None = None
        self._pending: dict[str, Item | None] = {}
        self._timer: IDelayedCall | None = None
        self.problem = ""

    @property
    def is_taken(self) -> bool:
        """Whether this process writes it."""
        return self._file is not None

    async def read(self) -> Kept | None:
        """
        Return what it holds, also while another process has it; None: nothing that can be used.

        :raises StoreBroken: if it is there and cannot be read.
        """
        found: list[tuple[str, Item | None]] = []

        def read() -> None:
            reader = RegistryReader(self._directory, name=FILE)
            try:
                found.extend(reader.changes())
            finally:
                reader.close()

        await self._in_turn(read)
        return _kept({key: item for key, item in found if item is not None})

    async def take(self) -> Mapping[str, Operation]:
        """
        Write it from now on.

        :returns: what is owed to etcd by whoever wrote it before.
        :raises StoreInUse: if another process has it.
        :raises StoreBroken: if it cannot be read.
        """
        taken: list[RegistryFile] = []
        owed: dict[str, Operation] = {}

        def take() -> None:
            file = RegistryFile(self._directory, FILE)
            try:
                owed.update(_owed({item.key: item for item in file.read()}))
            except BaseException:
                file.close()
                raise
            taken.append(file)

        if self._file is None:
            await self._in_turn(take)
            self._file = taken[0]
            self.problem = self._file.problem
            self._write_later(0.0)
        return owed

    async def release(self) -> None:
        """
        Write what is collected, and leave the file to another process.

        :raises StoreBroken: if it cannot be written: it would not know what is owed. Nothing has changed then.
        """
        await self._write_all()
        if self.problem:
            raise StoreBroken(f"{self.path} cannot be written, so it is not handed over: {self.problem}")
        await self.close()

    async def close(self) -> None:
        """Let go of the file; what is collected is written, if it can be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending and self._file is not None:
            await self._write_all()
        file, self._file = self._file, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if file is not None:
            await self._in_turn(file.close)

    # What is written.

    def note(self, changes: Sequence[tuple[str, bytes | None, int]], standing: Standing) -> None:
        """
        Keep changes: keys, values (None: removed), and etcd's revisions; written soon.

        :param standing: of the copy once these and all before are written.
        """
        for key, value, revision in changes:
            name = _KEYS + key
            self._pending[name] = None if value is None else Item(name, value, NO_LEASE, revision, revision)
        self._pending.pop(_STANDING, None)  # it is written last
        self._pending[_STANDING] = _standing_item(standing)
        self._write_later(WRITE_SECONDS)

    async def owe(self, operations: Sequence[Operation]) -> bool:
        """
        Keep what is owed to etcd, now.

        :returns: whether it is on the disk; else it is tried again.
        """
        for each in operations:
            text = _PUT + each.value if isinstance(each, Put) else _DELETE
            self._pending[_OWED + each.key] = Item(_OWED + each.key, text, NO_LEASE, 1, 1)
        await self._write_all()
        return self._file is not None and not self.problem

    def paid(self, keys: Sequence[str]) -> None:
        """Keep no longer that something is owed under these keys."""
        self._pending.update({_OWED + key: None for key in keys})
        self._write_later(WRITE_SECONDS)

    def _write_later(self, seconds: float) -> None:
        if self._file is not None and self._pending and self._timer is None:
            self._timer = self._clock.callLater(seconds, self._write_now)

    def _write_now(self) -> None:
        self._timer = None
        Deferred.fromCoroutine(self._write_all()).addErrback(
            lambda failure: self._log.failure("the copy of the registry could not be written", failure=failure)
        )

    async def _write_all(self) -> None:
        """Write what is collected; when this returns it is on the disk, or `problem` says why not."""
        await self._writing.run(lambda: Deferred.fromCoroutine(self._write_batches()))

    async def _write_batches(self) -> None:
        while self._pending and (file := self._file) is not None:
            # What is owed comes first, and the standing, which was put in last, with the last batch.
            keys = sorted(list(self._pending)[:BATCH], key=lambda key: not key.startswith(_OWED))
            if len(self._pending) > len(keys) and _STANDING in keys:
                keys.remove(_STANDING)
            batch = [(key, self._pending.pop(key)) for key in keys]
            try:
                await self._in_turn(partial(file.write, batch))
            except RegistryError as error:
                self._pending = dict(batch) | self._pending
                if not self.problem:
                    self._log.error("the copy of the registry cannot be written: {error}", error=str(error))
                self.problem = str(error)
                self._write_later(RETRY_SECONDS)
                return
            if self.problem:
                self._log.info("the copy of the registry can be written again")
            self.problem = ""

    async def _in_turn(self, function: Callable[[], None]) -> None:
        try:
            await self._turn.run(lambda: self._perform(function))
        except (OSError, SqliteError) as error:
            raise StoreBroken(f"{self.path}: {error}") from error


def _kept(found: Mapping[str, Item]) -> Kept | None:
    text = found.get(_STANDING)
    if text is None:
        return None
    try:
        standing = _DECODER.decode(text.value)
    except msgspec.DecodeError as error:
        raise StoreBroken(f"{FILE}: {error}") from error
    items = tuple(
        Item(key.removeprefix(_KEYS), item.value, NO_LEASE, item.modified, item.modified)
        for key, item in found.items()
        if key.startswith(_KEYS)
    )
    return Kept(standing, items, _owed(found))


def _owed(found: Mapping[str, Item]) -> dict[str, Operation]:
    keys = {key.removeprefix(_OWED): item.value for key, item in found.items() if key.startswith(_OWED)}
    return {key: Put(key, text[1:]) if text[:1] == _PUT else Delete(key) for key, text in keys.items()}


def _standing_item(standing: Standing) -> Item:
    return Item(_STANDING, msgspec.json.encode(standing), NO_LEASE, 1, 1)


_DECODER = msgspec.json.Decoder(Standing)
