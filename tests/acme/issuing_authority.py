"""A small authority of a fake ACME directory: a root, and leaves for requests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding


class IssuingAuthority:
    """
    Signs what it is asked to.

    :ivar root_pem: its own certificate.
    :ivar life: of the certificates that it issues.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.life = timedelta(days=90)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake directory")])
        now = datetime.now(UTC)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, SHA256())
        )
        self.root_pem = self._certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, request: x509.CertificateSigningRequest) -> str:
        """Return a chain for a request: the leaf with the names that it asks for, and the root; PEM."""
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        now = datetime.now(UTC)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(seconds=60))
            .not_valid_after(now - timedelta(seconds=60) + self.life)
            .add_extension(names, critical=True)
            .add_extension(issuer, critical=False)
            .sign(self._key, SHA256())
        )
        return leaf.public_bytes(Encoding.PEM).decode() + self.root_pem
