"""
What an edge knows of etcd's keys: the memory that they are read from, etcd's revisions of them, and the copy on disk.

It decides how what etcd tells gets there: a change at once, everything in slices, so that no turn of the reactor is
long. It does not ask etcd, and knows of keys only which must never be forgotten (revocations): where etcd was restored
from a backup that is older than they are, they are owed to it.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from warp_twisted.registry.etcd.copy import EtcdCopy, Kept, Standing
from warp_twisted.registry.etcd.identity import ABOUT, check_about, decode_about
from warp_twisted.registry.etcd.messages import Change
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.model import NUMBERING
from warp_twisted.registry.store import Delete, Operation, Put

SLICE = 100  # keys that are applied in one turn, some 10 ms with those who hear of them
LOOK = 2000  # keys that are compared in one turn when none of them differs


class EtcdImage:
    """
    The image.

    :param memory: of the store, which holds leased keys as well.
    :param copy: on disk; None: there is none.
    :param never_lost: beginnings of keys that only a deletion that was told removes.
    :ivar modified: etcd's revision of each key that lasts.
    :ivar owed: was insisted on, and is not in etcd yet; comes before what etcd says.
    :ivar registry: the identity of the registry; empty while it has none.
    :ivar revision: etcd's, up to which everything is here.
    """

    _log = Logger()

    def __init__(
        self, memory: MemoryStore, clock: IReactorTime, copy: EtcdCopy | None, never_lost: tuple[str, ...]
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._copy = copy
        self._never_lost = never_lost
        self.modified: dict[str, int] = {}
        self.owed: dict[str, Operation] = {}
        self.registry = ""
        self.revision = 0

    async def load(self, kept: Kept) -> None:
        """Begin with what the copy holds."""
        self.registry, self.revision = kept.standing.registry, kept.standing.revision
        self.owed.update(kept.owed)
        changes = [Change(item.key, item.value, item.modified) for item in kept.items]
        await self._apply_slices(changes, is_new=False)
        self._memory.apply(list(kept.owed.values()))

    def change(self, changes: Sequence[Change], revision: int, own: Sequence[Operation] | None = None) -> int:
        """
        Apply the changes of one revision.

        :param own: what this process asked for, if it is that; leased keys of it come along.
        :returns: memory's revision.
        :raises StoreBroken: if etcd is not to be followed any more; nothing was applied.
        """
        for each in changes:
            if each.key == ABOUT:
                self._look_at(each.value, is_empty=False)
        self.revision = revision
        found = [each for each in changes if each.key != ABOUT]
        if changes:
            self._note(found)
        if own is not None:
            return self._memory.apply(own)
        return self._memory.apply([_operation(each) for each in found if each.key not in self.owed])

    async def replace(self, changes: Sequence[Change], revision: int) -> None:
        """
        Make everything what etcd was at a revision: only what differs is told.

        :raises StoreBroken: if this etcd is not to be followed; nothing was applied.
        """
        about = next((each.value for each in changes if each.key == ABOUT), None)
        found = [each for each in changes if each.key != ABOUT]
        self._look_at(about, is_empty=not found)
        there = {each.key for each in found}
        gone = [key for key in self.modified if key not in there]
        if revision < self.revision:
            gone = await self._keep_what_must_not_be_lost(gone)
        self.revision = revision
        # Whom to refuse is known before whom to let in.
        found.sort(key=lambda each: not each.key.startswith(self._never_lost))
        await self._apply_slices(chain(found, [Change(key, None, revision) for key in gone]))

    def _look_at(self, text: bytes | None, *, is_empty: bool) -> None:
        about = decode_about(text) if text is not None else None
        where = str(self._copy.path) if self._copy is not None else "its copy"
        check_about(about, self.registry, is_empty=is_empty, copy=where)
        if about is not None:
            self.registry = about.registry

    async def _keep_what_must_not_be_lost(self, gone: Sequence[str]) -> list[str]:
        kept = [key for key in gone if key.startswith(self._never_lost)] if self._never_lost else []
        items = [item for key in kept if (item := self._memory.durable_item(key)) is not None]
        self._log.warn(
            "etcd is at an older revision than this edge has seen, as after a restore; {count} revocations that it has"
            " not are written to it again",
            count=len(items),
        )
        await self.owe([Put(item.key, item.value) for item in items])
        return [key for key in gone if key not in self.owed]

    async def owe(self, operations: Sequence[Operation]) -> bool:
        """
        Have operations owed to etcd.

        :returns: whether that outlives this process.
        """
        self.owed.update({each.key: each for each in operations})
        return await self._copy.owe(operations) if self._copy is not None and operations else False

    def paid(self, keys: Sequence[str]) -> None:
        """Owe nothing more under these keys."""
        for key in keys:
            del self.owed[key]
        if self._copy is not None:
            self._copy.paid(keys)

    async def _apply_slices(self, changes: Iterable[Change], *, is_new: bool = True) -> None:
        slice_: list[Change] = []
        looked = 0
        for each in changes:
            looked += 1
            if self.modified.get(each.key) != each.modified or self._value(each.key) != each.value:
                slice_.append(each)
            if len(slice_) >= SLICE or looked >= LOOK:
                self._apply_slice(slice_, is_new)
                slice_, looked = [], 0
                await deferLater(self._clock, 0)
        self._apply_slice(slice_, is_new)

    def _apply_slice(self, changes: Sequence[Change], is_new: bool) -> None:
        self._note(changes, is_new)
        self._memory.apply(
            [_operation(each) for each in changes if each.key not in self.owed and self._value(each.key) != each.value]
        )

    def _note(self, changes: Sequence[Change], is_new: bool = True) -> None:
        for each in changes:
            if each.value is not None:
                self.modified[each.key] = each.modified
            else:
                self.modified.pop(each.key, None)
        kept = [each for each in changes if not each.key.startswith(NUMBERING)]  # else each second is a write to disk
        if self._copy is not None and is_new and (kept or not changes):
            standing = Standing(registry=self.registry, revision=self.revision)
            self._copy.note([(each.key, each.value, each.modified) for each in kept], standing)

    def _value(self, key: str) -> bytes | None:
        item = self._memory.durable_item(key)
        return item.value if item is not None else None


def _operation(change: Change) -> Operation:
    return Put(change.key, change.value) if change.value is not None else Delete(change.key)
