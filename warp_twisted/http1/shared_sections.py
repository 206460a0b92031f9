"""
Header sections that new connections begin with, remembered for all of them.

A client that opens a connection for each request (a health check, a program without a pool) sends the same section
every time, and its connection's own reader has seen nothing yet. What identifies somebody is not kept here: a section
with Cookie, Authorization or the secret of a service token is not shared, so that it does not outlive its connection.

It decides only what is kept, and for how long: two generations, of which the older one is dropped as a whole, so that
whoever sends a new section each time costs one entry each and no search for the oldest.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

Read = TypeVar("Read")

MAX_SECTIONS = 256  # of a generation
MAX_BYTES = 1_024  # of a section: with what is made of it, 1.5 MiB in all
_PERSONAL = frozenset(
    {"cookie", "authorization", "proxy-authorization", "warp-client-secret", "cf-access-client-secret"}
)


class SharedSections(Generic[Read]):
    """What sections were read as; valid for readers with the same limits."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: dict[bytes, Read] = {}
        self._old: dict[bytes, Read] = {}

    def get(self, raw: bytes) -> Read | None:
        """Return what was read from exactly these bytes."""
        found = self._new.get(raw)
        if found is None:
            found = self._old.pop(raw, None)
            if found is not None:
                self._keep(raw, found)
        return found

    def add(self, raw: bytes, names: Iterable[str], read: Read) -> None:
        """
        Keep what was read, unless it is long or somebody's own.

        :param names: of all its fields, in lower case.
        """
        if len(raw) <= MAX_BYTES and _PERSONAL.isdisjoint(names):
            self._keep(raw, read)

    def _keep(self, raw: bytes, read: Read) -> None:
        if len(self._new) >= MAX_SECTIONS:
            self._old, self._new = self._new, {}
        self._new[raw] = read

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
