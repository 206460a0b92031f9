"""
The request line in full: method, target form and version, and the host that a target names.

`request` reads the common line (a path, a known shape) with one expression; every other line comes here, where
each way to be wrong gets its own refusal. RFC 9112 §3 has the grammar, RFC 9110 §4.2 what an authority may be.
"""

import re

import msgspec

from warp_twisted.http1.grammar import TOKEN
from warp_twisted.http1.refusals import (
    BAD_HOST,
    BAD_LINE_END,
    BAD_METHOD,
    BAD_REQUEST_LINE,
    BAD_TARGET,
    BAD_VERSION,
    HOST_MISMATCH,
    METHOD_NOT_ALLOWED,
    MISDIRECTED,
    TARGET_TOO_LONG,
    MessageRefused,
)

# Registered methods, and what looks like them; any other token takes the long way. '#' never belongs in a target.
METHOD = rb"[A-Z][A-Z-]{0,31}+"
TARGET_BYTES = rb"[\x21\x22\x24-\x7e]"

_TOKEN = re.compile(TOKEN)
_MAX_METHOD = 32
_KNOWN = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY"}
    | {b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH", b"QUERY", b"PURGE", b"LINK", b"UNLINK", b"ACL", b"MKCALENDAR"}
)
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_TARGET = re.compile(TARGET_BYTES + rb"++")
_ABSOLUTE = re.compile(rb"(?i:(https?))://([^/?]*+)([/?].*+)?")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_LABEL = rb"[A-Za-z0-9_-]{1,63}+"
_AUTHORITY = re.compile(rb"(" + _LABEL + rb"(?:\." + _LABEL + rb")*+\.?|\[[0-9A-Fa-f:.]{2,45}+\])(?::([0-9]{1,5}+))?")
DEFAULT_PORTS = {"http": 80, "https": 443}


class Authority(msgspec.Struct, frozen=True):
    """A host and a port: the host in lower case without a trailing dot, port 0 where none was given."""

    host: str
    port: int


class RequestLine(msgspec.Struct, frozen=True):
    """
    A checked request line.

    :param target: a path with its query, or `*`; an absolute URI was cut to its path.
    :param authority: what an absolute URI named, else None.
    :param version: `HTTP/1.0` or `HTTP/1.1`.
    """

    method: bytes
    target: bytes
    authority: Authority | None
    version: bytes


def parse_authority(value: bytes) -> Authority:
    """
    Read a host with an optional port, as in Host or an absolute URI.

    :raises MessageRefused: for user information, lists, percent-encoding, an empty host or an impossible port.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None or len(match[1]) > 254:
        raise MessageRefused(BAD_HOST)
    port = int(match[2]) if match[2] else 0
    if port > 65_535:
        raise MessageRefused(BAD_HOST)
    return Authority(match[1].decode("ascii").lower().removesuffix("."), port)


def check_same_authority(named: Authority, host: Authority, scheme: str) -> None:
    """
    Refuse a Host field that differs from the authority of an absolute target.

    RFC 9112 §3.2.2 lets a proxy ignore Host then; an origin behind us might not, so two readings are refused.
    """
    default = DEFAULT_PORTS[scheme]
    if named.host != host.host or (named.port or default) != (host.port or default):
        raise MessageRefused(HOST_MISMATCH)


def parse_request_line(line: bytes, scheme: str, target_bytes: int) -> RequestLine:
    """
    Read a request line of any form.

    :param line: without its CR LF.
    :param scheme: `http` or `https`: how this visitor connected; an absolute target must agree.
    :raises MessageRefused: with the refusal that fits best.
    """
    if _CONTROL.search(line):
        raise MessageRefused(BAD_LINE_END)
    parts = line.split(b" ")
    if len(parts) != 3:
        raise MessageRefused(BAD_REQUEST_LINE)
    method, target, version = parts
    if not _TOKEN.fullmatch(method) or not _VERSION.fullmatch(version):
        raise MessageRefused(BAD_REQUEST_LINE)
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise MessageRefused(BAD_VERSION)
    meant = method.upper()
    if meant in (b"CONNECT", b"TRACE"):
        raise MessageRefused(METHOD_NOT_ALLOWED)
    # Methods are case-sensitive (RFC 9110 §9.1), and yet there are frameworks to which `head` is HEAD: they would send
    # no body where one has to be waited for, and `post` could be what no rule about POST is asked for.
    if len(method) > _MAX_METHOD or (meant != method and meant in _KNOWN):
        raise MessageRefused(BAD_METHOD)
    if len(target) > target_bytes:
        raise MessageRefused(TARGET_TOO_LONG)
    if not _TARGET.fullmatch(target):
        raise MessageRefused(BAD_TARGET)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return RequestLine(method, target, None, version)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise MessageRefused(BAD_TARGET)
    if absolute[1].lower() != scheme.encode("ascii"):
        raise MessageRefused(MISDIRECTED)
    return RequestLine(method, _path_of(method, absolute[3]), parse_authority(absolute[2].removesuffix(b":")), version)


def _path_of(method: bytes, rest: bytes | None) -> bytes:
    """Cut an absolute URI to origin-form; without path and query OPTIONS asks for the host as a whole (§3.2.4)."""
    if rest is None:
        return b"*" if method == b"OPTIONS" else b"/"
    return rest if rest.startswith(b"/") else b"/" + rest
