"""Authorities of visitors' certificates, and the certificates, with keys, for tests."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key() -> Key:
    """Make the key that is made fastest."""
    return ec.generate_private_key(ec.SECP256R1())


class Credential:
    """
    A certificate with its key, and what is sent with it.

    :ivar path: a file with all of it, in PEM.
    """

    def __init__(self, directory: Path, certificate: x509.Certificate, key: Key, sent: Sequence[x509.Certificate]):
        self.certificate = certificate
        self.der = certificate.public_bytes(Encoding.DER)
        self.path = directory / f"{certificate.serial_number:x}.pem"
        self.path.write_bytes(
            b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *sent))
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    def give(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Let a visitor show it."""
        context.load_cert_chain(self.path)
        return context


class ClientAuthority:
    """
    An authority.

    :param name: its subject, also of another one with the same name.
    :param parent: who signed it; None: it did.
    """

    def __init__(self, directory: Path, name: str = "Owner's CA", parent: "ClientAuthority | None" = None) -> None:
        self._directory = directory
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.parent = parent
        signer = parent or self
        self.certificate = self._sign(
            self.name, self.key, signer, [x509.BasicConstraints(ca=True, path_length=None)], timedelta(days=10)
        )
        self.der = self.certificate.public_bytes(Encoding.DER)
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        subject: str = "ann",
        *extensions: x509.ExtensionType,
        key: Key | None = None,
        ends: timedelta = timedelta(hours=1),
        sent: Sequence[x509.Certificate] = (),
    ) -> Credential:
        """
        Make a certificate for a visitor.

        :param ends: from now.
        :param sent: certificates that the visitor sends with it.
        """
        key = key or new_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        return Credential(self._directory, self._sign(name, key, self, extensions, ends), key, sent)

    @staticmethod
    def _sign(
        subject: x509.Name,
        key: Key,
        signer: "ClientAuthority",
        extensions: Sequence[x509.ExtensionType],
        ends: timedelta,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + ends)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer.key, SHA256())
