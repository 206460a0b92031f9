"""
Copying a whole registry from one place to another: from an edge's file onto an etcd, and back.

Keys and values are copied as they are, so that nothing is lost that this release does not know. Only what lasts is
copied; what edges have live they announce anew. A file is written in one transaction. An etcd takes many: it says of
itself that it holds half a copy until everything was read back and compared, and no edge follows it before.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from warp_twisted.registry.errors import BadValue, NotEmpty, NotTheSame, StoreBroken
from warp_twisted.registry.etcd.blocking import BlockingCalls
from warp_twisted.registry.etcd.follower import BEATS
from warp_twisted.registry.etcd.identity import ABOUT, About, decode_about, encode_about
from warp_twisted.registry.etcd.messages import (
    RANGE_PATH,
    TRANSACTION_PATH,
    range_request,
    read_outcome,
    read_page,
    transaction_request,
)
from warp_twisted.registry.sqlite_file import FILE, RegistryFile
from warp_twisted.registry.store import NO_LEASE, Item

BATCH = 100  # keys in one transaction of etcd, which takes 128
BATCH_BYTES = 512 * 1024  # of their values; etcd takes 1.5 MiB in all, which includes base64

Progress = Callable[[int, int], object]


class Place(Protocol):
    """Where a registry is."""

    def read(self) -> dict[str, bytes]:
        """
        Return all that lasts, as it is at one moment.

        :raises RegistryError: if it cannot be read, or is no whole registry.
        """

    def write(self, content: Mapping[str, bytes], progress: Progress, *, replace: bool) -> None:
        """
        Hold this content and nothing else.

        :param progress: told how many keys of how many are there.
        :param replace: also where a registry is already, which is gone then.
        :raises NotEmpty: if one is, and is not to be replaced. Nothing has changed then.
        :raises RegistryError: if it cannot be written.
        """


def copy_registry(source: Place, target: Place, progress: Progress, *, replace: bool = False) -> int:
    """
    Copy a registry, and compare.

    :returns: how many keys there are.
    :raises RegistryError: if it did not come to its end.
    """
    content = source.read()
    target.write(content, progress, replace=replace)
    return len(content) - (ABOUT in content)


class FilePlace:
    """
    An edge's own registry; no edge may be running on it.

    :param state: the directory of the file.
    """

    def __init__(self, state: Path) -> None:
        self._state = state

    def read(self) -> dict[str, bytes]:
        """See `Place`."""
        if not (self._state / FILE).exists():
            raise StoreBroken(f"{self._state / FILE} does not exist; name the directory that is `state` in edge.yaml")
        with self._opened() as file:
            return {item.key: item.value for item in file.read()}

    def write(self, content: Mapping[str, bytes], progress: Progress, *, replace: bool) -> None:
        """See `Place`."""
        with self._opened() as file:
            before = file.read()
            if before and not replace:
                raise NotEmpty(f"{self._state / FILE} holds a registry already; --replace removes it")
            revision = max((item.modified for item in before), default=0)
            changes: list[tuple[str, Item | None]] = [(each.key, None) for each in before if each.key not in content]
            for key, value in sorted(content.items()):
                revision += 1
                changes.append((key, Item(key, value, NO_LEASE, revision, revision)))
            file.write(changes)
            found = {item.key: item.value for item in file.read()}
        if found != dict(content):
            raise NotTheSame(f"{self._state / FILE} does not hold what was written; look at its disk")
        progress(len(content), len(content))

    @contextmanager
    def _opened(self) -> Iterator[RegistryFile]:
        try:
            file = RegistryFile(self._state)
            try:
                if file.problem:
                    raise StoreBroken(f"{self._state / FILE}: {file.problem}")
                yield file
            finally:
                file.close()
        except (OSError, sqlite3.Error) as error:
            raise StoreBroken(f"{self._state / FILE}: {error}") from error


class EtcdPlace:
    """An etcd."""

    def __init__(self, etcd: BlockingCalls) -> None:
        self._etcd = etcd

    def read(self) -> dict[str, bytes]:
        """See `Place`."""
        found = {key: value for key, (value, _) in self._read().items()}
        if not found:
            raise StoreBroken(f"{self._etcd.name} holds no registry")
        about = _about(found.get(ABOUT))
        if about is not None and not about.is_complete:
            raise StoreBroken(f"{self._etcd.name} holds half a copy of a registry; copy it there again, to its end")
        return found

    def write(self, content: Mapping[str, bytes], progress: Progress, *, replace: bool) -> None:
        """See `Place`."""
        before = self._read()
        if before and not replace:
            raise NotEmpty(f"{self._etcd.name} holds a registry already; --replace removes it")
        known = _about(content.get(ABOUT))
        registry = known.registry if known is not None else token_hex(16)
        half = encode_about(About(registry=registry, is_complete=False))
        # From here on no edge follows this etcd, so none takes what follows for a change of the registry.
        expected = {ABOUT: before[ABOUT][1] if ABOUT in before else 0}
        begun = self._transact({ABOUT: half}, expected)
        wanted = {key: value for key, value in content.items() if key != ABOUT}
        changes: dict[str, bytes | None] = {key: None for key in before if key not in wanted and key != ABOUT}
        changes |= {key: value for key, value in sorted(wanted.items()) if before.get(key, (None, 0))[0] != value}
        done = len(wanted) - len(changes)
        for batch in _batches(changes):
            self._transact(batch)
            done += len(batch)
            progress(max(0, done), len(wanted))
        found = {key: value for key, (value, _) in self._read().items() if key != ABOUT}
        if found != wanted:
            raise NotTheSame(f"{self._etcd.name} does not hold what was written; somebody else writes to it")
        self._transact({ABOUT: encode_about(About(registry=registry))}, {ABOUT: begun})
        progress(len(wanted), len(wanted))

    def _transact(self, wanted: Mapping[str, bytes | None], expected: Mapping[str, int] | None = None) -> int:
        outcome = read_outcome(self._etcd.call(TRANSACTION_PATH, transaction_request(expected or {}, wanted)))
        if not outcome.succeeded:
            raise NotTheSame(f"{self._etcd.name} was changed by somebody else meanwhile; copy again, with --replace")
        return outcome.revision

    def _read(self) -> dict[str, tuple[bytes, int]]:
        """Return each key with its value and revision, all at one revision."""
        found: dict[str, tuple[bytes, int]] = {}
        page = read_page(self._etcd.call(RANGE_PATH, range_request()))
        revision = page.revision
        while True:
            for each in page.changes:
                if each.value is not None and not each.key.startswith(BEATS):
                    found[each.key] = each.value, each.modified
            if not page.more:
                return found
            page = read_page(self._etcd.call(RANGE_PATH, range_request(page.changes[-1].key, revision)))


def _batches(changes: Mapping[str, bytes | None]) -> Iterator[dict[str, bytes | None]]:
    batch: dict[str, bytes | None] = {}
    size = 0
    for key, value in changes.items():
        length = len(value or b"")
        if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = {}, 0
        batch[key] = value
        size += length
    if batch:
        yield batch


def _about(text: bytes | None) -> About | None:
    if text is None:
        return None
    try:
        return decode_about(text)
    except BadValue as error:
        raise StoreBroken(f"this is no registry: {error}") from error
