"""
What OpenSSL can do for one connection of a server, and Python's `ssl` has no call for.

Whether a visitor is asked for a certificate depends on the hostname that it names (SNI). Python knows that in
`sni_callback`, but lets nobody change what is verified of the connection there; OpenSSL does, and nginx does it so
(`SSL_set_verify` in its callback). To read the hostname from the first bytes ourselves, and choose a context by it, was
rejected: another reading of the hello than OpenSSL's is a way around, and Python's contexts have no bound on the chain
that a visitor may send.

The functions are called through ctypes, on the `SSL` inside Python's object. `asking` proves by handshakes in memory
that they do what they should before anything depends on them. Decides nothing.
"""

import ctypes
import functools
import secrets
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from warp_twisted.tunnel.groups import context_pointer, openssl_library

# openssl/ssl.h; the numbers are the same in all versions since 1.1.1.
_SSL_VERIFY_PEER = 1
_SSL_OP_NO_TICKET = 1 << 14
_CTRL_SET_SESSION_CACHE_MODE = 44
_CTRL_SET_MAX_CERT_LIST = 51
_CTRL_SET_TICKET_KEYS = 59
_CTRL_SET_VERIFY_CERT_STORE = 106
_TICKET_KEY_BYTES = 80  # a name of 16, and a key for each of HMAC and AES
# What Python calls a connection: an object's head, then pointers to its socket, to OpenSSL's SSL, and to the context
# (struct PySSLSocket in Modules/_ssl.c, the same from Python 3.8 to 3.14).
_POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)
_SSL_OFFSET = object.__basicsize__ + _POINTER_BYTES
_CONTEXT_OFFSET = _SSL_OFFSET + _POINTER_BYTES
_Function = Callable[..., Any]


class OutOfReach(Exception):
    """This Python's OpenSSL cannot be called; the text says why."""


class AuthorityName:
    """
    A certificate as OpenSSL has it, whose subject is told to visitors: of several of theirs they choose by it.

    :param der: of a certificate.
    :raises OutOfReach: if it cannot be read there.
    """

    __slots__ = ("_pointer",)

    def __init__(self, der: bytes) -> None:
        self._pointer: int | None = None
        begin = ctypes.c_char_p(der)
        self._pointer = _function("d2i_X509", (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long), ctypes.c_void_p)(
            None, ctypes.byref(begin), len(der)
        )
        if not self._pointer:
            raise OutOfReach("OpenSSL cannot read a certificate")

    def add_to(self, connection: int) -> None:
        """Tell the visitor of this one, too."""
        _function("SSL_add_client_CA", (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_int)(connection, self._pointer)

    def __del__(self) -> None:
        if self._pointer:
            _function("X509_free", (ctypes.c_void_p,), None)(self._pointer)


def ask_for_certificate(
    connection: ssl.SSLObject, store: ssl.SSLContext, names: Iterable[AuthorityName], *, chain_bytes: int, depth: int
) -> None:
    """
    Ask a visitor for a certificate; to be called in `sni_callback`, after the context was chosen.

    It may have none. The handshake fails if it shows one that `store` does not vouch for. The session is not kept, and
    the visitor gets no ticket for it.

    :param store: trusts the authorities.
    :param names: of the authorities.
    :param chain_bytes: of what the visitor may send.
    :param depth: how many authorities may stand between the visitor's certificate and one that is trusted.
    :raises OutOfReach: if it cannot be asked; then the handshake must fail.
    """
    pointer = _pointer_of(connection)
    trusted = _function("SSL_CTX_get_cert_store", (ctypes.c_void_p,), ctypes.c_void_p)(context_pointer(store))
    control = _function("SSL_ctrl", (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p), ctypes.c_long)
    if control(pointer, _CTRL_SET_VERIFY_CERT_STORE, 1, trusted) != 1:
        raise OutOfReach("SSL_set1_verify_cert_store")
    control(pointer, _CTRL_SET_MAX_CERT_LIST, chain_bytes, None)
    _function("SSL_set_verify_depth", (ctypes.c_void_p, ctypes.c_int), None)(pointer, depth)
    _function("SSL_set_client_CA_list", (ctypes.c_void_p, ctypes.c_void_p), None)(pointer, None)
    for name in names:
        name.add_to(pointer)
    _function("SSL_set_num_tickets", (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int)(pointer, 0)
    _function("SSL_set_options", (ctypes.c_void_p, ctypes.c_uint64), ctypes.c_uint64)(pointer, _SSL_OP_NO_TICKET)
    _function("SSL_set_verify", (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p), None)(pointer, _SSL_VERIFY_PEER, None)


def keep_no_sessions(context: ssl.SSLContext) -> None:
    """Let connections be resumed by tickets only: without one a session would be kept here, with its certificate."""
    if openssl_library() is not None:
        _control_context(context, _CTRL_SET_SESSION_CACHE_MODE, 0, None)


def forget_tickets(context: ssl.SSLContext) -> None:
    """
    Let no ticket that was given out before resume a connection.

    :param context: which connections begin with.
    :raises OutOfReach: if that cannot be.
    """
    if _control_context(context, _CTRL_SET_TICKET_KEYS, _TICKET_KEY_BYTES, secrets.token_bytes(_TICKET_KEY_BYTES)) != 1:
        raise OutOfReach("SSL_CTX_set_tlsext_ticket_keys")


def _control_context(context: ssl.SSLContext, command: int, number: int, data: bytes | None) -> int:
    control = _function("SSL_CTX_ctrl", (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p), ctypes.c_long)
    return int(control(context_pointer(context), command, number, data))


def _pointer_of(connection: ssl.SSLObject) -> int:
    """Return the address of OpenSSL's `SSL`, if Python's object looks as we know it."""
    inner = getattr(connection, "_sslobj", None)
    if inner is None or type(inner).__basicsize__ < _CONTEXT_OFFSET + _POINTER_BYTES:
        raise OutOfReach("Python's connections are made in another way than we know")
    context = ctypes.c_void_p.from_address(id(inner) + _CONTEXT_OFFSET).value
    pointer = ctypes.c_void_p.from_address(id(inner) + _SSL_OFFSET).value
    if context != id(connection.context) or pointer is None:
        raise OutOfReach("Python's connections are made in another way than we know")
    return pointer


@functools.cache
def _function(name: str, takes: tuple[Any, ...], returns: Any) -> _Function:
    library = openssl_library()
    try:
        if library is None:
            raise AttributeError
        function = library[name]
    except AttributeError:
        raise OutOfReach(f"OpenSSL's {name} cannot be called") from None
    function.argtypes = takes
    function.restype = returns
    return function
