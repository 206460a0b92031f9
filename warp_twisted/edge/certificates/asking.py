"""
Asking visitors for certificates: the authorities that one policy believes, and what is asked for in a handshake.

A visitor is told the names of its hostname's authorities, and may have a certificate of none of them. One that it shows
must be of an authority of the policy, or the handshake fails, so that no work is done for keys that nobody vouches for.
Whether it is of the right one, holds today and has the right name is asked for each request, by the policy's check.

Before the first use a process proves, by handshakes in memory, that OpenSSL asks, verifies and forgets as it is told.
"""

import contextlib
import functools
import ssl
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from warp_twisted.edge.certificates.contexts import visitors_context
from warp_twisted.edge.certificates.openssl import AuthorityName, OutOfReach, ask_for_certificate, forget_tickets
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.groups import show

# Of what a visitor sends: room for four certificates with RSA keys of 4,096 bits. Measured 0.11 ms a certificate that
# nobody vouches for, and 27 of the smallest fit.
MAX_CHAIN_BYTES = 8_192
MAX_DEPTH = 4  # authorities between a visitor's certificate and one that is believed
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class CannotAsk(WarpError):
    """This Python with its OpenSSL cannot ask visitors for certificates."""


class Authorities:
    """
    The authorities of a policy.

    Takes some 0.1 ms for each, so make it in a thread.

    :param certificates: theirs, in DER.
    :raises CannotAsk: if visitors cannot be asked with them.
    """

    def __init__(self, certificates: Collection[bytes]) -> None:
        prove()
        self._store = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            for der in certificates:  # one by one, as each call holds the interpreter's lock
                self._store.load_verify_locations(cadata=der)
            self._names = {der: AuthorityName(der) for der in certificates}
        except (ssl.SSLError, OutOfReach) as error:
            raise CannotAsk(f"OpenSSL does not take an authority: {error}") from error

    def ask(self, connection: ssl.SSLObject, of: Iterable[bytes]) -> None:
        """
        Ask for a certificate, in `sni_callback`, after the context was chosen.

        :param of: some of these authorities, whose names the visitor is told.
        """
        ask_for_certificate(
            connection,
            self._store,
            [self._names[der] for der in of],
            chain_bytes=MAX_CHAIN_BYTES,
            depth=MAX_DEPTH,
        )


def shown_chain(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    """
    Return what a visitor that was asked has shown, in DER: its certificate, and others that it sent with it.

    :returns: nothing if it has none, or resumes a session that was made before it was asked.
    """
    if connection.session_reused or connection.getpeercert(binary_form=True) is None:
        return ()
    read = getattr(connection, "get_unverified_chain", None)  # Python 3.13
    if read is not None:
        return tuple(read())
    chain = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # as Python 3.10 to 3.12 have it
    return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain)


@functools.cache
def prove() -> None:
    """
    Shake hands in memory, once for a process, with visitors of all kinds.

    :raises CannotAsk: if something is not as it should be.
    """
    try:
        reason = _first_fault()
    except (OutOfReach, ssl.SSLError) as error:
        reason = str(error)
    if reason:
        raise CannotAsk(f"{ssl.OPENSSL_VERSION} cannot ask visitors for certificates: {reason}")


def _first_fault() -> str:
    """Return what is not as it should be, if anything."""
    authority, other = _Issuer("authority"), _Issuer("other")
    believed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    believed.load_verify_locations(cadata=authority.certificate.public_bytes(Encoding.DER))
    names = [AuthorityName(authority.certificate.public_bytes(Encoding.DER))]
    listener, shown = visitors_context(), visitors_context()
    authority.issue_to(shown)

    def choose(connection: ssl.SSLObject, name: str | None, initial: ssl.SSLContext) -> int | None:
        try:
            connection.context = shown
            if name == "asked.example":
                ask_for_certificate(connection, believed, names, chain_bytes=MAX_CHAIN_BYTES, depth=MAX_DEPTH)
        except OutOfReach:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    listener.sni_callback = choose
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for issuer, name, expected in (
            (authority, "asked.example", (True, True)),
            (None, "asked.example", (True, False)),
            (other, "asked.example", (False, False)),
            (authority, "other.example", (True, False)),
        ):
            visitor = _visitor(version, issuer)
            found = _shake_hands(visitor, listener, name)
            if (found.is_done, found.has_certificate) != expected:
                return f"a visitor is not treated as it should be ({version.name})"
            if found.is_done:
                again = _shake_hands(visitor, listener, name, found.session)
                if again.is_resumed == (name == "asked.example"):
                    return f"sessions are not resumed as they should be ({version.name})"
                forget_tickets(listener)
                if _shake_hands(visitor, listener, name, again.session).is_resumed:
                    return f"tickets are not forgotten ({version.name})"
    return ""


class _Issuer:
    """An authority for the proof; nobody sees its keys."""

    def __init__(self, name: str) -> None:
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self._key.public_key(), is_authority=True)

    def _sign(self, subject: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.Certificate:
        name = self._name if is_authority else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number(), *_ALWAYS)
        constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
        return builder.add_extension(constraints, critical=True).sign(self._key, SHA256())

    def issue_to(self, context: ssl.SSLContext) -> None:
        """Give a context a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        show(context, self._sign("leaf", key.public_key(), is_authority=False), key)


class _Handshake:
    """What came of a handshake."""

    is_done = has_certificate = is_resumed = False
    session: ssl.SSLSession | None = None


def _visitor(version: ssl.TLSVersion, issuer: _Issuer | None) -> ssl.SSLContext:
    visitor = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    visitor.check_hostname = False
    visitor.verify_mode = ssl.CERT_NONE
    visitor.minimum_version = visitor.maximum_version = version
    if issuer is not None:
        issuer.issue_to(visitor)
    return visitor


def _shake_hands(
    visitor: ssl.SSLContext, listener: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None
) -> _Handshake:
    to_edge, to_visitor = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = visitor.wrap_bio(to_visitor, to_edge, False, name, session)
    far = listener.wrap_bio(to_edge, to_visitor, True)
    found = _Handshake()
    for _ in range(3):  # flights of either
        with contextlib.suppress(ssl.SSLWantReadError):
            near.do_handshake()
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return found
        found.is_done = True
        found.has_certificate = bool(shown_chain(far))
        found.is_resumed = far.session_reused or False
    if found.is_done:
        far.write(b"x")  # behind the ticket
        near.read(1)
        found.session = near.session
    return found
