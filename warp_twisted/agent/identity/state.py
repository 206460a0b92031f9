"""
The agent's state directory: its key, its certificates, who it is, and where edges were last seen.

One process at a time uses a directory: it holds an OS lock, which the kernel drops with the process, so a killed agent
stops nobody. Each file is written beside its place and renamed. `agent.json` is written last and removed first, so a
crash in between leaves "not enrolled", never half an identity. Keys stay here: mode 0700 for the directory, 0600 for
the files. A directory that others may write to, and a key that others may read, are refused: who could exchange what
is here would be this agent. No link is followed.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from warp_twisted.agent.errors import NotEnrolled, StateBroken, StateInUse
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import agent_identity, key_to_pem, new_key

MAX_SEEN_EDGES = 64
MAX_FILE_BYTES = 1 << 20
_CHAIN, _KEY, _NEXT_KEY = "chain.pem", "key.pem", "next-key.pem"
_ENROLLED_WITH = "enrolled-with.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """
    Who this agent is.

    :ivar chain_pem: its certificate and the issuers, without the root.
    :ivar hostnames: the patterns that its certificate allows.
    :ivar edges: `host:port` of the edges that the join token named; `seen_edges`: those that edges named since.
    :ivar token_id: of the join token that it enrolled with; empty if that is not known.
    :ivar valid_from: of the certificate, and `valid_until`: seconds since the epoch.
    """

    agent_id: str
    chain_pem: str
    root_pem: str
    hostnames: tuple[str, ...]
    edges: tuple[str, ...]
    seen_edges: tuple[str, ...] = ()
    token_id: str = ""
    valid_from: float
    valid_until: float

    @property
    def renew_at(self) -> float:
        """When half of the certificate's life is over."""
        return (self.valid_from + self.valid_until) / 2


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    agent_id: str
    edges: list[str]
    seen_edges: list[str] = []


class _EnrolledWith(msgspec.Struct, frozen=True, kw_only=True):
    """In a file of its own, as the first release reads no agent.json with a field that it does not know."""

    agent_id: str
    token_id: str


def identity_of(chain_pem: str, root_pem: str, edges: Sequence[str], public_key: ec.EllipticCurvePublicKey) -> Identity:
    """
    Read a certificate that was issued to us.

    :raises BadCertificate: if it is not an agent's, or not for our key.
    """
    try:
        certificate = x509.load_pem_x509_certificates(chain_pem.encode())[0]
        is_ours = certificate.public_key() == public_key
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"the certificate cannot be read: {error}") from error
    if not is_ours:
        raise BadCertificate("the certificate is not for this agent's key")
    found = agent_identity(certificate)
    return Identity(
        agent_id=found.id,
        chain_pem=chain_pem,
        root_pem=root_pem,
        hostnames=tuple(pattern.text for pattern in found.patterns),
        edges=tuple(edges),
        valid_from=certificate.not_valid_before_utc.timestamp(),
        valid_until=found.expires_at,
    )


