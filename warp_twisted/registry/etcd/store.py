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

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_twisted.registry.errors import RegistryError, StoreBroken, StoreClosed, StoreHandedOver, TooLarge
from warp_twisted.registry.etcd.copy import EtcdCopy
from warp_twisted.registry.etcd.follower import Follower
from warp_twisted.registry.etcd.identity import ABOUT, About, encode_about
from warp_twisted.registry.etcd.image import EtcdImage
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
OPEN_SECONDS = 3.0  # for etcd's answer, before an edge begins with its copy
FIRST_SECONDS = 10.0  # the same where there is no copy
HANDED_OVER = "another process of this edge has the registry since a moment ago; ask again, and that one answers"
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
    :param copy: on this machine's disk; None: there is none, and this process alone is the edge.
    :param never_lost: beginnings of keys that a restored backup of etcd must not take away.
    :ivar problem: why etcd cannot be followed; empty while it can.
    :ivar ready: fires when etcd is followed for the first time.
    """

    _log = Logger()

    def __init__(
        self,
        client: Etcd,
        clock: IReactorTime,
        name: str,
        copy: EtcdCopy | None = None,
        never_lost: tuple[str, ...] = (),
    ) -> None:
        super().__init__(MemoryStore(clock))
        self._client = client
        self._clock = clock
        self._copy = copy
        self._image = EtcdImage(self._memory, clock, copy, never_lost)
        self._sent: _Sent | None = None
        self._held: list[Callable[[], None]] = []  # what the watch told while etcd's answer is not there
        self.problem = "etcd was not read yet"
        self.ready: Deferred[None] = Deferred()
        self._has_read = False
        self._follower = Follower(
            client, clock, name, snapshot=self._take_snapshot, changed=self._hear, away=self._away, back=self._back
        )

    # One process of an edge after the other.

    @property
    def is_follower(self) -> bool:
        """Whether another process of this edge changes the registry."""
        return self._copy is not None and not self._copy.is_taken

    @property
    def owed(self) -> int:
        """How many changes that were insisted on are not in etcd yet."""
        return len(self._image.owed)

    @property
    def unkept(self) -> str:
        """See `LastingStore.unkept`."""
        problems = self.problems()
        return problems["registry"] if len(problems) == 2 else ""

    def problems(self) -> Mapping[str, str]:
        """See `LastingStore.problems`."""
        found: dict[str, str] = {}
        if self.problem:
            waiting = f"; {self.owed} changes wait for it" if self.owed else ""
            found["registry"] = f"it cannot be written: {self.problem}{waiting}"
        if self._copy is not None and self._copy.problem:
            found["registry_copy"] = f"it cannot be written: {self._copy.problem}"
        return found

    def start(self) -> None:
        """Begin to follow etcd."""
        self._follower.start()

    async def open(self) -> None:
        """
        Begin, and hold what etcd holds, or what the copy does where etcd does not answer.

        :raises StoreBroken: if there is neither.
        """
        kept = await self._copy.read() if self._copy is not None else None
        if kept is not None:
            await self._image.load(kept)
        self.start()
        is_ready = await self._is_ready_within(OPEN_SECONDS if kept is not None else FIRST_SECONDS)
        if is_ready or self._has_read:  # an etcd that takes no changes now may still be read
            return
        if kept is None:
            raise StoreBroken(
                f"the registry cannot be read, and this machine has no copy of it yet to begin with: {self.problem}"
            )
        self._log.warn(
            "the edge begins with its copy of the registry, as of revision {revision}: {problem}",
            revision=kept.standing.revision, problem=self.problem,
        )  # fmt: skip

    async def _is_ready_within(self, seconds: float) -> bool:
        waiting: Deferred[None] = Deferred()

        def pass_on(result: None) -> None:
            if not waiting.called:
                waiting.callback(None)

        self.ready.addCallback(pass_on)
        try:
            await waiting.addTimeout(seconds, self._clock)
        except TimeoutError:
            return False
        return True

    def release(self) -> Deferred[None]:
        """
        Let another process change the registry, after every change that was asked for before; go on following.

        :raises StoreBroken: if what is owed cannot be left to it. Nothing has changed then.
        """
        return self._in_turn(self._release_copy)

    def take(self) -> Deferred[None]:
        """
        Change the registry from now on.

        :raises StoreInUse: if another process does.
        :raises StoreBroken: if the copy cannot be read.
        """
        return self._in_turn(self._take_copy)

    async def _release_copy(self) -> None:
        if self._copy is not None:
            await self._copy.release()

    async def _take_copy(self) -> None:
        if self._copy is None or self._copy.is_taken:
            return
        owed = await self._copy.take()
        new = {key: each for key, each in owed.items() if key not in self._image.owed}
        self._image.owed.update(new)
        self._memory.apply(list(new.values()))
        if self._image.owed and not self.problem:
            self._in_turn(self._pay)

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
        if self.is_follower:
            raise StoreHandedOver(HANDED_OVER)
        if self.problem:
            raise StoreBroken(f"the registry cannot be written: {self.problem}")
        if len(durable) > MAX_OPERATIONS or len(expectations) > MAX_OPERATIONS:
            raise TooLarge(f"one change of the registry has at most {MAX_OPERATIONS} keys that last")
        # What is expected of a leased key is known here; of one that is absent here, etcd may know better.
        expected = {
            each.key: self._image.modified.get(each.key, 0)
            for each in expectations
            if each.key in self._image.modified or each.modified == 0
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
            elif operation.key in self._image.modified or operation.key in found:
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
            return await self._image.owe(operations)
        return True

    async def _pay(self) -> None:
        """Write what is owed, a batch at a time."""
        while self._image.owed and not self.problem and not self._is_closed and not self.is_follower:
            batch = dict(list(self._image.owed.items())[:OWED_BATCH])
            try:
                operations = list(batch.values())
                await self._commit(operations, transaction_request({}, _wanted(operations)))
            except RegistryError as error:
                self._log.warn("what the registry is owed is not written yet: {error}", error=str(error))
                return
            self._image.paid([key for key, each in batch.items() if self._image.owed.get(key) is each])
            self._log.info("the registry has {count} changes that it was owed", count=len(batch))

    async def _close(self) -> None:
        if self._is_closed:
            raise StoreClosed()
        self._is_closed = True
        self._follower.stop()
        if self._copy is not None:
            await self._copy.close()
        await self._memory.close()
        await self._client.close()

    # What etcd tells.

    @property
    def _is_asking(self) -> bool:
        """Whether an answer is awaited; what is told meanwhile may be about the change that was sent."""
        return self._sent is not None and self._sent.revision is None

    def _release(self) -> None:
        held, self._held = self._held, []
        for apply in held:
            apply()

    def _hear(self, changes: Sequence[Change], revision: int) -> None:
        """Apply what the watch tells; while an answer is awaited, later."""
        if self._is_asking:
            self._held.append(lambda: self._apply(changes, revision))
        else:
            self._apply(changes, revision)

    def _apply(self, changes: Sequence[Change], revision: int) -> None:
        sent = self._sent
        is_own = sent is not None and sent.revision == revision and bool(sent.operations)
        try:
            memory_revision = self._image.change(changes, revision, sent.operations if sent and is_own else None)
        except RegistryError as error:
            self._follower.refuse(str(error))
            return
        if sent is not None and sent.revision is not None and revision >= sent.revision:
            self._told(sent, memory_revision)

    async def _take_snapshot(self, changes: Sequence[Change], revision: int) -> None:
        if self._is_asking:
            answered: Deferred[None] = Deferred()
            self._held.append(lambda: answered.callback(None))
            await answered
        sent = self._sent
        if sent is not None and sent.revision is not None and revision >= sent.revision:
            self._told(sent, self._memory.apply(sent.operations))
        await self._image.replace(changes, revision)
        if not self._image.registry:
            about = encode_about(About(registry=token_hex(16)))  # another edge may be first; the watch tells
            await self._client.call(TRANSACTION_PATH, transaction_request({ABOUT: 0}, {ABOUT: about}))
        self._has_read = True

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
        if not self.ready.called:
            self.ready.callback(None)
        if self._image.owed:
            self._in_turn(self._pay)


def _wanted(operations: Sequence[Operation]) -> dict[str, bytes | None]:
    return {each.key: each.value if isinstance(each, Put) else None for each in operations}
