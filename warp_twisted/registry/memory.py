"""
A store in this process' memory: all of it for tests, and the living half of the embedded registry.

It decides order, revisions, lease ends and who hears of what; it does not know what is worth keeping on disk
(`registry.sqlite`). Nothing waits: each Deferred has fired when it is returned.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from warp_twisted.registry.errors import Compacted, LeaseNotFound, RegistryError, StoreClosed, TooLarge
from warp_twisted.registry.store import (
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    NO_LEASE,
    Delete,
    Event,
    Expect,
    Item,
    LeaseId,
    Listing,
    Operation,
    Put,
)

MAX_KEYS = 200_000  # 10,000 tunnels, their leases and names, many times over
MAX_WATCHES = 1000
HISTORY = 10_000  # events kept for watches that begin in the past
HISTORY_BYTES = 16 * 1024 * 1024  # of their values; a change of a large policy has half a MiB


@dataclass(slots=True, eq=False)
class _Lease:
    ttl_seconds: float
    ends: IDelayedCall
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _MemoryWatch:
    prefix: str
    changed: Callable[[Sequence[Event]], None]
    lost: Callable[[RegistryError], None]
    watches: "set[_MemoryWatch]"
    is_live: bool = True

    def cancel(self) -> None:
        self.is_live = False
        self.watches.discard(self)


class MemoryStore:
    """
    A `Store` that forgets everything when the process ends.

    :param clock: measures leases.
    :param items: what it begins with, none of it under a lease.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        items: Sequence[Item] = (),
        *,
        max_keys: int = MAX_KEYS,
        max_watches: int = MAX_WATCHES,
        history: int = HISTORY,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self._clock = clock
        self._items = {item.key: item for item in items}
        self._revision = max((item.modified for item in items), default=0)
        self._max_keys = max_keys
        self._max_value_bytes = max_value_bytes
        self._max_watches = max_watches
        self._history: deque[Event] = deque()
        self._max_history = history
        self._history_bytes = 0
        self._forgotten = self._revision  # events up to this revision are not in the history
        self._leases: dict[LeaseId, _Lease] = {}
        self._next_lease = 1
        self._late: list[LeaseId] | None = None  # leases that ran out while ends are held
        self._watches: set[_MemoryWatch] = set()
        self._untold: deque[tuple[Event, ...]] = deque()
        self._is_telling = False
        self._is_closed = False

    @property
    def revision(self) -> int:
        """The revision of the latest change."""
        return self._revision

    def get(self, key: str) -> Deferred[Item | None]:
        """See `Store.get`."""
        return execute(self._get, key)

    def range(self, prefix: str) -> Deferred[Listing]:
        """See `Store.range`."""
        return execute(self._range, prefix)

    def put(self, key: str, value: bytes, lease: LeaseId = NO_LEASE) -> Deferred[int]:
        """See `Store.put`."""
        return execute(self.apply, (Put(key, value, lease),))

    def delete(self, key: str) -> Deferred[bool]:
        """See `Store.delete`."""
        return execute(self._delete, key)

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """See `Store.transact`."""
        return execute(self._transact, expectations, operations)

    def insist(self, operations: Sequence[Operation]) -> Deferred[bool]:
        """See `Store.insist`."""
        return execute(self._insist, operations)

    def grant(self, ttl_seconds: float) -> Deferred[LeaseId]:
        """See `Store.grant`."""
        return execute(self._grant, ttl_seconds)

    def keep_alive(self, lease: LeaseId) -> Deferred[None]:
        """See `Store.keep_alive`."""
        return execute(self._keep_alive, lease)

    def revoke(self, lease: LeaseId) -> Deferred[None]:
        """See `Store.revoke`."""
        return execute(self._end, lease)

    def watch(
        self,
        prefix: str,
        after_revision: int,
        changed: Callable[[Sequence[Event]], None],
        lost: Callable[[RegistryError], None],
    ) -> _MemoryWatch:
        """See `Store.watch`."""
        watch = _MemoryWatch(prefix, changed, lost, self._watches)
        if self._is_closed:
            self._lose(watch, StoreClosed())
        elif after_revision < self._forgotten:
            self._lose(watch, Compacted())
        elif len(self._watches) >= self._max_watches:
            self._lose(watch, TooLarge(f"more than {self._max_watches} watches"))
        else:
            missed = tuple(event for event in self._history if event.revision > after_revision)
            untold = {event for events in self._untold for event in events}
            self._tell(watch, tuple(event for event in missed if event not in untold))
            self._watches.add(watch)
        return watch

    def close(self) -> Deferred[None]:
        """See `Store.close`."""
        self._is_closed = True
        for lease in self._leases.values():
            if lease.ends.active():
                lease.ends.cancel()
        self._leases.clear()
        self._watches.clear()
        return execute(lambda: None)

    # The same, synchronously, for a store that is built on this one.

    def holds(self, expectations: Sequence[Expect]) -> bool:
        """Whether a transaction's expectations are true now."""
        return all(
            (item.modified if (item := self._items.get(expected.key)) else 0) == expected.modified
            for expected in expectations
        )

    def check(self, operations: Sequence[Operation]) -> None:
        """
        Refuse operations that cannot be done, before anything is changed.

        :raises RegistryError: if a lease is gone or a limit is met.
        """
        if self._is_closed:
            raise StoreClosed()
        added = 0
        for operation in operations:
            if len(operation.key.encode()) > MAX_KEY_BYTES or not operation.key:
                raise TooLarge(f"a key has 1 to {MAX_KEY_BYTES} bytes: {operation.key[:40]!r}")
            if isinstance(operation, Put):
                if len(operation.value) > self._max_value_bytes:
                    raise TooLarge(f"the value of {operation.key} has more than {self._max_value_bytes} bytes")
                if operation.lease != NO_LEASE and operation.lease not in self._leases:
                    raise LeaseNotFound()
                added += operation.key not in self._items
        if len(self._items) + added > self._max_keys:
            raise TooLarge(f"the registry has its {self._max_keys} keys already")

    def apply(self, operations: Sequence[Operation]) -> int:
        """
        Do operations at one revision, and tell the watches.

        :returns: the revision; the latest one when nothing changed.
        """
        self.check(operations)
        return self._commit(operations)

    def follow(self, changes: Sequence[tuple[str, Item | None]]) -> None:
        """
        Have what another process has put or, with None, removed; what hangs on a lease here stays.

        Limits are that process's to keep. Changes that come after have a revision larger than any of its.
        """
        self._revision = max([self._revision, *(item.modified for _, item in changes if item is not None)])
        self._commit(
            [
                Put(key, item.value) if item is not None else Delete(key)
                for key, item in changes
                if key not in self._items or self._items[key].lease == NO_LEASE
            ]
        )

    def hold_leases(self) -> None:
        """Let no lease end until `release_leases`; one that runs out meanwhile can no longer be kept alive."""
        self._late = []

    def release_leases(self) -> None:
        """End the leases that ran out meanwhile."""
        late, self._late = self._late or [], None
        for lease in late:
            self._end(lease)

    def durable_item(self, key: str) -> Item | None:
        """Return what is at a key, if that hangs on no lease."""
        item = self._items.get(key)
        return item if item is not None and item.lease == NO_LEASE else None

    def _commit(self, operations: Sequence[Operation]) -> int:
        revision = self._revision + 1
        events: list[Event] = []
        for operation in operations:
            before = self._items.get(operation.key)
            if before is not None and before.lease != NO_LEASE and before.lease in self._leases:
                self._leases[before.lease].keys.discard(operation.key)
            if isinstance(operation, Put):
                created = before.created if before else revision
                item = Item(operation.key, operation.value, operation.lease, created, revision)
                self._items[operation.key] = item
                if operation.lease != NO_LEASE:
                    self._leases[operation.lease].keys.add(operation.key)
                events.append(Event(operation.key, item, revision))
            elif before is not None:
                del self._items[operation.key]
                events.append(Event(operation.key, None, revision))
        if events:
            self._revision = revision
            self._remember(events)
            self._untold.append(tuple(events))
            self._tell_all()
        return self._revision

    def _remember(self, events: Sequence[Event]) -> None:
        history = self._history
        for event in events:
            history.append(event)
            self._history_bytes += _size_of(event)
            while len(history) > self._max_history or self._history_bytes > HISTORY_BYTES:
                gone = history.popleft()
                self._history_bytes -= _size_of(gone)
                self._forgotten = gone.revision

    def _tell_all(self) -> None:
        # A watcher may write to the store while it is told; what it writes is told after this, in order.
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                events = self._untold.popleft()
                for watch in tuple(self._watches):
                    self._tell(watch, events)
        finally:
            self._is_telling = False

    def _tell(self, watch: _MemoryWatch, events: Sequence[Event]) -> None:
        relevant = tuple(event for event in events if event.key.startswith(watch.prefix))
        if relevant and watch.is_live:
            try:
                watch.changed(relevant)
            except Exception:
                self._log.failure("a watch on {prefix} failed", prefix=watch.prefix)

    def _lose(self, watch: _MemoryWatch, error: RegistryError) -> None:
        def tell() -> None:
            if watch.is_live:
                watch.is_live = False
                watch.lost(error)

        self._clock.callLater(0, tell)

    def _get(self, key: str) -> Item | None:
        if self._is_closed:
            raise StoreClosed()
        return self._items.get(key)

    def _range(self, prefix: str) -> Listing:
        if self._is_closed:
            raise StoreClosed()
        keys = sorted(key for key in self._items if key.startswith(prefix))
        return Listing(tuple(self._items[key] for key in keys), self._revision)

    def _delete(self, key: str) -> bool:
        was_there = key in self._items
        self.apply((Delete(key),))
        return was_there

    def _transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool:
        self.check(operations)
        if not self.holds(expectations):
            return False
        self._commit(operations)
        return True

    def _insist(self, operations: Sequence[Operation]) -> bool:
        self.apply(operations)
        return True

    def _grant(self, ttl_seconds: float) -> LeaseId:
        if self._is_closed:
            raise StoreClosed()
        if len(self._leases) >= self._max_keys:
            raise TooLarge(f"the registry has its {self._max_keys} leases already")
        lease = LeaseId(self._next_lease)
        self._next_lease += 1
        self._leases[lease] = _Lease(ttl_seconds, self._clock.callLater(ttl_seconds, self._run_out, lease))
        return lease

    def _keep_alive(self, lease: LeaseId) -> None:
        found = self._leases.get(lease)
        if found is None or not found.ends.active():
            raise LeaseNotFound()
        found.ends.reset(found.ttl_seconds)

    def _run_out(self, lease: LeaseId) -> None:
        if self._late is None:
            self._end(lease)
        else:
            self._late.append(lease)

    def _end(self, lease: LeaseId) -> None:
        found = self._leases.pop(lease, None)
        if found is None:
            return
        if found.ends.active():
            found.ends.cancel()
        self._commit([Delete(key) for key in sorted(found.keys)])


def _size_of(event: Event) -> int:
    return len(event.item.value) if event.item is not None else 0
