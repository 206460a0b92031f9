"""
What the issuing process has kept, and what it is told: the account, how orders stand, certificates, and who orders.

All of it is in the registry, so any edge's process goes on where another's ended. It is written before it is answered.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
from msgspec.structs import replace as replace_struct
from twisted.logger import Logger

from warp_base.reactor import InThread
from warp_base.wall_clock import WallClock
from warp_twisted.acme.door import Account, Certificate, NameServer, Order, Settings, View
from warp_twisted.edge.acme.copies import SealedCopies
from warp_twisted.edge.certificates.ordered import load_ordered
from warp_twisted.edge.errors import CertificateUnknown, EdgeError
from warp_twisted.registry.acme.records import (
    ABOUT_ACCOUNT,
    CERTIFICATES,
    CURRENT_ACCOUNT,
    LOCK,
    ORDERS,
    AcmeAccount,
    AcmeOrder,
    Copies,
    OrderedCertificate,
    about_certificate,
    about_order,
)
from warp_twisted.registry.errors import BadValue, LeaseNotFound, RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import decode, encode
from warp_twisted.registry.store import NO_LEASE, Delete, Expect, Item, LeaseId, Put, Store

MAX_ORDERS = 1_000
MAX_FORGOTTEN = 20  # with each that is written
FORGOTTEN_SECONDS = 7 * 86400.0  # after its end, a certificate that is not wanted any more
ATTEMPTS = 5
Wanted = Sequence[Sequence[str]]

decode_order = msgspec.json.Decoder(Order).decode


class KeptAcme:
    """
    The registry, as the issuing process of this edge sees it.

    :param edge: this edge's name.
    :param wanted: returns the names of each certificate that is wanted now.
    :param nameservers: returns the name servers of the zone, and at which `host:port` each answers.
    :param caa: returns whether CAA records of the account are published.
    """

    _log = Logger()

    def __init__(
        self,
        edge: str,
        zone: str,
        store: Store,
        mirror: Mirror,
        copies: SealedCopies,
        wall: WallClock,
        in_thread: InThread,
        wanted: Callable[[], Wanted],
        nameservers: Callable[[], Mapping[str, Sequence[str]]],
        settings: Callable[[], Settings],
        caa: Callable[[], bool],
    ) -> None:
        self._edge = edge
        self._zone = zone
        self._store = store
        self._mirror = mirror
        self._copies = copies
        self._wanted = wanted
        self._nameservers = nameservers
        self._settings = settings
        self._caa = caa
        self._wall = wall
        self._in_thread = in_thread
        self._lease: LeaseId = NO_LEASE
        self._seconds = 0.0  # of that lease

    async def view(self) -> View:
        """
        Return what is to be done, and what was; secrets as this edge's key opens them.

        :raises RegistryError: if the registry cannot be read: what is in this process may be old.
        """
        kept = await self._store.get(CURRENT_ACCOUNT)
        account = decode(kept.key, kept.value) if kept is not None else None
        listing = await self._store.range(ORDERS)
        return View(
            edge=self._edge,
            zone=self._zone,
            nameservers=tuple(
                NameServer(name=name, addresses=tuple(addresses)) for name, addresses in self._nameservers().items()
            ),
            wanted=tuple(tuple(names) for names in self._wanted()),
            settings=self._settings(),
            account=self._shown(account) if isinstance(account, AcmeAccount) else None,
            orders=tuple(order for item in listing.items if (order := self._read(item)) is not None),
        )

    def orders(self) -> list[Order]:
        """Return how each order stands, as far as this edge has heard, without secrets."""
        kept = self._mirror.acme_orders
        return [order for name in sorted(kept) if (order := self._order(kept[name])) is not None]

    async def keep_account(self, account: Account) -> None:
        """
        Keep the account.

        :raises RegistryError: if the registry takes no changes.
        """
        kept = AcmeAccount(
            directory=account.directory,
            url=account.url,
            issuers=account.issuers,
            caa=self._caa(),
            copies=self._sealed(account.secret, ABOUT_ACCOUNT),
        )
        await self._store.transact([], [Put(kept.key, encode(kept))])

    async def keep_order(self, order: Order) -> None:
        """
        Keep how an order stands; what is not wanted any more and has ended is forgotten with it.

        :raises EdgeError: if there are too many.
        :raises RegistryError: if the registry takes no changes.
        """
        await self._store.transact([], [self._put_order(order), *self._forgotten()])

    async def take_certificate(self, name: str, certificate: Certificate) -> None:
        """
        Put a certificate in force at every edge, and keep how its order stands, in one transaction.

        :raises ValueError: if the key does not belong to the certificate, or the order is another's.
        :raises RegistryError: if the registry takes no changes.
        """
        if certificate.order.name != name:
            raise ValueError(f"order.name: expected {name!r}, got {certificate.order.name!r}")
        await self._in_thread(lambda: load_ordered(name, certificate.chain, certificate.key))
        about = about_certificate(name)
        kept = OrderedCertificate(name=name, chain=certificate.chain, copies=self._sealed(certificate.key, about))
        await self._store.transact([], [Put(kept.key, encode(kept)), self._put_order(certificate.order)])
        self._log.info("a certificate for {name} and what else it names was issued, and is in force", name=name)

    def chain(self, name: str) -> str:
        """
        Return the certificate in force, PEM.

        :raises CertificateUnknown: if there is none.
        """
        kept = self._mirror.ordered_certificates.get(name)
        if kept is None:
            raise CertificateUnknown(f"there is no certificate that was ordered for {name}")
        return kept.chain

    async def wish(self, name: str, *, revoke: bool) -> Order:
        """
        Have a certificate renewed now, or revoked and then ordered anew.

        :returns: how its order stands with that wish.
        :raises CertificateUnknown: if it was never ordered.
        :raises RegistryError: if the registry takes no changes.
        """
        for _ in range(ATTEMPTS):
            item = await self._store.get(ORDERS + name)
            kept = decode(item.key, item.value) if item is not None else None
            order = self._order(kept) if isinstance(kept, AcmeOrder) else None
            if item is None or order is None or not isinstance(kept, AcmeOrder):
                raise CertificateUnknown(f"no certificate was ordered for {name}; warp certificate list shows which")
            wished = replace_struct(order, renew_at=0.0, not_before=0.0, revoke=order.revoke or revoke)
            put = Put(kept.key, encode(replace(kept, state=encode_order(wished))))
            if await self._store.transact([Expect(kept.key, item.modified)], [put]):
                return wished
        raise EdgeError(f"the order of {name} is being changed; try again")

    async def lock(self, holder: str, seconds: float) -> bool:
        """
        Let a holder order, and nobody else as long as it asks again in time; return whether it may.

        :raises RegistryError: if the registry takes no changes.
        """
        item = await self._store.get(LOCK)
        if item is not None and item.value != holder.encode():
            return False
        if item is not None and item.lease == self._lease and self._seconds == seconds:
            with suppress(LeaseNotFound):
                await self._store.keep_alive(self._lease)
                return True
        self._lease, self._seconds = await self._store.grant(seconds), seconds
        expected = Expect(LOCK, item.modified if item is not None else 0)
        return await self._store.transact([expected], [Put(LOCK, holder.encode(), self._lease)])

    async def unlock(self) -> None:
        """Let another edge order at once; a registry that is away forgets the lock with its lease."""
        lease, self._lease = self._lease, NO_LEASE
        if lease != NO_LEASE:
            with suppress(RegistryError):
                await self._store.revoke(lease)

    def _shown(self, account: AcmeAccount) -> Account:
        return Account(
            directory=account.directory, url=account.url, issuers=account.issuers, sealed=self._own(account.copies)
        )

    def _own(self, copies: Copies) -> str:
        copy = copies.get(self._edge)
        return copy.text if copy is not None else ""

    def _sealed(self, secret: str, about: str) -> Copies:
        return self._copies.seal(secret, about) if secret else {}

    def _put_order(self, order: Order) -> Put:
        known = self._mirror.acme_orders
        if order.name not in known and len(known) >= MAX_ORDERS:
            raise EdgeError(f"{MAX_ORDERS} certificates are ordered, which is most")
        copies = self._sealed(order.secret, about_order(order.name))
        kept = AcmeOrder(name=order.name, state=encode_order(order), copies=copies)
        return Put(kept.key, encode(kept))

    def _forgotten(self) -> list[Delete]:
        """Return what removes orders, with their certificates, that are not wanted any more and ended a while ago."""
        wanted = {names[0] for names in self._wanted()}
        ended = self._wall.now() - FORGOTTEN_SECONDS
        gone = [
            order.name
            for order in self.orders()
            if order.name not in wanted and max(order.expires_at, order.failed_at) < ended
        ]
        return [Delete(key + name) for name in gone[:MAX_FORGOTTEN] for key in (ORDERS, CERTIFICATES)]

    def _read(self, item: Item) -> Order | None:
        try:
            kept = decode(item.key, item.value)
        except BadValue as error:
            self._log.warn("the registry holds what cannot be read: {error}", error=error)
            return None
        return self._order(kept) if isinstance(kept, AcmeOrder) else None

    def _order(self, kept: AcmeOrder) -> Order | None:
        try:
            return replace_struct(decode_order(kept.state), sealed=self._own(kept.copies))
        except msgspec.MsgspecError as error:
            self._log.warn("{key} cannot be read, and is begun anew: {error}", key=kept.key, error=error)
            return None


def encode_order(order: Order) -> str:
    """Write an order down without its secret."""
    return msgspec.json.encode(replace_struct(order, secret="", sealed="")).decode()
