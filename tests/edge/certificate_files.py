"""Self-signed certificates in files, for tests of what visitors are shown."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.self_signed import self_signed


def write_certificate(
    directory: Path, name: str, hostnames: list[str], *, address: str | None = None, joined: bool = False
) -> bytes:
    """
    Write NAME.pem and NAME.key.

    :param joined: put the key into NAME.pem instead.
    :returns: the certificate in DER, as a visitor sees it.
    """
    names = hostnames if address is None else [*hostnames, address]
    certificate, pem, key_pem = self_signed(name, names)
    if joined:
        (directory / f"{name}.pem").write_bytes(key_pem + pem)
    else:
        (directory / f"{name}.pem").write_bytes(pem)
        (directory / f"{name}.key").write_bytes(key_pem)
    return certificate.public_bytes(serialization.Encoding.DER)
