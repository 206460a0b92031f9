"""A throw-away CA for tests: a root, an intermediate, and leaves with whatever is to be wrong about them."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """Files of one certificate with its issuers, and its key."""

    chain_file: Path
    key_file: Path


class Authority:
    """
    A root and an intermediate that issues leaves.

    :param directory: where the leaves' files go.
    """

    def __init__(self, directory: Path, name: str = "test root") -> None:
        self._directory = directory
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate(name, self._root_key, name, self._root_key, path_length=1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._intermediate = _certificate(f"{name} edge1", self._key, name, self._root_key, path_length=0)
        self._name = f"{name} edge1"
        self.root_pem = _pem(self.root).decode()
        self.fingerprint = self.root.fingerprint(hashes.SHA256()).hex()

    def leaf(
        self, name: str, *, is_server: bool = False, has_expired: bool = False, address: str | None = None
    ) -> Leaf:
        """Issue a certificate for a name, and optionally an IP address, and write its files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(
            name, key, self._name, self._key, is_server=is_server, has_expired=has_expired, address=address
        )
        chain_file = self._directory / f"{name}-{id(certificate)}.pem"
        key_file = chain_file.with_suffix(".key")
        chain_file.write_bytes(_pem(certificate) + _pem(self._intermediate))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Leaf(chain_file=chain_file, key_file=key_file)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: Key,
    *,
    path_length: int | None = None,
    is_server: bool = False,
    has_expired: bool = False,
    address: str | None = None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * HOUR)
        .not_valid_after(now + (-HOUR if has_expired else HOUR))
        .add_extension(x509.BasicConstraints(ca=path_length is not None, path_length=path_length), critical=True)
    )
    if path_length is None:
        names: list[x509.GeneralName] = [x509.DNSName(subject)]
        if address is not None:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        usage = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
