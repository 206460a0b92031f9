"""
TLS towards origins: whom to trust, which name to ask for, and why a handshake failed.

An origin is verified by default, as a browser would: chain to the platform's trust store (or `ca`), name by
service-identity. OpenSSL only says "certificate verify failed"; a visitor's 502 is of no use without the
reason, so the verification callback notes it.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from ssl import get_default_verify_paths
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.errors import InvalidName, InvalidSettings, WarpError
from warp_twisted.names import parse_hostname

# openssl/x509_vfy.h; the rest is rare enough for a number
_REASONS = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate's chain ends in a root that is not trusted",
    20: "the certificate is not signed by a trusted authority",
    21: "the certificate is not signed by a trusted authority",
    23: "the certificate is revoked",
    24: "a certificate of the chain is not an authority",
    26: "the certificate is not meant for servers",
    66: "the certificate's key is too weak",
    67: "an authority's key is too weak",
    68: "the certificate's digest is too weak",
}
GROUPS = b"X25519:P-256:P-384:P-521"
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!MD5"  # Twisted's, without finite fields
MAX_CONTEXTS = 64  # with authorities of their own
PLATFORM_BUNDLES = (  # where pyOpenSSL looks when its own OpenSSL has no default
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/certs",
)
ADVICE = "set originRequest.ca, server_name or no_tls_verify"

_log = Logger()


class Client(tuple[bytes, bytes]):
    """A certificate with its chain and its key, in PEM; not shown, since a key is a secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Client(****)"


class UnusableFile(InvalidSettings):
    """The file of an origin's certificate authorities, or of the client's certificate for it, cannot be used."""


class OriginNotVerified(WarpError):
    """The origin's certificate is not one that the agent may trust."""


def origin_tls(host: str, request: OriginRequest) -> IOpenSSLClientConnectionCreator:
    """
    Return the maker of TLS connections to one origin.

    :param host: the name or address that is dialed; `request.server_name` replaces it towards TLS.
    :raises InvalidSettings: if `request.ca` or the client's certificate cannot be read, or `request.server_name` is no
        name.
    """
    name = host
    if request.server_name is not None:
        name = _server_name(request.server_name)
    client = read_client(request)
    if request.no_tls_verify:
        return _Unverified(_unverified_context(client), name)
    if request.ca is None:
        return _Verified(_platform_context(_platform_signature(), client), name)
    return _Verified(_context_of(tuple(authority.dumpPEM() for authority in read_ca(request.ca)), client), name)


# Reading the platform's authorities takes some 10 ms: a reload with a hundred origins would hold up the agent for a
# second. So origins that trust the same share a context, as long as the same is trusted.


@lru_cache(maxsize=MAX_CONTEXTS)
def _unverified_context(client: Client | None) -> SSL.Context:
    return _made(CertificateOptions(**_shown(client)))


@lru_cache(maxsize=MAX_CONTEXTS)
def _platform_context(signature: tuple[object, ...], client: Client | None) -> SSL.Context:
    return _made(CertificateOptions(trustRoot=platformTrust(), **_shown(client)))


@lru_cache(maxsize=MAX_CONTEXTS)
def _context_of(pems: tuple[bytes, ...], client: Client | None) -> SSL.Context:
    trust = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in pems])
    return _made(CertificateOptions(trustRoot=trust, **_shown(client)))


def _shown(client: Client | None) -> dict[str, Any]:
    """Return what `CertificateOptions` takes of the client's certificate."""
    if client is None:
        return {}
    certificate, *chain = [crypto.X509.from_cryptography(each) for each in x509.load_pem_x509_certificates(client[0])]
    key = crypto.load_privatekey(crypto.FILETYPE_PEM, client[1])
    return {"privateKey": key, "certificate": certificate, "extraCertChain": chain}


def _made(options: CertificateOptions) -> SSL.Context:
    context: SSL.Context = options.getContext()
    _restrict_key_exchange(context)
    # Many small servers close without the close alert (Python's http.server for one). Whether a response is
    # complete is judged by its HTTP framing, at the edge.
    context.set_options(SSL.OP_IGNORE_UNEXPECTED_EOF)
    return context


def _restrict_key_exchange(context: SSL.Context) -> None:
    """
    Offer key exchanges of bounded cost only: over finite fields, an origin's choice could buy 128 ms of our one thread.

    pyOpenSSL has no call for a list of groups of its own; where it does not let its library's be reached, P-256 alone
    is offered, which every server of TLS 1.3 has (RFC 8446 §9.1).
    """
    context.set_cipher_list(CIPHERS)
    set_groups: Callable[[object, bytes], int] | None = getattr(
        getattr(SSL, "_lib", None), "SSL_CTX_set1_curves_list", None
    )
    if set_groups is None or set_groups(context._context, GROUPS) != 1:
        context.set_tmp_ecdh(crypto.get_elliptic_curve("prime256v1"))


