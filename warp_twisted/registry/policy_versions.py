"""
The versions of the fleet's policy in the registry: which is in force, what was before, and their texts.

A version is written in one transaction: its text in parts, what is known of it, and last the record that says it is in
force, expected to be as it was when the writer looked. So there is no moment at which half of one can be read, a writer
that is killed leaves the version before in force, and of two writers one is told that it came second. A text of 512 KiB
has 8 parts; with the versions that are dropped for it a change has at most `MAX_OPERATIONS`, as etcd takes 128.

The texts are not under the root that every edge mirrors: an edge reads those that it needs. What a text says is not
known here.
"""

from collections.abc import Callable, Collection
from hashlib import sha256

from twisted.internet.defer import Deferred

from warp_twisted.registry.errors import BadValue, PolicyChanged, TooLarge
from warp_twisted.registry.model import CURRENT_POLICY, MAX_POLICY_BYTES, CurrentPolicy, PolicyVersion, decode, encode
from warp_twisted.registry.store import MAX_VALUE_BYTES, Delete, Expect, Item, Operation, Put, Store

TEXTS = "warp-policy/"  # NUMBER/PART → bytes, at most `MAX_VALUE_BYTES` of them
KEPT_VERSIONS = 30
KEPT_BYTES = 8 << 20  # of all texts
MAX_OPERATIONS = 100


class PolicyReader:
    """
    Reads versions.

    :param get: as `Store.get`.
    """

    def __init__(self, get: Callable[[str], Deferred[Item | None]]) -> None:
        self._get = get

    async def number(self) -> int:
        """
        Return the number of the version that is in force; 0 if there was never one.

        :raises RegistryError: as of `current`.
        """
        return _number_in(await self._get(CURRENT_POLICY))

    async def current(self) -> PolicyVersion | None:
        """
        Return what is known of the version that is in force; None if there was never one.

        :raises RegistryError: if the store is away, or the record is not what it should be.
        """
        number = await self.number()
        return await self._version(number) if number else None

    async def in_force(self) -> tuple[PolicyVersion, bytes] | None:
        """
        Return what `current` does, and the text of that version.

        :raises RegistryError: as of `current` and `text_of`.
        """
        version = await self.current()
        return (version, await self.text_of(version)) if version is not None else None

    async def text_of(self, version: PolicyVersion) -> bytes:
        """
        Read the text of a version.

        :raises BadValue: if it is not there as it was written.
        :raises RegistryError: if the store is away.
        """
        parts = []
        for key in _text_keys(version):
            item = await self._get(key)
            parts.append(item.value if item is not None else b"")
        text = b"".join(parts)
        if len(text) != version.size_bytes or sha256(text).hexdigest() != version.sha256:
            raise BadValue(f"{TEXTS}: the text of the policy's version {version.number} is not there as it was applied")
        return text

    async def _version(self, number: int) -> PolicyVersion:
        key = PolicyVersion(number=number, sha256="", size_bytes=0).key
        item = await self._get(key)
        value = decode(key, item.value) if item is not None else None
        if not isinstance(value, PolicyVersion):
            raise BadValue(f"{key}: there is no such version of the policy")
        return value


class PolicyVersions(PolicyReader):
    """Reads and writes the versions in one store."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.get)
        self._store = store

    async def add(
        self,
        text: bytes,
        known: Collection[PolicyVersion],
        *,
        replaces: int,
        applied_at: float,
        author: str = "",
        message: str = "",
        restores: int = 0,
    ) -> PolicyVersion:
        """
        Put a text in force, and drop the oldest versions that there is no room for.

        :param known: the versions that there are, as far as is known here.
        :param replaces: the number of the version that must be in force now; 0: none may be.
        :raises PolicyChanged: if another one is; nothing is written then.
        :raises RegistryError: if the store is away, or the text is too large.
        """
        if len(text) > MAX_POLICY_BYTES:
            raise TooLarge(f"a policy has at most {MAX_POLICY_BYTES >> 10} KiB")
        item = await self._store.get(CURRENT_POLICY)
        number = _number_in(item)
        if number != replaces:
            raise PolicyChanged(f"version {number} of the policy is in force, not {replaces}")
        version = PolicyVersion(
            number=number + 1,
            sha256=sha256(text).hexdigest(),
            size_bytes=len(text),
            applied_at=applied_at,
            author=author,
            message=message,
            restores=restores,
        )
        operations: list[Operation] = [
            Put(key, text[at * MAX_VALUE_BYTES : (at + 1) * MAX_VALUE_BYTES])
            for at, key in enumerate(_text_keys(version))
        ]
        operations.append(Put(version.key, encode(version)))
        operations.append(Put(CURRENT_POLICY, encode(CurrentPolicy(number=version.number))))
        operations += _drop(known, version, MAX_OPERATIONS - len(operations))
        expected = Expect(CURRENT_POLICY, item.modified if item is not None else 0)
        if not await self._store.transact([expected], operations):
            raise PolicyChanged(f"version {number} of the policy was replaced by another one meanwhile")
        return version


def _number_in(item: Item | None) -> int:
    if item is None:
        return 0
    value = decode(item.key, item.value)
    assert isinstance(value, CurrentPolicy)  # noqa: S101 -- by its key
    return value.number


def _text_keys(version: PolicyVersion) -> list[str]:
    count = -(-version.size_bytes // MAX_VALUE_BYTES)
    return [f"{TEXTS}{version.number:010}/{part}" for part in range(count)]


def _drop(known: Collection[PolicyVersion], added: PolicyVersion, most: int) -> list[Operation]:
    """
    Choose what makes room, oldest first; what would be too many operations waits for the next version.

    The version that is replaced stays, as edges may be reading it, and operators want it back first.
    """
    kept = len(known) + 1
    size = sum(version.size_bytes for version in known) + added.size_bytes
    operations: list[Operation] = []
    for version in sorted(known, key=lambda each: each.number):
        if (kept <= KEPT_VERSIONS and size <= KEPT_BYTES) or version.number >= added.number - 1:
            break
        keys = [*_text_keys(version), version.key]
        if len(operations) + len(keys) > most:
            break
        operations += [Delete(key) for key in keys]
        kept -= 1
        size -= version.size_bytes
    return operations
