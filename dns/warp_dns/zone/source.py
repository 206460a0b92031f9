"""
Where live records come from: the interface that this package asks of a registry.

The registry's values fit `message.records.RecordLike` by their attributes, and its publisher fits `RecordSource`.
`Record` and `FixedSource` implement both, for followers, tests and zones that never change.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from warp_dns.message.records import RecordLike

Records = Mapping[str, Sequence[RecordLike]]  # owner name → all its records; an empty sequence: the name is gone


class RecordSource(Protocol):
    """Live records, by owner name."""

    def snapshot(self) -> Records:
        """Return all records as they are now."""

    def subscribe(self, changed: Callable[[Records], None]) -> Callable[[], None]:
        """
        Call `changed` with each owner name whose records changed and all its records now.

        :returns: a function that ends the subscription.
        """


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record as it travels on the admin interface."""

    name: str
    type: str
    ttl: int
    rdata: str
    edge: str = ""


class FixedSource:
    """Records that a program holds and changes by hand."""

    def __init__(self, records: Records | None = None) -> None:
        self._records: dict[str, Sequence[RecordLike]] = dict(records or {})
        self._subscribers: list[Callable[[Records], None]] = []

    def snapshot(self) -> Records:
        """Return all records as they are now."""
        return dict(self._records)

    def subscribe(self, changed: Callable[[Records], None]) -> Callable[[], None]:
        """Call `changed` at each `change`, until the returned function is called."""
        self._subscribers.append(changed)
        return lambda: self._subscribers.remove(changed)

    def change(self, records: Records) -> None:
        """Replace the records of each owner named; an empty sequence removes the name."""
        for name, members in records.items():
            if members:
                self._records[name] = members
            else:
                self._records.pop(name, None)
        for subscriber in tuple(self._subscribers):
            subscriber(records)
