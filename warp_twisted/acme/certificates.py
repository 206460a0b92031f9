"""
Keys, requests and certificates of an order, and what is read from what the authority issued. Pure but for randomness.
"""

import base64
import math
from collections.abc import Collection
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from warp_twisted.acme.door import MAX_CHAIN_BYTES
from warp_twisted.acme.errors import UnusableCertificate

MAX_CHAIN_CERTIFICATES = 10


def new_key() -> str:
    """Make a key, P-256, in PEM: what every authority and every browser takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """
    Read a key that `new_key` made.

    :raises ValueError: if it is none.
    """
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("expected a key on an elliptic curve")
    return key


def certificate_request(key: ec.EllipticCurvePrivateKey, names: Collection[str]) -> x509.CertificateSigningRequest:
    """Return the request for a certificate: all names as subjectAltName, and an empty subject."""
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(alternatives, critical=False).sign(key, SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """
    What a certificate says.

    :ivar certificate: its identifier (RFC 9773, 4.1), or empty if it names no key of its issuer's.
    :ivar issued_at: an instant; `expires_at`, too.
    """

    certificate: str
    issued_at: float
    expires_at: float


def read_chain(chain: str, key: ec.EllipticCurvePrivateKey, names: Collection[str]) -> Issued:
    """
    Read a chain, and see that its leaf is what was ordered.

    Nothing is verified up to a root: which one visitors know is not ours to say.

    :param chain: PEM, the leaf first.
    :raises UnusableCertificate: saying what is wrong with it.
    """
    leaf = leaf_of(chain)
    if _public_bytes(leaf) != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise UnusableCertificate("the authority issued a certificate for another key")
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        has = {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}
    except (x509.ExtensionNotFound, ValueError):
        has = set()
    if missing := sorted(set(names) - has):
        raise UnusableCertificate(f"the authority issued a certificate without {', '.join(missing)}")
    issued_at, expires_at = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if issued_at >= expires_at:
        raise UnusableCertificate("the authority issued a certificate that is never valid")
    return Issued(certificate=identifier_of(leaf), issued_at=issued_at, expires_at=expires_at)


def leaf_of(chain: str) -> x509.Certificate:
    """
    Return the first certificate of a chain.

    :raises UnusableCertificate: if the text is too long, or no chain.
    """
    if len(chain) > MAX_CHAIN_BYTES:
        raise UnusableCertificate(f"the authority sent a chain of more than {MAX_CHAIN_BYTES} bytes")
    if chain.count("-----BEGIN") > MAX_CHAIN_CERTIFICATES:
        raise UnusableCertificate(f"the authority sent a chain of more than {MAX_CHAIN_CERTIFICATES} certificates")
    try:
        return x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError as error:
        raise UnusableCertificate(f"the authority sent something that is no certificate: {error}") from error


def identifier_of(certificate: x509.Certificate) -> str:
    """
    Return a certificate's identifier (RFC 9773, 4.1), or an empty text if it has none.

    "base64url encoding of the keyIdentifier field of the certificate's Authority Key Identifier", a period, and that of
    "the DER-encoded Serial Number field (without the tag and length bytes)".
    """
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        issuer = None
    if issuer is None:
        return ""
    serial = certificate.serial_number
    octets = serial.to_bytes(math.ceil((serial.bit_length() + 1) / 8), "big")  # room for the sign bit
    return f"{_base64url(issuer)}.{_base64url(octets)}"


def _public_bytes(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableCertificate(f"the authority issued a certificate whose key is not understood: {error}") from error


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
