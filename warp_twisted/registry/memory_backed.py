"""
What every store has in common that keeps all keys in this process' memory, and what lasts somewhere else as well.

Reads, leases and watches are memory's. Changes are made one after the other, each by a coroutine of the store that
knows where the other place is; nothing here does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, execute

from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.store import NO_LEASE, Event, Expect, Item, LeaseId, Listing, Operation, Put, Watch


class MemoryBackedStore(ABC):
    """
    The face of such a store; see `Store`.

    :param memory: holds everything that is known.
    """

    def __init__(self, memory: MemoryStore) -> None:
        self._memory = memory
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
        return self._in_turn(self._put, Put(key, value, lease))

    def delete(self, key: str) -> Deferred[bool]:
        """See `Store.delete`."""
        return self._in_turn(self._delete, key)

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """See `Store.transact`."""
        return self._in_turn(self._transact, expectations, operations)

    def insist(self, operations: Sequence[Operation]) -> Deferred[bool]:
        """See `Store.insist`."""
        return self._in_turn(self._insist, operations)

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

    async def _revoke(self, lease: LeaseId) -> None:
        await self._memory.revoke(lease)

    @abstractmethod
    async def _put(self, operation: Put) -> int: ...

    @abstractmethod
    async def _delete(self, key: str) -> bool: ...

    @abstractmethod
    async def _transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> bool: ...

    @abstractmethod
    async def _insist(self, operations: Sequence[Operation]) -> bool: ...

    @abstractmethod
    async def _close(self) -> None: ...
