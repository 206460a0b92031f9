"""A store that can be out of reach."""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from warp_twisted.registry.errors import RegistryError, StoreClosed
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.store import NO_LEASE, Event, Expect, Item, LeaseId, Listing, Operation, Watch


class FlakyStore(MemoryStore):
    """
    A `MemoryStore` that fails while it is away, as one over a network does.

    :ivar is_away: whether every call fails.
    :ivar is_mute: whether watches hear of nothing, without knowing it.
    :ivar when_asked: called once, before the next transaction.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.is_away = False
        self.is_mute = False
        self.keep_alives = 0
        self.when_asked: Callable[[], object] | None = None
        self._lost_calls: list[Callable[[RegistryError], None]] = []
        self._running: list[Watch] = []

    def range(self, prefix: str) -> Deferred[Listing]:
        """Read, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().range(prefix)

    def get(self, key: str) -> Deferred[Item | None]:
        """Read, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().get(key)

    def put(self, key: str, value: bytes, lease: LeaseId = NO_LEASE) -> Deferred[int]:
        """Write, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().put(key, value, lease)

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """Write, or fail; what is to happen meanwhile happens once."""
        meanwhile, self.when_asked = self.when_asked, None
        if meanwhile is not None:
            meanwhile()
        return fail(StoreClosed("away")) if self.is_away else super().transact(expectations, operations)

    def insist(self, operations: Sequence[Operation]) -> Deferred[bool]:
        """Write, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().insist(operations)

    def holds_now(self, key: str) -> Item | None:
        """Look at a key, however far away the store is."""
        return self._items.get(key)

    def grant(self, ttl_seconds: float) -> Deferred[LeaseId]:
        """Grant, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().grant(ttl_seconds)

    def keep_alive(self, lease: LeaseId) -> Deferred[None]:
        """Keep alive, or fail."""
        self.keep_alives += 1
        return fail(StoreClosed("away")) if self.is_away else super().keep_alive(lease)

    def revoke(self, lease: LeaseId) -> Deferred[None]:
        """Revoke, or fail."""
        return fail(StoreClosed("away")) if self.is_away else super().revoke(lease)

    def watch(  # type: ignore[override]  # any watch will do
        self,
        prefix: str,
        after_revision: int,
        changed: Callable[[Sequence[Event]], None],
        lost: Callable[[RegistryError], None],
    ) -> Watch:
        """Watch, and remember how to say that the watch is lost."""
        self._lost_calls.append(lost)

        def heard(events: Sequence[Event]) -> None:
            if not self.is_mute:
                changed(events)

        watch = super().watch(prefix, after_revision, heard, lost)
        self._running.append(watch)
        return watch

    def lose_watches(self) -> None:
        """Break every running watch."""
        calls, self._lost_calls = self._lost_calls, []
        running, self._running = self._running, []
        for watch in running:
            watch.cancel()
        for lost in calls:
            lost(StoreClosed("the connection is gone"))
