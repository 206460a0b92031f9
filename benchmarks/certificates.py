"""Certificates (ECDSA P-256): one that visitors are shown, the same by every peer, and one that a visitor shows."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# The file name of the certificate that Warp's edge shows whatever name a visitor asks for: wrk asks for 127.0.0.1.
_NAME = "default"


def write_certificate(directory: Path, hostnames: list[str]) -> Path:
    """
    Make a key and a certificate for some hostnames and for 127.0.0.1.

    :returns: the PEM file with key and certificate, for HAProxy; beside it, with the suffixes .pem and .key, lie the
        two for Warp.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hostnames[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [*map(x509.DNSName, hostnames), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate_text = certificate.public_bytes(serialization.Encoding.PEM)
    key_text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{_NAME}.pem").write_bytes(certificate_text)
    for path, text in ((f"{_NAME}.key", key_text), (f"{_NAME}.both", key_text + certificate_text)):
        (directory / path).touch(mode=0o600)
        (directory / path).write_bytes(text)
    return directory / f"{_NAME}.both"


def visitor_certificate() -> tuple[bytes, bytes]:
    """Make an authority and a certificate of it; return the one in PEM and the other in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def sign(subject: str, *, is_authority: bool) -> x509.Certificate:
        issuer, name = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("CA", subject))
        begins, ends = now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number(), begins, ends)
        constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
        return builder.add_extension(constraints, critical=True).sign(key, hashes.SHA256())

    authority, leaf = sign("CA", is_authority=True), sign("ann", is_authority=False)
    return authority.public_bytes(serialization.Encoding.PEM), leaf.public_bytes(serialization.Encoding.DER)
