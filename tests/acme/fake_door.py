"""An edge for tests of the issuing process, in memory: it keeps what it is told, as JSON, and seals secrets."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from warp_twisted.acme import sealing
from warp_twisted.acme.door import (
    Account,
    Certificate,
    Challenge,
    DnsChallenge,
    HttpChallenge,
    NameServer,
    Order,
    Settings,
    View,
)
from warp_twisted.acme.errors import DoorRefused

SEALING_KEY = sealing.new_private_key()

T = TypeVar("T", Account, Order)


class FakeDoor:
    """
    An edge.

    :ivar happened: called with what is about to be kept or published; raises what a test wants.
    :ivar history: the steps of all orders as they were kept.
    :ivar published: challenges that are there now.
    :ivar holder: who has the lock, if it is not the edge itself.
    """

    def __init__(self, directory: str, root: str, wanted: Sequence[tuple[str, ...]]) -> None:
        self.settings = Settings(directory=directory, root=root, email="hostmaster@warp.example")
        self.wanted = tuple(wanted)
        self.nameservers: tuple[NameServer, ...] = ()
        self.account: Account | None = None
        self.orders: dict[str, Order] = {}
        self.certificates: dict[str, Certificate] = {}
        self.published: list[Challenge] = []
        self.history: list[str] = []
        self.holder: str | None = None
        self.happened: Callable[[str], None] = lambda what: None

    def view(self) -> View:
        """Return what is to be done, and what was."""
        return View(
            edge="edge1",
            zone="warp.example",
            nameservers=self.nameservers,
            wanted=self.wanted,
            settings=self.settings,
            account=self.account,
            orders=tuple(self.orders.values()),
        )

    def lock(self, holder: str, seconds: float) -> bool:
        """Take or keep the lock; False while another one holds it."""
        return self.holder in (None, holder)

    def keep_account(self, account: Account) -> None:
        """Keep the account."""
        self.happened("account")
        self.account = sealed(account)

    def keep_order(self, order: Order) -> None:
        """Keep an order."""
        self.happened(order.step)
        self.history.append(order.step)
        self.orders[order.name] = sealed(order)

    def publish(self, challenge: Challenge) -> None:
        """Publish a challenge, or lengthen its lease."""
        self.happened("publish")
        self.withdraw(challenge)
        self.published.append(challenge)

    def withdraw(self, challenge: Challenge) -> None:
        """Withdraw a challenge."""
        if challenge in self.published:
            self.published.remove(challenge)

    def take_certificate(self, name: str, certificate: Certificate) -> None:
        """Put a certificate in force."""
        self.happened("certificate")
        self.history.append("issued")
        self.certificates[name] = certificate
        self.orders[name] = sealed(certificate.order)

    def chain(self, name: str) -> str:
        """Return the certificate in force, PEM."""
        if name not in self.certificates:
            raise DoorRefused(f"no certificate {name}", 404)
        return self.certificates[name].chain

    def validates(self, kind: str, name: str, token: str, value: str) -> bool:
        """Whether an authority that asks the edge finds a value."""
        for challenge in self.published:
            match challenge:
                case DnsChallenge() if (kind, f"_acme-challenge.{name}", value) == (
                    "dns-01",
                    challenge.name,
                    challenge.value,
                ):
                    return True
                case HttpChallenge() if (kind, name, token, value) == (
                    "http-01",
                    challenge.hostname,
                    challenge.token,
                    challenge.key_authorization,
                ):
                    return True
        return False


def sealed(kept: T) -> T:
    """Return a record as it comes out: its secret sealed, through JSON."""
    about = f"order {kept.name}" if isinstance(kept, Order) else "account"
    seal = sealing.seal(kept.secret, sealing.public_key_of(SEALING_KEY), about) if kept.secret else ""
    content = msgspec.json.encode(replace(kept, secret="", sealed=seal))
    return msgspec.json.decode(content, type=type(kept))
