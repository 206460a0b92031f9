"""
What the issuing process and the edge say to each other: JSON over the edge's admin socket.

The edge keeps everything; the process has no file of its own. Secrets go in as text (`secret`) and come out sealed for
the edge that is asked (`sealed`), so nobody who may only use the socket can read a key: the process opens them with the
edge's sealing key (`sealing`), which it reads from a file as the edge's user. They are about `account` or `order NAME`.
A record that comes without a secret has none from then on. Pure: shapes and a Protocol.

| call | body → answer |
|---|---|
| `GET /v1/acme` | → `View` |
| `PUT /v1/acme/lock` | `Lock` → 200; 409 while another holds it |
| `PUT /v1/acme/account` | `Account` → 200 |
| `PUT /v1/acme/orders/NAME` | `Order` → 200 |
| `PUT /v1/certificates/NAME` | `Certificate` → 200; `GET` → `Chain` |
| `POST /v1/challenges`, `DELETE /v1/challenges` | `DnsChallenge` or `HttpChallenge` → 200 |

NAME is the first name of the certificate as it is wanted (`View.wanted`), `*` included, in one segment of a path. No
two lists of wanted names begin with the same one, so it names the order and the certificate alike.
"""

from typing import Annotated, Literal, Protocol

import msgspec

MAX_NAMES = 100  # in one certificate; Let's Encrypt takes that many
MAX_CHAIN_BYTES = 64 << 10
MAX_SECRET_CHARACTERS = 16 << 10
MAX_ERROR_CHARACTERS = 1000