def read_identity(path: Path) -> Identity:
    """
    Read who the agent of a state directory is, without taking the directory into use.

    :raises NotEnrolled: if it has not enrolled yet.
    :raises StateBroken: if what is there cannot be used.
    """
    try:
        record = msgspec.json.decode(_read(path / "agent.json"), type=_Record)
        root_pem = _read(path / "root.pem").decode("ascii")
        chain_pem = _read(path / _CHAIN).decode("ascii")
        identity = identity_of(chain_pem, root_pem, record.edges, _read_key(path / _KEY).public_key())
        return replace(identity, seen_edges=tuple(record.seen_edges), token_id=_token_of(path, record.agent_id))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotEnrolled(f"{path} holds no identity") from error
    except OSError as error:
        raise StateBroken(f"state directory {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, TypeError, BadCertificate) as error:
        raise StateBroken(f"{path} is damaged ({error}); remove it and enroll again") from error


def with_edges(identity: Identity, edges: Sequence[str]) -> Identity:
    """Return an identity that knows where edges are now, up to a number."""
    return replace(identity, seen_edges=tuple(edges[:MAX_SEEN_EDGES]))


class StateDirectory:
    """
    A state directory, made when it is missing.

    :param path: the directory.
    :raises StateInUse: if another process uses it.
    :raises StateBroken: if it cannot be made or entered, or others can write to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_directory(path)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateBroken(f"state directory {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StateInUse(f"state directory {path} is used by another agent; give this one its own") from error

    @property
    def chain_file(self) -> Path:
        """The certificate and its issuers, leaf first."""
        return self.path / _CHAIN

    @property
    def key_file(self) -> Path:
        """The private key."""
        return self.path / _KEY

    def close(self) -> None:
        """Let another process use the directory."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def load(self) -> Identity:
        """
        Read who this agent is; see `read_identity`.

        :raises NotEnrolled: if it has not enrolled yet.
        :raises StateBroken: if what is there cannot be used.
        """
        return read_identity(self.path)

    def read_roots(self) -> str:
        """
        Read which roots to trust now: an operator who changes the CA's root writes `root.pem`.

        :raises StateBroken: if it cannot be read, or holds no certificate.
        """
        path = self.path / "root.pem"
        try:
            root_pem = _read(path).decode("ascii")
            x509.load_pem_x509_certificates(root_pem.encode("ascii"))
        except OSError as error:
            raise StateBroken(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise StateBroken(f"{path} holds no certificate: {error}") from error
        return root_pem

    def store(self, key: ec.EllipticCurvePrivateKey, identity: Identity) -> None:
        """
        Keep a new identity in place of any earlier one.

        :raises StateBroken: if the directory cannot be written.
        """
        try:
            (self.path / "agent.json").unlink(missing_ok=True)
            self._write(self.key_file, key_to_pem(key))
            self._write(self.path / "root.pem", identity.root_pem.encode("ascii"))
            self._write(self.chain_file, identity.chain_pem.encode("ascii"))
            enrolled_with = _EnrolledWith(agent_id=identity.agent_id, token_id=identity.token_id)
            self._write(self.path / _ENROLLED_WITH, msgspec.json.encode(enrolled_with))
            self._write_record(identity)
            (self.path / _NEXT_KEY).unlink(missing_ok=True)
        except OSError as error:
            raise StateBroken(f"state directory {self.path}: {error.strerror}") from error

    def enrollment_key(self) -> ec.EllipticCurvePrivateKey:
        """
        Return the key to enroll with, which is on the disk before an edge hears of it.

        It is the same until an identity was stored: an edge lets a key in once for each use of a token, so an answer
        that was lost, or could not be stored, is asked for again.

        :raises StateBroken: if the directory cannot be written.
        """
        path = self.path / _NEXT_KEY
        try:
            return _read_key(path)
        except (OSError, ValueError, TypeError):
            key = new_key()
        try:
            self._write(path, key_to_pem(key))
        except OSError as error:
            raise StateBroken(f"state directory {self.path}: {error.strerror}") from error
        return key

    def discard_enrollment_key(self) -> None:
        """Enroll with another key: this one's agent was revoked."""
        (self.path / _NEXT_KEY).unlink(missing_ok=True)

    def renew(self, identity: Identity, chain_pem: str) -> Identity:
        """
        Keep a new certificate for the same key.

        :raises BadCertificate: if it is not for our key, or not for us.
        :raises StateBroken: if the directory cannot be written.
        """
        renewed = identity_of(chain_pem, identity.root_pem, identity.edges, _read_key(self.key_file).public_key())
        renewed = replace(renewed, seen_edges=identity.seen_edges, token_id=identity.token_id)
        if renewed.agent_id != identity.agent_id:
            raise BadCertificate(f"the certificate is for agent {renewed.agent_id}, not {identity.agent_id}")
        try:
            self._write(self.chain_file, chain_pem.encode("ascii"))
        except OSError as error:
            raise StateBroken(f"state directory {self.path}: {error.strerror}") from error
        return renewed

    def store_edges(self, identity: Identity) -> None:
        """
        Keep where an identity has seen edges, for the next start.

        :raises StateBroken: if the directory cannot be written.
        """
        try:
            self._write_record(identity)
        except OSError as error:
            raise StateBroken(f"state directory {self.path}: {error.strerror}") from error

    def request_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key, to sign a certificate request."""
        return _read_key(self.key_file)

    def _write_record(self, identity: Identity) -> None:
        record = _Record(
            version=1,
            agent_id=identity.agent_id,
            edges=list(identity.edges),
            seen_edges=list(identity.seen_edges),
        )
        self._write(self.path / "agent.json", msgspec.json.encode(record))

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)  # of a crash
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _check_directory(path: Path) -> None:
    """Refuse a directory that somebody else may have put something into; raises `StateBroken`."""
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        raise StateBroken(
            f"state directory {path} belongs to user {status.st_uid}, and this agent runs as user {os.geteuid()}; "
            "give it to this one with chown -R, or set state to another"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateBroken(
            f"state directory {path} may be written to by others (mode {stat.S_IMODE(status.st_mode):04o}); "
            f"if nobody has: chmod 0700 {path}"
        )


def _read(path: Path) -> bytes:
    """Read a file of the directory, which is no link; raises `OSError` or `StateBroken`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StateBroken(f"{path} is a link, which is not followed; put the file itself there") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def _token_of(path: Path, agent_id: str) -> str:
    """Return which join token an agent enrolled with; empty if it enrolled again with a release that does not say."""
    try:
        found = msgspec.json.decode(_read(path / _ENROLLED_WITH), type=_EnrolledWith)
    except FileNotFoundError:
        return ""
    return found.token_id if found.agent_id == agent_id else ""


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    mode = stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StateBroken(f"{path} may be read by others (mode {mode:04o}); if nobody has: chmod 0600 {path}")
    key = load_pem_private_key(_read(path), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} holds no ECDSA key")
    return key
