"""
Certificates of a fleet's registry, which is an etcd: an authority of its own, never the fleet's root or below it.

etcd lets in whoever shows a certificate below the authority that it trusts, so below the fleet's root every agent's
certificate would open the registry. This root signs no other authority. Members have a certificate for their clients
and one for each other; edges have one as clients of etcd. Pure: keys, names and the time are arguments.

A member's JSON gateway asks the member itself, with the member's own certificate, so that is for clients, too. Members
know each other by the name `PEER` (`--peer-cert-allowed-cn`), which no client's certificate has.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from warp_twisted.ca.errors import BadRequest
from warp_twisted.ca.issue import Issuer, issue_leaf, issue_self_signed
from warp_twisted.errors import InvalidName
from warp_twisted.names import parse_hostname

LIFETIME = timedelta(days=365)
RENEWED_BEFORE_END = timedelta(days=90)
PEER = "warp-registry-peer"
MAX_ADDRESSES = 32  # of one member

_ROOT = "Warp registry root of "
_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Use(Enum):
    """What a certificate below the registry's root is for; the value begins the names of its files."""

    SERVER = "registry-server"
    PEER = "registry-peer"
    CLIENT = "registry-client"


def issue_registry_root(key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> x509.Certificate:
    """
    Make a registry's root.

    :param name: for people, such as the zone.
    """
    return issue_self_signed(key, _ROOT + name, now, path_length=0)


def is_registry_root(certificate: x509.Certificate) -> bool:
    """Whether a certificate is the root of a registry, and so not that of a fleet."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return len(found) == 1 and str(found[0].value).startswith(_ROOT) and certificate.issuer == certificate.subject


def issue_registry_certificate(
    root: Issuer, public_key: ec.EllipticCurvePublicKey, use: Use, name: str, addresses: Sequence[str], now: datetime
) -> x509.Certificate:
    """
    Make the certificate of a member or of an edge.

    :param name: of the member or edge, for people.
    :param addresses: hostnames and IP addresses at which a member is reached; none of an edge.
    :raises BadRequest: if a member has no address or too many, or one is none.
    :raises IssuerExpired: if the root is not valid now.
    """
    if use is Use.CLIENT:
        return issue_leaf(root, public_key, f"edge {name}", (), [ExtendedKeyUsageOID.CLIENT_AUTH], now, LIFETIME)
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise BadRequest(f"a member of the registry has 1 to {MAX_ADDRESSES} addresses")
    subject = PEER if use is Use.PEER else f"member {name}"
    return issue_leaf(root, public_key, subject, [_general_name(each) for each in addresses], _BOTH, now, LIFETIME)


def renew_registry_certificate(root: Issuer, old: x509.Certificate, now: datetime) -> x509.Certificate:
    """
    Make the certificate that follows an old one: the same key, names and uses, and a new life.

    :raises BadRequest: if the old one is not below this root.
    """
    if old.issuer != root.certificate.subject:
        raise BadRequest("it is not a certificate of this registry")
    extensions = old.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    try:
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    subject = str(old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    key = old.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadRequest("its key is not an ECDSA P-256 key")
    return issue_leaf(root, key, subject, names, list(usage), now, LIFETIME)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(parse_hostname(text))
    except InvalidName as error:
        raise BadRequest(f"{text}: a hostname or an IP address is expected: {error}") from error
