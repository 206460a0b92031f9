"""
What the registry keeps of certificates that are ordered by ACME, as frozen values; `registry.model` writes them down.

Secrets are in them as copies, one for each edge, which only that edge can open (`acme.sealing`): whoever reads the
registry, or a backup of it, has no key. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ACCOUNT = "warp/acme-account/"  # the one record under it is the account at the authority
ORDERS = "warp/acme-orders/"  # first name of a certificate → how its order stands
CERTIFICATES = "warp/certificates/"  # the same → the certificate in force
CURRENT_ACCOUNT = ACCOUNT + "current"
ABOUT_ACCOUNT = "account"
LOCK = "acme/lock"  # who orders; under a lease, so it is in no mirror and no copy


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCopy:
    """
    A secret as one edge can open it.

    :param key: the public half of the key that it was sealed to; an edge that is set up anew has another.
    """

    key: str
    text: str


Copies = Mapping[str, SealedCopy]  # edge → its copy


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeAccount:
    """
    The account at the authority.

    :param directory: the URL of the authority's directory.
    :param url: as the authority calls the account; empty until it is registered.
    :param issuers: names of the authority in CAA records.
    :param caa: whether these are published.
    """

    directory: str
    url: str = ""
    issuers: tuple[str, ...] = ()
    caa: bool = True
    copies: Copies = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return CURRENT_ACCOUNT

    @property
    def about(self) -> str:
        """What the secret is sealed as being about."""
        return ABOUT_ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeOrder:
    """
    How the order of one certificate stands.

    :param state: `acme.door.Order` as JSON, without its secret.
    """

    name: str
    state: str
    copies: Copies = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return ORDERS + self.name

    @property
    def about(self) -> str:
        """What the secret is sealed as being about."""
        return about_order(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedCertificate:
    """
    A certificate in force.

    :param name: its first name.
    :param chain: PEM, the leaf first.
    :param copies: of its key.
    """

    name: str
    chain: str
    copies: Copies = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where this value is stored."""
        return CERTIFICATES + self.name

    @property
    def about(self) -> str:
        """What the secret is sealed as being about."""
        return about_certificate(self.name)


Sealed = AcmeAccount | AcmeOrder | OrderedCertificate


def about_order(name: str) -> str:
    """Return what the secret of an order is sealed as being about, as the issuing process opens it."""
    return f"order {name}"


def about_certificate(name: str) -> str:
    """Return what the key of a certificate is sealed as being about."""
    return f"certificate {name}"
