"""
For whom secrets of the registry are sealed: every edge that has said with which key, and nobody else.

An edge that is added finds its copies within a moment, as each edge that can open a record seals it anew; so does one
that was set up anew and has another key. Of an edge whose record is removed the copies go. What it has opened before it
knows still: whoever takes an edge away that may be in wrong hands renews the certificates, which have new keys then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_twisted.acme.sealing import seal
from warp_twisted.edge.acme.sealing_key import SealingKey
from warp_twisted.registry.acme.records import (
    AcmeAccount,
    AcmeOrder,
    Copies,
    OrderedCertificate,
    Sealed,
    SealedCopy,
)
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, decode, encode
from warp_twisted.registry.store import Expect, Put, Store

SOON_SECONDS = 0.5  # after a change, as edges write their records at about the same time
AGAIN_SECONDS = 30.0
MAX_EDGES = 256  # a record has a copy for each


class SealedCopies:
    """
    The copies of all secrets, as one edge makes them.

    :param own: this edge's name.
    :param mirror: heard from now on; it should not have been started yet.
    """

    _log = Logger()

    def __init__(self, own: str, key: SealingKey, store: Store, mirror: Mirror, clock: IReactorTime) -> None:
        self._own = own
        self._key = key
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        self._is_running = False
        mirror.subscribe(self._registry_changed)

    def seal(self, secret: str, about: str) -> Copies:
        """
        Seal a secret for every edge.

        :param about: as in `registry.acme.records`.
        """
        return {edge: SealedCopy(key=key, text=seal(secret, key, about)) for edge, key in self._recipients().items()}

    def start(self) -> None:
        """Begin to see that all edges have copies, and no others."""
        self._is_running = True
        self._look_after(SOON_SECONDS)

    def stop(self) -> None:
        """Write no more."""
        self._is_running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._working is not None:
            self._working.cancel()

    def _recipients(self) -> Mapping[str, str]:
        """Return the edges and their keys; this one has its own, whether its record is written yet or not."""
        records = sorted(self._mirror.edge_records.items())[:MAX_EDGES]
        return {name: record.sealing_key for name, record in records if record.sealing_key} | {
            self._own: self._key.public
        }

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        kinds = (EdgeRecord, AcmeAccount, AcmeOrder, OrderedCertificate)
        if self._is_running and any(isinstance(change.after or change.before, kinds) for change in changes):
            self._look_after(SOON_SECONDS)

    def _look_after(self, seconds: float) -> None:
        if self._call is None and self._working is None:
            self._call = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._call = None
        self._working = Deferred.fromCoroutine(self.renew())
        self._working.addErrback(self._failed).addBoth(self._worked)

    def _worked(self, result: object) -> None:
        self._working = None
        if self._is_running and any(self._is_stale(each) for each in self._records()):
            self._look_after(AGAIN_SECONDS)

    def _failed(self, failure: Failure) -> None:
        if failure.check(RegistryError) is not None:
            self._log.info("secrets are sealed anew when the registry takes changes: {error}", error=failure.value)
        elif self._is_running:
            self._log.failure("secrets could not be sealed anew", failure=failure)

    async def renew(self) -> None:
        """
        Seal anew what lacks a copy, or has one too many, as far as this edge can open it; one record at a time.

        :raises RegistryError: if the registry takes no changes.
        """
        for known in self._records():
            if self._is_stale(known):
                await self._renew(known.key)

    def _records(self) -> list[Sealed]:
        account = self._mirror.acme_account
        return [
            *([account] if account is not None else []),
            *self._mirror.acme_orders.values(),
            *self._mirror.ordered_certificates.values(),
        ]

    def _is_stale(self, record: Sealed) -> bool:
        if not record.copies:  # it has no secret
            return False
        return {edge: copy.key for edge, copy in record.copies.items()} != self._recipients()

    async def _renew(self, key: str) -> None:
        item = await self._store.get(key)
        record = decode(key, item.value) if item is not None else None
        if item is None or not isinstance(record, Sealed) or not self._is_stale(record):
            return
        copies = self._renewed(record)
        if copies is not None:
            renewed = encode(replace(record, copies=copies))
            await self._store.transact([Expect(key, item.modified)], [Put(key, renewed)])

    def _renewed(self, record: Sealed) -> Copies | None:
        """Return the copies as they should be; None if this edge cannot open the record and has nothing to take out."""
        wanted = self._recipients()
        kept = {edge: copy for edge, copy in record.copies.items() if copy.key == wanted.get(edge)}
        secret = self._opened(record)
        if secret is None:
            return kept if kept and len(kept) < len(record.copies) else None
        missing = {edge: key for edge, key in wanted.items() if edge not in kept}
        return kept | {edge: SealedCopy(key=key, text=seal(secret, key, record.about)) for edge, key in missing.items()}

    def _opened(self, record: Sealed) -> str | None:
        try:
            return self._key.open(record, self._own)
        except ValueError as error:
            self._log.warn("what is sealed in {key} cannot be opened: {error}", key=record.key, error=error)
            return None
