"""
The files of a registry's authority: where they are, and which of them are due to be renewed.

    DIRECTORY/registry-root.pem          registry-root.key           the root; its key belongs offline
    DIRECTORY/registry-server-NAME.pem   registry-server-NAME.key    the member NAME, to its clients
    DIRECTORY/registry-peer-NAME.pem     registry-peer-NAME.key      the member NAME, to other members
    DIRECTORY/registry-client-NAME.pem   registry-client-NAME.key    the edge NAME

What the certificates say is `ca.registry_certificates`'; how files are written is `ca.store`'s. The names differ from
those of a fleet's authority, so that both may be in one directory and neither is taken for the other.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from warp_twisted.ca.errors import BadCaFile, BadRequest
from warp_twisted.ca.issue import Issuer, new_key, read_request, to_pem
from warp_twisted.ca.registry_certificates import (
    RENEWED_BEFORE_END,
    Use,
    is_registry_root,
    issue_registry_certificate,
    issue_registry_root,
    renew_registry_certificate,
)
from warp_twisted.ca.store import make_directory, read_certificates, read_key, write_file, write_pair

REGISTRY_ROOT = "registry-root"


def init_registry(directory: Path, name: str, now: datetime) -> x509.Certificate:
    """
    Make a registry's root.

    :raises AlreadyExists: if there is one.
    """
    make_directory(directory)
    key = new_key()
    certificate = issue_registry_root(key, name, now)
    write_pair(directory, REGISTRY_ROOT, certificate, key)
    return certificate


def load_registry_root(directory: Path) -> Issuer:
    """
    Read a registry's root with its key.

    :raises BadCaFile: if a file is missing, unreadable or something else.
    """
    path = directory / f"{REGISTRY_ROOT}.pem"
    if not path.exists():
        raise BadCaFile(f"{path} does not exist; make it first, with: warp ca registry init {directory}")
    certificate, key = read_certificates(path)[0], read_key(directory / f"{REGISTRY_ROOT}.key")
    if not is_registry_root(certificate):
        raise BadCaFile(
            f"{path} is not the root of a registry; below the fleet's root every agent's certificate would open it"
        )
    if certificate.public_key() != key.public_key():
        raise BadCaFile(f"{directory / REGISTRY_ROOT}.key is not the key of {path}")
    return Issuer(certificate, key)


def add_certificate(
    directory: Path, use: Use, name: str, addresses: Sequence[str], now: datetime
) -> tuple[Path, x509.Certificate]:
    """
    Make a key and its certificate beside the root.

    :returns: the certificate's path, and the certificate.
    :raises AlreadyExists: if there are such files; `renew` gives them a new life.
    """
    key = new_key()
    certificate = issue_registry_certificate(load_registry_root(directory), key.public_key(), use, name, addresses, now)
    write_pair(directory, f"{use.value}-{name}", certificate, key)
    return directory / f"{use.value}-{name}.pem", certificate


def sign_certificate(
    directory: Path, use: Use, name: str, addresses: Sequence[str], request_pem: str, now: datetime
) -> x509.Certificate:
    """
    Sign the request of a host that made its key itself, so that the key never travels.

    :raises BadRequest: if the request is not acceptable.
    """
    return issue_registry_certificate(
        load_registry_root(directory), read_request(request_pem), use, name, addresses, now
    )


def renew(directory: Path, now: datetime) -> Iterator[tuple[Path, x509.Certificate, bool]]:
    """
    Give each certificate that ends soon (`RENEWED_BEFORE_END`) a new life; its key and names stay.

    :yields: each path, its certificate as it is now, and whether that is new.
    :raises BadCaFile: naming a file that cannot be read or is not of this registry.
    """
    root = load_registry_root(directory)
    prefixes = tuple(f"{use.value}-" for use in Use)
    for path in sorted(directory.glob("registry-*.pem")):
        if not path.name.startswith(prefixes):
            continue
        certificate = read_certificates(path)[0]
        is_due = certificate.not_valid_after_utc - now < RENEWED_BEFORE_END
        if is_due:
            try:
                certificate = renew_registry_certificate(root, certificate, now)
            except BadRequest as error:
                raise BadCaFile(f"{path}: {error}") from error
            write_file(path, to_pem(certificate).encode(), 0o644, overwrite=True)
        yield path, certificate, is_due
