"""
Asking an origin under another name than the visitor used: its Host, and what follows from that.

A development server such as Vite, or a virtual host, answers only to names that it knows. `HostRewriting` is what a
route says of that: the Host that its origin is told and, if the two are mapped to each other, the scheme under which
the origin knows itself. What is mapped is what names the site itself, in whole URLs or as a cookie's Domain:

- of a request Origin and Referer, if they are of the site that is visited; those of other sites stay, so that an
  origin's check of Origin means what it meant;
- of an answer Location, Content-Location and Access-Control-Allow-Origin, if they are of the origin under the name
  that it was told, in its own scheme or the visitor's, and Domain in Set-Cookie. A Domain above that name would be
  refused by browsers, so it is taken out: the cookie is for the visited host alone.

X-Forwarded-Host and Forwarded still say how the visitor asked. Bodies are passed on as they are. What a head may cost
is bounded: of each kind of line the first `MAPPED_LINES` are mapped, the others stay as they are. Pure.
"""

import re
from functools import lru_cache

from warp_twisted.errors import WarpError
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.target import parse_authority
from warp_twisted.names import one_line

MAPPED_LINES = 200  # of an answer and of each kind; browsers keep 50 to 180 cookies of a site
_SHOWN_CHARACTERS = 64
_MAPPED_DOMAINS = 4  # of one cookie, of which the last counts
_MAPPED_SITES = 4  # Origin and Referer of a request, which has one of each
_PORTS = {b"http": b":80", b"https": b":443"}
_SITE = re.compile(rb"(\r\n(?:origin|referer):)[ \t]*+(https?)://([^/?#\r \t]*+)", re.IGNORECASE)
_COOKIE = re.compile(rb"\r\nset-cookie:[^\r;]*+;[^\r]*+", re.IGNORECASE)
_DOMAIN = re.compile(rb";([ \t]*+domain[ \t]*+=)[ \t]*+\.?+([^;\r \t]*+)[ \t]*+(?=;|\Z)", re.IGNORECASE)


class BadHostHeader(WarpError):
    """What an agent wants its origin to be told as Host is no host with an optional port."""


class HostRewriting:
    """
    What a route's origin is told as Host.

    :param host: a host, with a port if it is not the scheme's own.
    :param scheme: `http` or `https`, under which the origin knows itself; empty: nothing but Host is changed.
    """

    __slots__ = ("_bare", "_own", "_urls", "host", "scheme")

    def __init__(self, host: bytes, scheme: bytes = b"") -> None:
        self.host = host
        self.scheme = scheme
        self._own = b"%b://%b" % (scheme, host)
        self._bare = _without_port(host).lower()
        # By the scheme that the visitor uses: an origin that believes X-Forwarded-Proto names itself under that.
        self._urls = {visited: self._urls_of({scheme, visited}) for visited in _PORTS} if scheme else {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HostRewriting) and (self.host, self.scheme) == (other.host, other.scheme)

    def __hash__(self) -> int:
        return hash((self.host, self.scheme))

    def request(self, request: bytes, scheme: str, authority: bytes) -> bytes:
        """
        Return a request with its head as the origin gets it.

        :param request: the head as `RequestHead.for_origin` returns it, whose first field is Host, and what follows it.
        :param scheme: as the visitor asked, and `authority`: in Host.
        """
        line_end = request.index(b"\r\n")
        host_end = request.index(b"\r\n", line_end + 2)
        if not self.scheme:
            return b"%b\r\nHost: %b%b" % (request[:line_end], self.host, request[host_end:])
        head_end = request.index(b"\r\n\r\n", line_end)
        visited, name = scheme.encode("ascii"), _normal(scheme.encode("ascii"), authority)

        def mapped(found: re.Match[bytes]) -> bytes:
            if found[2].lower() != visited or _normal(visited, found[3]) != name:
                return found[0]
            return b"%b %b" % (found[1], self._own)

        fields = _SITE.sub(mapped, request[host_end:head_end], _MAPPED_SITES)
        return b"%b\r\nHost: %b%b%b" % (request[:line_end], self.host, fields, request[head_end:])

    def answer(self, start: bytes, scheme: str, authority: bytes) -> bytes:
        """
        Return status line and fields of an answer as the visitor gets them.

        :param start: each line with its CR LF.
        :param scheme: as the visitor asked, and `authority`: in Host.
        """
        if not self.scheme:
            return start
        visited = scheme.encode("ascii")

        def mapped(found: re.Match[bytes]) -> bytes:
            return b"%b %b//%b" % (found[1], visited + b":" if found[2] else b"", authority)

        start = self._urls[visited].sub(mapped, start, MAPPED_LINES)
        return _COOKIE.sub(lambda found: self._cookie(found[0], authority), start, MAPPED_LINES)

    def _urls_of(self, schemes: set[bytes]) -> re.Pattern[bytes]:
        """Return what finds lines whose URL begins with the origin: a scheme's own port may be written or left out."""
        sites = [
            b"%b://%b(?:%b)?+" % (scheme, re.escape(_normal(scheme, self.host)), _PORTS[scheme])
            for scheme in sorted(schemes)
        ]
        return re.compile(
            rb"(\r\n(?:location|content-location|access-control-allow-origin):)[ \t]*+"
            rb"(?:(%b)|//%b)(?=[/?#\r \t])" % (b"|".join(sites), re.escape(self.host)),
            re.IGNORECASE,
        )

    def _cookie(self, line: bytes, authority: bytes) -> bytes:
        """Return a cookie with the visited host as its Domain, if it was the origin's; without one that is above it."""

        def mapped(found: re.Match[bytes]) -> bytes:
            domain = found[2].lower()
            if domain == self._bare:
                return b";%b%b" % (found[1], _without_port(authority))
            return b"" if domain and self._bare.endswith(b"." + domain) else found[0]

        return _DOMAIN.sub(mapped, line, _MAPPED_DOMAINS)


@lru_cache(maxsize=1024)
def parse_rewriting(host: str, scheme: str) -> HostRewriting | None:
    """
    Read what a route says of its origin's Host.

    :param host: empty: nothing.
    :param scheme: `http`, `https` or empty.
    :raises BadHostHeader: if `host` is no host with an optional port.
    """
    if not host:
        return None
    value = host.encode("utf-8", "surrogatepass")
    try:
        parse_authority(value)
    except MessageRefused as error:
        shown = one_line(host, _SHOWN_CHARACTERS)
        raise BadHostHeader(f"host header {shown!r} cannot be used: it is no host with an optional port") from error
    return HostRewriting(value, scheme.encode("ascii"))


def _normal(scheme: bytes, authority: bytes) -> bytes:
    """Return host and port in lower case, without the scheme's own port."""
    return authority.lower().removesuffix(_PORTS[scheme])


def _without_port(authority: bytes) -> bytes:
    return authority if authority.endswith(b"]") else re.sub(rb":[0-9]*\Z", b"", authority)
