"""
The certificate authority's files: written whole or not at all, keys readable by their owner only.

    DIRECTORY/root.pem   root.key      the root; its key belongs on a machine that is not on the network
    DIRECTORY/edge1.pem  edge1.key     the intermediate of the edge node `edge1`

Nothing here makes up names or lifetimes (`ca.issue` does); the time is handed in.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from warp_twisted.ca.errors import AlreadyExists, BadCaFile
from warp_twisted.ca.issue import (
    Issuer,
    fingerprint,
    issue_intermediate,
    issue_root,
    key_to_pem,
    new_key,
    read_request,
    to_pem,
)

ROOT = "root"
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EdgeAuthority:
    """
    What an edge node issues with, and the roots that agents may trust.

    :param roots: one, or two while the root is changed; the first is the one above this edge's intermediate.
    """

    issuer: Issuer
    roots: tuple[x509.Certificate, ...]

    @property
    def root_fingerprint(self) -> bytes:
        """The SHA-256 that join tokens made here carry."""
        return fingerprint(self.roots[0])

    @property
    def roots_pem(self) -> str:
        """All roots, as agents keep them."""
        return to_pem(*self.roots)


def init_root(directory: Path, name: str, now: datetime) -> x509.Certificate:
    """
    Make a root in a directory.

    :param name: for people, such as the zone.
    :raises AlreadyExists: if there is a root; it is never overwritten, since every certificate hangs on it.
    """
    make_directory(directory)
    key = new_key()
    certificate = issue_root(key, name, now)
    write_pair(directory, ROOT, certificate, key)
    return certificate


def add_edge(directory: Path, edge: str, now: datetime, permitted: Sequence[str] = ()) -> x509.Certificate:
    """
    Make the key and certificate of an edge's intermediate beside the root.

    :param permitted: names under which the edge may issue; empty allows every name.
    :raises AlreadyExists: if the edge has one; remove the two files to renew it.
    """
    root = load_root(directory)
    key = new_key()
    certificate = issue_intermediate(root, key.public_key(), edge, now, permitted)
    write_pair(directory, edge, certificate, key)
    return certificate


def sign_edge(
    directory: Path, edge: str, request_pem: str, now: datetime, permitted: Sequence[str] = ()
) -> x509.Certificate:
    """
    Sign the request of an edge that made its key itself, so that the key never travels.

    :raises BadRequest: if the request is not acceptable.
    """
    return issue_intermediate(load_root(directory), read_request(request_pem), edge, now, permitted)


def load_root(directory: Path) -> Issuer:
    """
    Read the root with its key.

    :raises BadCaFile: if a file is missing, unreadable, or the two do not belong together.
    """
    if not (directory / f"{ROOT}.pem").exists():
        raise BadCaFile(f"{directory / ROOT}.pem does not exist; make a root first, with: warp ca init {directory}")
    certificates = read_certificates(directory / f"{ROOT}.pem")
    key = read_key(directory / f"{ROOT}.key")
    if certificates[0].public_key() != key.public_key():
        raise BadCaFile(f"{directory / ROOT}.key is not the key of {directory / ROOT}.pem")
    return Issuer(certificates[0], key)


def load_edge(root: Path, certificate: Path, key: Path) -> EdgeAuthority:
    """
    Read what an edge issues with, and check that it fits together.

    :param root: one root, or several while the root is changed.
    :raises BadCaFile: naming the file and what is wrong with it.
    """
    roots = read_certificates(root)
    own = read_certificates(certificate)[0]
    private = read_key(key)
    if own.public_key() != private.public_key():
        raise BadCaFile(f"{key} is not the key of {certificate}")
    try:
        constraints = own.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.ca:
        raise BadCaFile(f"{certificate} may not issue certificates")
    above = [each for each in roots if _is_signed_by(own, each)]
    if not above:
        raise BadCaFile(f"{certificate} is not signed by the root in {root}")
    others = [each for each in roots if each is not above[0]]
    return EdgeAuthority(Issuer(own, private, (own,)), (above[0], *others))


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """
    Read one or more PEM certificates.

    :raises BadCaFile: if there are none, or the file cannot be read.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCaFile(f"{path}: not a PEM certificate, or a damaged one") from error


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """
    Read a private key.

    :raises BadCaFile: if it is not an ECDSA P-256 key, or the file cannot be read.
    """
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCaFile(f"{path}: not a PEM private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadCaFile(f"{path}: an ECDSA P-256 key is expected")
    return key


def write_file(path: Path, content: bytes, mode: int, *, overwrite: bool) -> None:
    """
    Write a file whole: beside its place first, on the disk, then in its place in one step.

    :raises AlreadyExists: if it is there and `overwrite` is false.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(beside, path)
        else:
            os.link(beside, path)  # fails if the name is taken, where a rename would replace
            os.unlink(beside)
    except FileExistsError as error:
        os.unlink(beside)
        raise AlreadyExists(f"{path} exists and is not overwritten; move it away, or use another directory") from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_pair(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """
    Write a key and its certificate beside each other.

    :raises AlreadyExists: if one of the two is there.
    """
    for path in (directory / f"{name}.pem", directory / f"{name}.key"):
        if path.exists():
            raise AlreadyExists(f"{path} exists and is not overwritten; move it away, or use another directory")
    write_file(directory / f"{name}.key", key_to_pem(key), 0o600, overwrite=False)
    write_file(directory / f"{name}.pem", to_pem(certificate).encode(), 0o644, overwrite=False)


def make_directory(directory: Path) -> None:
    """
    Make a directory that is its owner's alone, unless it is there.

    :raises BadCaFile: if it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadCaFile(f"{directory}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise BadCaFile(f"{path}: {error.strerror or error}") from error


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
