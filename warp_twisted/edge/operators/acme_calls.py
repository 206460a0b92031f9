"""
The calls of the admin interface about certificates that are ordered by ACME: `/v1/acme`, `/v1/certificates`.

Those of `acme.door` are for the issuing process; it goes by the same socket as operators do, as it has the same rights.
What they do is decided by `edge.acme`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from twisted.web.http import Request

from warp_twisted.acme.door import Account, Certificate, Chain, Lock, Order, View
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.operators.bodies import read_body

Call = tuple[str, str, Callable[..., Any]]
MAX_CERTIFICATE_BYTES = 256 << 10  # chain, key and order, as JSON


class RenewalWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/certificates/renew`: the first name of one, or nothing for all."""

    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class Kept(Protocol):
    """What is kept for the issuing process; see `edge.acme.kept`."""

    async def view(self) -> View:
        """Return what is to be done, and what was."""

    async def keep_account(self, account: Account) -> None:
        """Keep the account."""

    async def keep_order(self, order: Order) -> None:
        """Keep how an order stands."""

    async def take_certificate(self, name: str, certificate: Certificate) -> None:
        """Put a certificate in force at every edge."""

    def chain(self, name: str) -> str:
        """Return the certificate in force."""

    async def lock(self, holder: str, seconds: float) -> bool:
        """Let a holder order, and nobody else."""


class Ordering(Protocol):
    """Certificates that are ordered here; see `edge.acme.ordering`."""

    @property
    def kept(self) -> Kept:
        """What is kept for the issuing process."""

    def described(self) -> object:
        """Describe each certificate, and who orders it."""

    async def renew(self, name: str) -> object:
        """Have a certificate ordered anew now; empty: all of them."""

    async def revoke(self, name: str) -> object:
        """Have a certificate revoked, and ordered anew."""


class AcmeCalls:
    """
    The calls of one edge.

    :param ordering: None: certificates are not ordered here.
    """

    def __init__(self, ordering: Ordering | None) -> None:
        self._given = ordering

    def calls(self) -> Sequence[Call]:
        """Return method, path and function of each."""
        return (
            ("GET", "/v1/acme", self._view),
            ("PUT", "/v1/acme/lock", self._lock),
            ("PUT", "/v1/acme/account", self._keep_account),
            ("PUT", "/v1/acme/orders/<name>", self._keep_order),
            ("GET", "/v1/certificates", lambda request: self._ordering.described()),
            ("PUT", "/v1/certificates/<name>", self._take),
            ("GET", "/v1/certificates/<name>", self._chain),
            ("POST", "/v1/certificates/renew", self._renew),
            ("POST", "/v1/certificates/revoke", self._revoke),
        )

    @property
    def _ordering(self) -> Ordering:
        if self._given is None:
            raise EdgeError("certificates are not ordered here: edge.yaml has no acme")
        return self._given

    async def _view(self, request: Request) -> object:
        return msgspec.to_builtins(await self._ordering.kept.view())

    async def _lock(self, request: Request) -> object:
        lock: Lock = read_body(request, Lock)
        if not await self._ordering.kept.lock(lock.holder, lock.seconds):
            raise EdgeError("another edge orders certificates")
        return {}

    async def _keep_account(self, request: Request) -> None:
        await self._ordering.kept.keep_account(read_body(request, Account))

    async def _keep_order(self, request: Request, name: str) -> None:
        order: Order = read_body(request, Order)
        if order.name != name:
            raise ValueError(f"name: expected {name!r}, got {order.name!r}")
        await self._ordering.kept.keep_order(order)

    async def _take(self, request: Request, name: str) -> None:
        certificate: Certificate = read_body(request, Certificate, MAX_CERTIFICATE_BYTES)
        await self._ordering.kept.take_certificate(name, certificate)

    async def _chain(self, request: Request, name: str) -> object:
        return msgspec.to_builtins(Chain(chain=self._ordering.kept.chain(name)))

    async def _renew(self, request: Request) -> object:
        return await self._ordering.renew(read_body(request, RenewalWish).name)

    async def _revoke(self, request: Request) -> object:
        name: str = read_body(request, RenewalWish).name
        if not name:
            raise ValueError("name: which certificate is to be revoked?")
        return await self._ordering.revoke(name)
