"""
The registry of a fleet: what lasts is in etcd, what is leased is in this process' memory.

Every change of what lasts comes into memory in one way, whoever made it: through the watch, in etcd's order. A change
of this process is sent to etcd first, and what hangs on a lease in the same transaction is applied when the watch tells
that change (change, save, only then send). Own changes are made one after the other, and no lease ends while one is
under way.

Reads are answered from memory, at most as old as the watch. Expectations are checked there and, for what lasts, once
more by etcd, so that two edges never both succeed. While etcd cannot be followed, what is in memory is served, what
must last is refused at once, and what is insisted on (revocations) holds here and is written as soon as etcd is back.

Leases are not etcd's: with its leader killed, a key under a lease of 10 s was still there after 27 s.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_twisted.registry.errors import RegistryError, StoreBroken, StoreClosed, TooLarge
from warp_twisted.registry.etcd.follower import Follower
from warp_twisted.registry.etcd.interface import Etcd
from warp_twisted.registry.etcd.messages import (
    MAX_OPERATIONS,
    TRANSACTION_PATH,
    Change,
    read_outcome,
    transaction_request,
)
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.memory_backed import MemoryBackedStore
from warp_twisted.registry.store import (
    NO_LEASE,
    Delete,
    Expect,
    Operation,
    Put,
)

TOLD_SECONDS = 5.0  # that the watch may take to tell a change that etcd has made
REFUSED_SECONDS = 0.5  # that it may take to tell the change because of which etcd refused one
SNAPSHOT_BATCH = 250  # keys of a snapshot that the watches are told of at once
OWED_BATCH = 100  # operations that are owed, in one transaction; unconditional, so they may be split


@dataclass(slots=True, eq=False)
class _Sent:
    """
    A change of this process that etcd was asked for.

    :ivar revision: etcd's, of the change or of its refusal; None while there is no answer.
    :ivar told: fires with memory's revision when the watch has come so far.
    """

    operations: Sequence[Operation]
    revision: int | None = None
    told: Deferred[int] = field(default_factory=Deferred)


class EtcdStore(MemoryBackedStore):
    """
    A `Store` whose keys without a lease are in etcd.

    :param client: asks etcd.
    :param clock: measures leases and waits.
    :param name: of this edge, unlike that of any other.
    :ivar problem: why etcd cannot be followed; empty while it can.
    :ivar ready: fires when what etcd holds was read for the first time.
    """

    _log = Logger()

    def __init__(self, client: Etcd, clock: IReactorTime, name: str) -> None:
        super().__init__(MemoryStore(clock))
        self._client = client
        self._clock = clock
        self._modified: dict[str, int] = {}  # etcd's revision of each key that lasts
        self._owed: dict[str, Operation] = {}  # was insisted on, and is not in etcd yet
        self._sent: _Sent | None = None
        self._held: list[Callable[[], None]] = []  # what the watch told while etcd's answer is not there
        self.problem = "etcd was not read yet"
        self.ready: Deferred[None] = Deferred()
        self._follower = Follower(
            client,
            clock,
            name,
            snapshot=lambda changes, revision: self._hear(self._apply_snapshot, changes, revision),
            changed=lambda changes, revision: self._hear(self._apply, changes, revision),
            away=self._away,
            back=self._back,
        )
        self._follower.start()

    # What this process changes.

    async def _put(self, operation: Put) -> int:
        return await self._change((operation,)) or self._memory.revision

    async def _delete(self, key: str) -> bool:
        was_there = await self._memory.get(key) is not None
        if was_there:
            await self._change((Delete(key),))
        return was_there

    async def _transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
        return await self._change(operations, expectations) is not None

    async def _change(self, operations: Sequence[Operation], expectations: Sequence[Expect] = ()) -> int | None:
        """
        Do operations if the expectations hold.

        :returns: memory's revision of the change; None if they do not hold.
        """
        self._memory.check(operations)
        if not self._memory.holds(expectations):
            return None
        durable = self._durable(operations)
        if not durable:
            return self._memory.apply(operations)
        if self.problem:
            raise StoreBroken(f"the registry cannot be written: {self.problem}")
        if len(durable) > MAX_OPERATIONS or len(expectations) > MAX_OPERATIONS:
            raise TooLarge(f"one change of the registry has at most {MAX_OPERATIONS} keys that last")
        # What is expected of a leased key is known here; of one that is absent here, etcd may know better.
        expected = {
            each.key: self._modified.get(each.key, 0)
            for each in expectations
            if each.key in self._modified or each.modified == 0
        }
        self._memory.hold_leases()
        try:
            return await self._commit(operations, transaction_request(expected, durable))
        finally:
            self._memory.release_leases()

    def _durable(self, operations: Sequence[Operation]) -> dict[str, bytes | None]:
        """Return what etcd has to do: the last word on each key that lasts, None where it goes."""
        found: dict[str, bytes | None] = {}
        for operation in operations:
            if isinstance(operation, Put) and operation.lease == NO_LEASE:
                found[operation.key] = operation.value
            elif operation.key in self._modified or operation.key in found:
                found[operation.key] = None  # it is removed, or lives under a lease from now on
        return found

    async def _commit(self, operations: Sequence[Operation], wish: bytes) -> int | None:
        sent = self._sent = _Sent(operations)
        try:
            outcome = read_outcome(await self._client.call(TRANSACTION_PATH, wish))
            if not outcome.succeeded:
                sent.operations = ()
            elif not outcome.is_change:  # nothing of it was there to be removed
                return self._memory.apply(operations)
            sent.revision = outcome.revision
            self._release()
            if outcome.succeeded:
                return await self._until_told(sent)
            if self._follower.revision < outcome.revision:
                await self._until_seen(sent)
            return None
        finally:
            self._sent = None
            self._release()

    async def _until_told(self, sent: _Sent) -> int:
        try:
            return await sent.told.addTimeout(TOLD_SECONDS, self._clock)
        except TimeoutError as error:
            self._follower.distrust("etcd made a change and does not tell of it")
            raise StoreBroken("etcd made the change and does not tell of it; it may be there already") from error

    async def _until_seen(self, sent: _Sent) -> None:
        """Wait for the change because of which one was refused, so that its caller sees it when it tries again."""
        with suppress(TimeoutError):
            await sent.told.addTimeout(REFUSED_SECONDS, self._clock)

    async def _insist(self, operations: Sequence[Operation]) -> bool:
        try:
            for operation in operations:
                await self._change((operation,))
        except StoreBroken:
            self._memory.apply(operations)
            self._owed.update({each.key: each for each in operations})
            return False
        return True

    async def _pay(self) -> None:
        """Write what is owed, a batch at a time."""
        while self._owed and not self.problem and not self._is_closed:
            batch = dict(list(self._owed.items())[:OWED_BATCH])
            try:
                operations = list(batch.values())
                await self._commit(operations, transaction_request({}, _wanted(operations)))
            except RegistryError as error:
                self._log.warn("what the registry is owed is not written yet: {error}", error=str(error))
                return
            for key in batch:
                del self._owed[key]
            self._log.info("the registry has {count} changes that it was owed", count=len(batch))

    async def _close(self) -> None:
        if self._is_closed:
            raise StoreClosed()
        self._is_closed = True
        self._follower.stop()
        await self._memory.close()
        await self._client.close()

    # What etcd tells.

    def _hear(self, apply: Callable[[Sequence[Change], int], None], changes: Sequence[Change], revision: int) -> None:
        """Apply what the watch tells; while an answer is awaited, later: it may be about the change that was sent."""
        if self._sent is not None and self._sent.revision is None:
            self._held.append(lambda: apply(changes, revision))
        else:
            apply(changes, revision)

    def _release(self) -> None:
        held, self._held = self._held, []
        for apply in held:
            apply()

    def _apply(self, changes: Sequence[Change], revision: int) -> None:
        sent = self._sent
        is_own = sent is not None and sent.revision == revision and bool(sent.operations)
        self._note(changes)
        if sent is not None and is_own:
            self._told(sent, self._memory.apply(sent.operations))
            return
        self._memory.apply([_operation(each) for each in changes if each.key not in self._owed])
        if sent is not None and sent.revision is not None and revision >= sent.revision:
            self._told(sent, self._memory.revision)

    def _apply_snapshot(self, changes: Sequence[Change], revision: int) -> None:
        """Make memory what etcd was at a revision: only what differs is told."""
        sent = self._sent
        if sent is not None and sent.revision is not None and revision >= sent.revision:
            self._told(sent, self._memory.apply(sent.operations))
        there = {each.key for each in changes}
        gone = [Change(key, None, revision) for key in self._modified if key not in there]
        self._note(changes)
        self._note(gone)
        differing = [
            _operation(each)
            for each in (*gone, *changes)
            if each.key not in self._owed and self._value(each.key) != each.value
        ]
        for begin in range(0, len(differing), SNAPSHOT_BATCH):
            self._memory.apply(differing[begin : begin + SNAPSHOT_BATCH])
        if not self.ready.called:
            self.ready.callback(None)

    def _value(self, key: str) -> bytes | None:
        item = self._memory.durable_item(key)
        return item.value if item is not None else None

    def _note(self, changes: Sequence[Change]) -> None:
        for each in changes:
            if each.value is not None:
                self._modified[each.key] = each.modified
            else:
                self._modified.pop(each.key, None)

    def _told(self, sent: _Sent, revision: int) -> None:
        if not sent.told.called:
            sent.told.callback(revision)

    def _away(self, why: str) -> None:
        self._log.error("etcd cannot be followed, what is known of it stays in use: {why}", why=why)
        self.problem = why

    def _back(self) -> None:
        if self.problem:
            self._log.info("etcd is followed at {endpoint}", endpoint=self._client.endpoint)
        self.problem = ""
        if self._owed:
            self._in_turn(self._pay)


def _operation(change: Change) -> Operation:
    return Put(change.key, change.value) if change.value is not None else Delete(change.key)


def _wanted(operations: Sequence[Operation]) -> dict[str, bytes | None]:
    return {each.key: each.value if isinstance(each, Put) else None for each in operations}