def _platform_signature() -> tuple[object, ...]:
    """Return what changes when the platform's authorities do."""
    paths = get_default_verify_paths()
    found: list[object] = []
    for path in (paths.cafile, paths.capath, *PLATFORM_BUNDLES):
        if path is None:
            continue
        try:
            status = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((path, status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _server_name(text: str) -> str:
    if isIPAddress(text) or isIPv6Address(text):
        return text
    try:
        return parse_hostname(text)
    except InvalidName as error:
        raise InvalidSettings(f"originRequest.server_name: {error}") from error


def read_ca(path: str) -> list[Certificate]:
    """
    Read the authorities that an origin's certificate may descend from; a damaged one among others is left out.

    :raises UnusableFile: if the file cannot be read, or holds none.
    """
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        raise UnusableFile(f"originRequest.ca: {path} cannot be read: {error.strerror}") from error
    begin = b"-----BEGIN CERTIFICATE-----"
    parts = pem.split(begin)[1:]
    found = [authority for part in parts if (authority := _authority(begin + part)) is not None]
    if parts and not found:
        raise UnusableFile(f"originRequest.ca: {path} holds a broken certificate, and no other")
    if len(found) < len(parts):
        _log.warn("{count} certificates in {path} are damaged and left out", count=len(parts) - len(found), path=path)
    if not found:
        raise UnusableFile(f"originRequest.ca: {path} holds no certificate in PEM form")
    return found


def read_client(request: OriginRequest) -> Client | None:
    """
    Read the certificate, with its chain, and the key by which the agent says who it is to an origin.

    :returns: both in PEM, or None if there are none.
    :raises UnusableFile: if one cannot be read or used, or they do not belong together.
    """
    if request.client_certificate is None:
        if request.client_key is not None:
            raise InvalidSettings("originRequest.client_key: there is no client_certificate that it belongs to")
        return None
    certificate = _read("client_certificate", request.client_certificate)
    key = certificate if request.client_key is None else _read("client_key", request.client_key)
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError as error:
        raise UnusableFile(
            f"originRequest.client_certificate: {request.client_certificate} holds no certificate in PEM form"
        ) from error
    name, path = ("client_certificate", request.client_certificate)
    if request.client_key is not None:
        name, path = "client_key", request.client_key
    try:
        public = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableFile(f"originRequest.{name}: {path} holds no key without a password in PEM form") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise UnusableFile(f"originRequest.{name}: the key in {path} is not the certificate's")
    return Client((certificate, key))


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnusableFile(f"originRequest.{name}: {path} cannot be read: {error.strerror}") from error


def _authority(pem: bytes) -> Certificate | None:
    try:
        return Certificate.loadPEM(pem)
    except crypto.Error:
        return None


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Makes connections that accept any certificate; the name is still asked for."""

    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name
        self._is_address = isIPAddress(name) or isIPv6Address(name)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make one connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(protocol)
        if not self._is_address:  # RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted"
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection


@implementer(IOpenSSLClientConnectionCreator)
class _Verified(_Unverified):
    """
    Makes connections whose handshake fails unless chain and name are right.

    Not `optionsForClientTLS`: it keeps the reason to itself, and its callback lets a certificate without any
    subjectAltName pass (`CertificateError` is no `VerificationError`; Twisted 26.10, tested in `test_tls`).
    """

    def __init__(self, context: SSL.Context, name: str) -> None:
        super().__init__(context, name)
        self._expected = IPAddress_ID(name) if self._is_address else DNS_ID(name)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make one connection."""
        connection = super().clientConnectionForTLS(protocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._certificate_checked)
        return connection

    def _certificate_checked(
        self, connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, is_trusted: int
    ) -> bool:
        # An exception that leaves an OpenSSL callback is lost, so everything becomes a reason.
        try:
            reason = self._why_refused(certificate, number, depth, is_trusted)
        except Exception as error:
            reason = f"the certificate cannot be understood: {error}"
        if reason:
            connection.get_app_data().failVerification(Failure(OriginNotVerified(f"{reason}; {ADVICE}")))
        return not reason

    def _why_refused(self, certificate: crypto.X509, number: int, depth: int, is_trusted: int) -> str:
        if not is_trusted:
            return _REASONS.get(number, f"OpenSSL refuses its chain with code {number}")
        if depth == 0:
            try:
                verify_service_identity(extract_patterns(certificate.to_cryptography()), [self._expected], [])
            except (VerificationError, CertificateError):
                return f"the certificate is not for {self._name}"
        return ""
