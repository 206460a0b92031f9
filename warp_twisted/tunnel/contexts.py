"""
What each side shows and trusts: TLS 1.3 only, our CA only, and which ALPN protocols.

The CA's certificates come as PEM text; chain and key as files, because OpenSSL reads them itself.
"""

import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from warp_twisted.errors import InvalidSettings
from warp_twisted.tunnel.errors import PeerNotTrusted
from warp_twisted.tunnel.groups import restrict_groups

TUNNEL_PROTOCOL = "warp/1"
ENROLL_PROTOCOL = "warp-enroll/1"
PEER_PROTOCOL = "warp-peer/1"  # between edges


def edge_context(*, root_pem: str, chain_file: Path, key_file: Path) -> ssl.SSLContext:
    """
    Return the context of an edge's tunnel listener: all protocols, a client certificate asked for and verified.

    A client without a certificate passes the handshake, because enrollment needs that; `TunnelListener` refuses it
    the others.

    :param root_pem: the CA's root.
    :param chain_file: the edge's certificate and its issuers, PEM, leaf first.
    :raises InvalidSettings: if a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, root_pem, (TUNNEL_PROTOCOL, ENROLL_PROTOCOL, PEER_PROTOCOL))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # nobody resumes a tunnel; a ticket costs memory and a write for each
    _load_chain(context, chain_file, key_file)
    return context


def agent_context(*, root_pem: str, chain_file: Path, key_file: Path) -> ssl.SSLContext:
    """
    Return the context with which an agent dials a tunnel.

    :raises InvalidSettings: if a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, root_pem, (TUNNEL_PROTOCOL,))
    _load_chain(context, chain_file, key_file)
    return context


def peer_context(*, root_pem: str, chain_file: Path, key_file: Path) -> ssl.SSLContext:
    """
    Return the context with which an edge dials another.

    :raises InvalidSettings: if a file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, root_pem, (PEER_PROTOCOL,))
    _load_chain(context, chain_file, key_file)
    return context


def enrollment_context(*, root_pem: str) -> ssl.SSLContext:
    """Return the context with which a new agent, that has no certificate yet, dials to enroll."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, root_pem, (ENROLL_PROTOCOL,))


def unverified_context() -> ssl.SSLContext:
    """Return the context for asking an edge for its root, which is then compared with a pinned fingerprint."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, "", (ENROLL_PROTOCOL,))
    context.verify_mode = ssl.CERT_NONE
    return context


def verify_name(certificate: x509.Certificate | None, name: str) -> None:
    """
    Check that a certificate is for a name (RFC 9525).

    :param name: the hostname or IP address that was dialed.
    :raises PeerNotTrusted: if it is not.
    """
    if certificate is None:
        raise PeerNotTrusted(f"{name} showed no certificate")
    try:
        if _is_address(name):
            verify_certificate_ip_address(certificate, name)
        else:
            verify_certificate_hostname(certificate, name)
    except (VerificationError, CertificateError) as error:
        raise PeerNotTrusted(f"the certificate of {name} is for another name: {error}") from error


def server_name(name: str) -> str | None:
    """Return what a client sends as SNI: the name, or None for an IP address (RFC 6066 §3)."""
    return None if _is_address(name) else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _context(protocol: int, root_pem: str, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.check_hostname = False  # service-identity does, in `verify_name`
    context.set_alpn_protocols(list(alpn))
    restrict_groups(context)
    if root_pem:
        try:
            context.load_verify_locations(cadata=root_pem)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidSettings(f"the CA's root certificate cannot be read: {error}") from error
    return context


def _load_chain(context: ssl.SSLContext, chain_file: Path, key_file: Path) -> None:
    try:
        context.load_cert_chain(chain_file, key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"certificate {chain_file} with key {key_file} cannot be used: {error}") from error


def _no_password() -> str:
    raise InvalidSettings("the key is encrypted; a service cannot ask for its password")