Text = Annotated[str, msgspec.Meta(max_length=2048)]
Names = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=255)], ...], msgspec.Meta(min_length=1, max_length=MAX_NAMES)
]
LeaseSeconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Secret = Annotated[str, msgspec.Meta(max_length=MAX_SECRET_CHARACTERS)]


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent either way; a key that is not known is refused."""


class DnsChallenge(Shape, frozen=True, tag_field="kind", tag="dns-01"):
    """
    A value that is published as TXT while its lease runs; several may stand at one name.

    :ivar name: `_acme-challenge.` and a name at or below the zone, without the trailing dot.
    :ivar value: the digest that the authority looks for, 43 characters of base64url (RFC 8555, 8.4).
    """

    name: Annotated[str, msgspec.Meta(max_length=255)]
    value: Annotated[str, msgspec.Meta(max_length=255)]
    lease_seconds: LeaseSeconds = 300.0


class HttpChallenge(Shape, frozen=True, tag_field="kind", tag="http-01"):
    """
    What the edge answers at `http://HOSTNAME/.well-known/acme-challenge/TOKEN` while its lease runs (RFC 8555, 8.3).
    """

    hostname: Annotated[str, msgspec.Meta(max_length=255)]
    token: Annotated[str, msgspec.Meta(max_length=255)]
    key_authorization: Annotated[str, msgspec.Meta(max_length=512)]
    lease_seconds: LeaseSeconds = 300.0


Challenge = DnsChallenge | HttpChallenge


class NameServer(Shape, frozen=True):
    """
    A name server of the zone, primary or secondary; the process asks each of its addresses directly.

    :ivar addresses: `address` or `address:port` as `warp_base.host_port` reads them; port 53 unless given.
    """

    name: str
    addresses: tuple[str, ...]


class ExternalAccount(Shape, frozen=True):
    """
    What binds the account to one that exists at the authority (RFC 8555, 7.3.4).

    :ivar hmac_key_file: of base64url text, as the authority gives it.
    """

    key_id: Text
    hmac_key_file: str


class Settings(Shape, frozen=True):
    """
    With whom certificates are ordered.

    :ivar directory: its URL (https), or a name of `directories`.
    :ivar root: a file of PEM certificates that the authority's own server is verified with; none: the system's.
    :ivar profile: of the authority's directory, such as `shortlived`; none: the authority chooses.
    """

    directory: str
    email: str = ""
    root: str = ""
    profile: str = ""
    external_account: ExternalAccount | None = None


class Account(Shape, frozen=True):
    """
    The account at one authority.

    :ivar directory: the URL of the directory that it belongs to; another one needs an account of its own.
    :ivar url: as the authority calls it, which is what CAA's `accounturi` needs; empty until it is registered.
    :ivar issuers: the names that the authority takes in CAA records, as its directory says.
    :ivar secret: the key in PEM. On its way in only.
    :ivar sealed: the same, sealed. On its way out only.
    """

    directory: Text
    url: Text = ""
    issuers: tuple[str, ...] = ()
    secret: Secret = ""
    sealed: str = ""


class Postponed(Shape, frozen=True):
    """
    How an identifier fared that the authority did not validate.

    :ivar failures: in a row.
    :ivar until: not to be ordered before, whatever certificate wants it; an instant.
    """

    failures: int
    until: float


class Order(Shape, frozen=True):
    """
    One certificate that is wanted: what came of its last order, and when the next one is due.

    Written by the process before each step that it describes. An operator's wish changes `renew_at` or `revoke` alone.

    :ivar name: the first of `names`.
    :ivar names: those that the order is for. If the wanted ones have changed, another order is begun.
    :ivar directory: the URL of the authority's directory.
    :ivar step: `begun`: the authority is about to be asked; `ordered`: it has the order, `url` is known; `finalized`:
        it was sent the request for the certificate; `issued`: the certificate was taken; `failed`: see `error`.
    :ivar url: of the order at the authority.
    :ivar secret: the key of the certificate that is ordered, in PEM. On its way in only.
    :ivar sealed: the same, sealed. On its way out only.
    :ivar not_before: nothing is ordered before that instant, whoever asks; kept before the authority is asked, so that
        a process that is started again and again does not use up what the authority allows.
    :ivar failures: orders in a row that came to nothing.
    :ivar error: why the last one did, in a sentence that says what to do; empty when it was issued.
    :ivar failed_at: when; 0 for never.
    :ivar postponed: identifier → how it fared; all orders' are believed together.
    :ivar certificate: the identifier of the certificate in force (RFC 9773, 4.1); empty before the first one.
    :ivar issued_at: when it begins to be valid.
    :ivar expires_at: when it ends.
    :ivar renew_at: when it is to be renewed; 0 for at once. The window of the authority moves it.
    :ivar ask_window_at: when the authority is to be asked again when to renew (ARI).
    :ivar window: beginning and end of what it said last; empty where it says nothing.
    :ivar revoke: whether the certificate in force is to be revoked; it is ordered anew thereafter.
    :ivar revoke_at: not before that instant, after a revocation was refused.
    """

    name: Annotated[str, msgspec.Meta(max_length=255)]
    names: Names
    directory: Text = ""
    step: Literal["begun", "ordered", "finalized", "issued", "failed"] = "begun"
    url: Text = ""
    secret: Secret = ""
    sealed: str = ""
    not_before: float = 0.0
    failures: int = 0
    error: Annotated[str, msgspec.Meta(max_length=MAX_ERROR_CHARACTERS)] = ""
    failed_at: float = 0.0
    postponed: dict[str, Postponed] = {}
    certificate: Text = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    renew_at: float = 0.0
    ask_window_at: float = 0.0
    window: tuple[float, ...] = ()
    revoke: bool = False
    revoke_at: float = 0.0


class View(Shape, frozen=True):
    """
    What is to be done, and what was.

    :ivar edge: the name of the edge that is asked; it holds the lock by that name.
    :ivar wanted: the names of each certificate, lower case, first the one that it is called by.
    :ivar orders: of all certificates that were ever wanted; the edge forgets those that are not, when they end.
    """

    edge: str
    zone: str
    nameservers: tuple[NameServer, ...]
    wanted: tuple[Names, ...]
    settings: Settings
    account: Account | None = None
    orders: tuple[Order, ...] = ()


class Lock(Shape, frozen=True):
    """Who orders; another holder gets it when the time is over."""

    holder: str
    seconds: LeaseSeconds


class Certificate(Shape, frozen=True):
    """
    A certificate that was issued.

    :ivar chain: PEM, the leaf first.
    :ivar key: PEM; the edge seals it.
    :ivar order: as it is kept from now on: in one transaction with the certificate.
    """

    chain: Annotated[str, msgspec.Meta(max_length=MAX_CHAIN_BYTES)]
    key: Secret
    order: Order


class Chain(Shape, frozen=True):
    """The certificate in force, without its key."""

    chain: str


class Door(Protocol):
    """
    The edge, as the issuing process sees it. Calls block, each for a bounded time.

    Each raises `DoorRefused` if the edge refuses, is not there, or its registry is away.
    """

    def view(self) -> View:
        """Return what is to be done, and what was."""

    def lock(self, holder: str, seconds: float) -> bool:
        """Take or keep the lock; False while another one holds it."""

    def keep_account(self, account: Account) -> None:
        """Keep the account: on disk when this returns."""

    def keep_order(self, order: Order) -> None:
        """Keep an order: on disk when this returns."""

    def publish(self, challenge: Challenge) -> None:
        """Publish a challenge, or lengthen its lease."""

    def withdraw(self, challenge: Challenge) -> None:
        """Withdraw a challenge; there need not be one."""

    def take_certificate(self, name: str, certificate: Certificate) -> None:
        """Put a certificate in force on all edges: on disk when this returns."""

    def chain(self, name: str) -> str:
        """Return the certificate in force, PEM."""
