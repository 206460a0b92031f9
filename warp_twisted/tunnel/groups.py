"""
Which key exchange groups a TLS context takes: X25519, P-256 and P-384, and no other.

OpenSSL's defaults take finite-field groups up to ffdhe8192, where one hello of 1.2 KB, which anybody may replay, costs
the server 128 ms; it costs 2 ms with these three. Python before 3.15 has no call for a list of groups
(`set_ecdh_curve` takes one), so OpenSSL's own is made through ctypes, on the `SSL_CTX` inside Python's context. Where
OpenSSL is a part of Python's own binary and cannot be reached, P-256 alone is taken, which every client of TLS 1.3 has
(RFC 8446 §9.1).

That reaches into another library, so nothing is taken on trust: the first context of a process is preceded by
handshakes in memory, and `restrict_groups` raises unless those groups are taken and groups beside them refused.
"""

import contextlib
import ctypes
import datetime
import functools
import ssl
import sys
import tempfile
from collections.abc import Callable
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from warp_twisted.errors import InvalidSettings

GROUPS = ("X25519", "P-256", "P-384")
MANDATORY_GROUP = "P-256"
REFUSED_GROUPS = ("P-521", "ffdhe2048")  # which OpenSSL takes by default; the second since its version 3

_CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}  # as `set_ecdh_curve` calls them
_SET_GROUPS_LIST = 92  # SSL_CTRL_SET_GROUPS_LIST in openssl/ssl.h, the same in all versions since 1.1.1
# What Python calls a context: an object's head, then the pointer to OpenSSL's (struct PySSLContext in Modules/_ssl.c).
_POINTER_OFFSET = object.__basicsize__


def restrict_groups(context: ssl.SSLContext) -> None:
    """
    Let a context take only `GROUPS`, as server and as client.

    :raises InvalidSettings: if this Python with its OpenSSL cannot; nothing may be served with the context then.
    """
    _prove()
    if not _set_groups(context, GROUPS):
        raise InvalidSettings(_refusal("the list was refused"))


@functools.cache
def _prove() -> None:
    """Shake hands in memory, once for a process, over each group that must be taken and each that must not."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _show_something(server)
    taken = _set_groups(server, GROUPS)
    if not taken:
        raise InvalidSettings(_refusal("the list was refused"))
    for group in taken:
        if not _is_taken(server, group):
            raise InvalidSettings(_refusal(f"{group} is not taken"))
    for group in REFUSED_GROUPS:
        if _is_taken(server, group):
            raise InvalidSettings(_refusal(f"{group} is taken all the same"))


def _is_taken(server: ssl.SSLContext, group: str) -> bool:
    """Return whether a server answers a client that offers one group; False as well if there is no such client."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    if not _set_groups(client, (group,)):
        return False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(to_client, to_server).do_handshake()
    try:
        server.wrap_bio(to_server, to_client, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return True  # it has answered, and waits for the client to finish
    except ssl.SSLError:
        return False
    return True


def _show_something(server: ssl.SSLContext) -> None:
    """Give a server a certificate, without which it judges no hello: made on the spot, and seen by nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proof")])
    now = datetime.datetime.fromtimestamp(0, datetime.UTC)  # any will do
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now)
    show(server, builder.sign(key, hashes.SHA256()), key)


def show(context: ssl.SSLContext, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Let a context show a certificate that was made on the spot."""
    with tempfile.NamedTemporaryFile() as file:  # for this user only; OpenSSL reads it at once
        file.write(certificate.public_bytes(Encoding.PEM))
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        context.load_cert_chain(file.name)


def _set_groups(context: ssl.SSLContext, groups: tuple[str, ...]) -> tuple[str, ...]:
    """
    Limit a context to some groups, by the first way that there is.

    :returns: the groups that it now takes; none if the list was refused.
    """
    own = getattr(context, "set_groups", None)  # Python 3.15
    if own is not None:
        try:
            own(":".join(groups))
        except ssl.SSLError:
            return ()
        return groups
    control = _control()
    if control is not None:
        return groups if control(context_pointer(context), _SET_GROUPS_LIST, 0, ":".join(groups).encode()) == 1 else ()
    only = groups[0] if len(groups) == 1 else MANDATORY_GROUP
    try:
        context.set_ecdh_curve(_CURVES.get(only, only))
    except (ValueError, ssl.SSLError):  # the second for groups that are no curve, from Python as Debian 12 builds it
        return ()
    return (only,)


@functools.cache
def openssl_library() -> ctypes.CDLL | None:
    """Return the OpenSSL that Python's `ssl` uses, and no other that may be in the process; None if out of reach."""
    file = getattr(sys.modules["_ssl"], "__file__", None)
    if file is None:
        return None
    try:
        library = ctypes.CDLL(file)
        library.SSL_CTX_ctrl  # noqa: B018  not there where only Python's own module can see OpenSSL
    except (OSError, AttributeError):
        return None
    return library


def context_pointer(context: ssl.SSLContext) -> int | None:
    """Return the address of OpenSSL's `SSL_CTX`; it is there as long as Python's context."""
    return ctypes.c_void_p.from_address(id(context) + _POINTER_OFFSET).value


@functools.cache
def _control() -> Callable[[int | None, int, int, bytes], int] | None:
    library = openssl_library()
    if library is None:
        return None
    control = library.SSL_CTX_ctrl
    control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    control.restype = ctypes.c_long
    return cast(Callable[[int | None, int, int, bytes], int], control)


def _refusal(reason: str) -> str:
    return (
        f"{ssl.OPENSSL_VERSION} with Python {sys.version.split()[0]} does not limit TLS key exchange to"
        f" {', '.join(GROUPS)}: {reason}; with other groups one visitor could stop the service"
    )
