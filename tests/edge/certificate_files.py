"""Self-signed certificates in files, for tests of what visitors are shown."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_certificate(
    directory: Path, name: str, hostnames: list[str], *, address: str | None = None, joined: bool = False
) -> bytes:
    """
    Write NAME.pem and NAME.key.

    :param joined: put the key into NAME.pem instead.
    :returns: the certificate in DER, as a visitor sees it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(hostname) for hostname in hostnames]
    if address is not None:
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if joined:
        (directory / f"{name}.pem").write_bytes(key_pem + pem)
    else:
        (directory / f"{name}.pem").write_bytes(pem)
        (directory / f"{name}.key").write_bytes(key_pem)
    return certificate.public_bytes(serialization.Encoding.DER)
