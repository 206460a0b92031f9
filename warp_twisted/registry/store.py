"""
What a registry store must do: keys, values, leases, watches and transactions, shaped after etcd v3.

Keys are text, values bytes. Every change has a revision, one larger than that of the change before; all
operations of one transaction share one. A key put with a lease vanishes when the lease does. Nothing here
says where the data is; `tests/registry/contract.py` holds what each implementation must pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from twisted.internet.defer import Deferred

from warp_twisted.registry.errors import RegistryError

LeaseId = NewType("LeaseId", int)
NO_LEASE = LeaseId(0)  # etcd's way to say that a key stays until it is deleted

MAX_KEY_BYTES = 512
MAX_LIVE_VALUE_BYTES = 1 << 21  # of what is never stored: a tunnel with all that an agent may offer in one message
MAX_VALUE_BYTES = 65536  # etcd's own limit is 1.5 MiB


@dataclass(frozen=True, slots=True)
class Item:
    """A key with its value, the lease it hangs on, and the revisions of its first and last change."""

    key: str
    value: bytes
    lease: LeaseId
    created: int
    modified: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What a range held, ordered by key, and the revision at which that was so."""

    items: tuple[Item, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key."""

    key: str
    value: bytes
    lease: LeaseId = NO_LEASE


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key; an absent one is left as it is."""

    key: str


Operation = Put | Delete


@dataclass(frozen=True, slots=True)
class Expect:
    """A condition of a transaction: the key was last modified at this revision; 0 means that it is absent."""

    key: str
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A key that was put (`item`) or removed (`item` is None) at a revision."""

    key: str
    item: Item | None
    revision: int


class Watch(Protocol):
    """A running watch."""

    def cancel(self) -> None:
        """Hear nothing more, not even of `lost`."""


class Store(Protocol):
    """
    Keys, values, leases and watches.

    Each method may fail with a `RegistryError`; `TooLarge` when a limit is met, and then nothing changed.
    """

    def get(self, key: str) -> Deferred[Item | None]:
        """Read one key."""

    def range(self, prefix: str) -> Deferred[Listing]:
        """Read every key that starts with a prefix."""

    def put(self, key: str, value: bytes, lease: LeaseId = NO_LEASE) -> Deferred[int]:
        """
        Set one key.

        :returns: the revision of the change.
        :raises LeaseNotFound: if the lease is not alive.
        """

    def delete(self, key: str) -> Deferred[bool]:
        """Remove one key, and say whether it was there."""

    def transact(self, expectations: Sequence[Expect], operations: Sequence[Operation]) -> Deferred[bool]:
        """
        Do all operations at one revision if every expectation holds, and nothing otherwise.

        :returns: whether they were done.
        :raises LeaseNotFound: if a lease is not alive.
        """

    def insist(self, operations: Sequence[Operation]) -> Deferred[bool]:
        """
        Do operations without a lease now, also while nothing can be written: then they are written as soon as it can.

        For what must hold at once, such as a revocation.

        :returns: whether they outlive this process already.
        """

    def grant(self, ttl_seconds: float) -> Deferred[LeaseId]:
        """Make a lease that ends after a time unless it is kept alive."""

    def keep_alive(self, lease: LeaseId) -> Deferred[None]:
        """
        Let a lease run for its full time again.

        :raises LeaseNotFound: if it ran out or was revoked.
        """

    def revoke(self, lease: LeaseId) -> Deferred[None]:
        """End a lease now and remove its keys; a lease that is gone already is no error."""

    def watch(
        self,
        prefix: str,
        after_revision: int,
        changed: Callable[[Sequence[Event]], None],
        lost: Callable[[RegistryError], None],
    ) -> Watch:
        """
        Hear of each change under a prefix, in order, none left out.

        :param after_revision: changes after this one are told, past ones first.
        :param changed: called with the events of one or more whole revisions.
        :param lost: called once when the watch cannot go on; `Compacted`: `after_revision` is too long ago.
        """

    def close(self) -> Deferred[None]:
        """Finish what was begun and let go of files and connections."""


class LastingStore(Store, Protocol):
    """A store of an edge: what has no lease outlives the process, and one process after the other changes it."""

    @property
    def problem(self) -> str:
        """Why what must last cannot be changed now; empty while it can."""

    @property
    def unkept(self) -> str:
        """Why what is insisted on now would end with this process; empty if it would not."""

    @property
    def owed(self) -> int:
        """How many keys that were insisted on are not where they are to last."""

    def problems(self) -> Mapping[str, str]:
        """Say of each part of the store that does not do all that it should, why."""

    @property
    def is_follower(self) -> bool:
        """Whether another process of this edge makes the changes."""

    async def open(self) -> None:
        """
        Hold everything that lasts; watches that were begun before hear of it in slices.

        :raises StoreBroken: if that cannot be had.
        """

    def take(self) -> Deferred[None]:
        """
        Make the changes from now on.

        :raises StoreInUse: if another process does.
        :raises StoreBroken: if what that one left cannot be read.
        """

    def release(self) -> Deferred[None]:
        """
        Leave the changes to another process, after every one that was asked for before, and follow.

        :raises StoreBroken: if what is owed would be lost. Nothing has changed then.
        """
