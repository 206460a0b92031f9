"""Changing what was judged: a record seen in the mirror is changed only if the store has it like that still."""

from collections.abc import Sequence

from warp_twisted.registry.model import Value, decode
from warp_twisted.registry.store import Expect, Operation, Store


async def change_if_unchanged(store: Store, record: Value, operations: Sequence[Operation]) -> bool:
    """
    Do something in one transaction if a record is still the one that was judged.

    :returns: whether it was done.
    :raises RegistryError: if the store is away.
    """
    item = await store.get(record.key)
    if item is None or decode(item.key, item.value) != record:
        return False
    return await store.transact([Expect(record.key, item.modified)], operations)
