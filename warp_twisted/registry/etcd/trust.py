"""
With which certificate etcd is asked over TLS, and which members are believed: files, read now and at each reload.

The connections are made without callbacks into Python: those need memory that can be written and executed, which
units with `MemoryDenyWriteExecute=` have not. OpenSSL itself checks the member's name.

The authority is one of its own (`warp ca registry`): where it is the fleet's, every agent's certificate would open the
registry, so that is refused. A connection that is made after a reload has the new files; older ones keep theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from warp_twisted.ca.errors import BadCaFile
from warp_twisted.ca.issue import fingerprint
from warp_twisted.ca.store import MAX_FILE_BYTES, read_certificates

_openssl: Any = getattr(SSL, "_lib", None)  # pyOpenSSL has no call of its own for the name that is expected
_NEVER_CHECK_SUBJECT = 0x20  # openssl/x509v3.h, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT: names are in subjectAltName


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFiles:
    """
    Paths of PEM files.

    :ivar ca: the authority, or several while it is changed.
    :ivar certificate: of this client, with its chain if there is one.
    :ivar key: its key.
    """

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Loaded:
    authorities: tuple[x509.Certificate, ...]
    own: tuple[x509.Certificate, ...]
    key: PKey


@implementer(IPolicyForHTTPS)
class RegistryTrust:
    """
    Makes the TLS connections to etcd.

    :param fleet_roots: of agents' certificates, which must not be etcd's authority.
    :raises BadCaFile: naming a file, and what is wrong with it.
    """

    def __init__(self, files: TrustFiles, fleet_roots: Sequence[x509.Certificate] = ()) -> None:
        self._fleet_roots = frozenset(fingerprint(each) for each in fleet_roots)
        self._loaded = self._read(files)

    @property
    def expires_at(self) -> float:
        """When the client's certificate ends, in seconds since the epoch."""
        return self._loaded.own[0].not_valid_after_utc.timestamp()

    def read(self, files: TrustFiles) -> None:
        """
        Use what the files hold now for each new connection.

        :raises BadCaFile: naming a file; nothing has changed then.
        """
        self._loaded = self._read(files)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return what makes one connection; the member has to prove its hostname or address."""
        return _Creator(_context(self._loaded), hostname.decode("ascii").strip("[]"))

    def _read(self, files: TrustFiles) -> _Loaded:
        authorities, own = read_certificates(files.ca), read_certificates(files.certificate)
        if any(fingerprint(each) in self._fleet_roots for each in authorities):
            raise BadCaFile(
                f"{files.ca}: this is the fleet's root, below which every agent's certificate would open the registry;"
                " make one of its own, with: warp ca registry init"
            )
        try:
            with files.key.open("rb") as file:
                key = load_pem_private_key(file.read(MAX_FILE_BYTES), password=None)
        except OSError as error:
            raise BadCaFile(f"{files.key}: {error.strerror or error}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadCaFile(f"{files.key}: not a PEM private key: {error}") from error
        if key.public_key() != own[0].public_key():
            raise BadCaFile(f"{files.key} is not the key of {files.certificate}")
        if len(own) == 1 and not any(_is_below(own[0], each) for each in authorities):
            raise BadCaFile(f"{files.certificate} is not signed by the authority in {files.ca}")
        return _Loaded(authorities, own, PKey.from_cryptography_key(key))  # type: ignore[arg-type]  # EC and RSA


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """
    Makes connections whose handshake fails unless chain and name are right.

    Not `optionsForClientTLS`, which has callbacks.
    """

    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make one connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(protocol)
        expected = _openssl.SSL_get0_param(connection._ssl)
        _openssl.X509_VERIFY_PARAM_set_hostflags(expected, _NEVER_CHECK_SUBJECT)
        if isIPAddress(self._name) or isIPv6Address(self._name):
            packed = ip_address(self._name).packed
            is_set = _openssl.X509_VERIFY_PARAM_set1_ip(expected, packed, len(packed))
        else:
            connection.set_tlsext_host_name(self._name.encode("ascii"))
            is_set = _openssl.X509_VERIFY_PARAM_set1_host(expected, self._name.encode("ascii"), len(self._name))
        if is_set != 1:
            raise ValueError(f"OpenSSL takes no {self._name!r} as the name of a member")
        return connection


def _context(loaded: _Loaded) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    store: Any = context.get_cert_store()  # of a context that was just made there is one
    for each in loaded.authorities:
        store.add_cert(X509.from_cryptography(each))
    own, *chain = loaded.own
    context.use_certificate(X509.from_cryptography(own))
    for each in chain:
        context.add_extra_chain_cert(X509.from_cryptography(each))
    context.use_privatekey(loaded.key)
    context.set_verify(SSL.VERIFY_PEER)
    return context


def _is_below(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
