"""
The fields of a request that mean something to the edge: what becomes of each, and what their values say.

`request` reads a head; this module knows fields one by one. What it does not name is passed on untouched.

Field names with '_' or other unusual characters pass, except where an origin that folds them to '-' (CGI and WSGI do
so with '_', some servers with all of them) would take one for a field the edge speaks for: such a twin of a framing
field is refused, a twin of a forwarding field dropped.
"""

import re

from warp_twisted.http1.body import CHUNKED
from warp_twisted.http1.grammar import OPTIONAL_WHITESPACE, parse_length, spellings
from warp_twisted.http1.refusals import (
    BAD_CODING,
    BAD_EXPECTATION,
    BAD_MAX_FORWARDS,
    CODING_TOO_EARLY,
    LENGTH_AND_CODING,
    LENGTH_REPEATED,
    LOOP,
    SHADOW_FIELD,
    MessageRefused,
)

_MAX_PASSES = 4  # through edges; some chains are meant, but an origin that leads back here has no end

# What becomes of a field with a meaning of its own; all others are passed on untouched.
_READ = 1  # read here, and written again in its canonical form if at all
_NOTE = 2  # passed on, and its value noted
_DROP = 3  # hop-by-hop, or the edge's own to say

_USES = {
    **dict.fromkeys(
        (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te"), _READ
    ),
    b"max-forwards": _READ,
    b"via": _NOTE,
    b"user-agent": _NOTE,
    b"accept": _NOTE,
    **dict.fromkeys((b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy"), _DROP),
    **dict.fromkeys((b"forwarded", b"x-real-ip", b"x-request-id"), _DROP),
}
# Names with no meaning here, as browsers and tools write them: a look-up that spares most lines the rest.
_PLAIN = spellings(
    *(b"Accept-Encoding", b"Accept-Language", b"Authorization", b"Cache-Control", b"Content-Type", b"Cookie", b"DNT"),
    *(b"If-Modified-Since", b"If-None-Match", b"Origin", b"Pragma", b"Priority", b"Range", b"Referer", b"Sec-CH-UA"),
    *(b"Sec-CH-UA-Mobile", b"Sec-CH-UA-Platform", b"Sec-Fetch-Dest", b"Sec-Fetch-Mode", b"Sec-Fetch-Site"),
    *(b"Sec-Fetch-User", b"Upgrade-Insecure-Requests", b"X-Requested-With"),
)
_FORWARDED = b"x-forwarded-"
_unusual = re.compile(rb"[^a-z0-9-]")


def sort_fields(lines: list[bytes]) -> tuple[dict[str, list[bytes]], list[bytes]]:
    """Part the lines into those read here (by lower-case name) and those passed on."""
    found: dict[str, list[bytes]] = {}
    kept: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name in _PLAIN:
            kept.append(line)
            continue
        name = name.lower()
        use = _USES.get(name)
        if use is None:
            if name.startswith(_FORWARDED) or (_unusual.search(name) and _is_dropped_shadow(name)):
                continue
            kept.append(line)
        elif use != _DROP:
            key = name.decode()
            if key in found:
                found[key].append(value)
            else:
                found[key] = [value]
            if use == _NOTE:
                kept.append(line)
    return found, kept


def may_differ(name: bytes) -> bool:
    """Whether a field's value means nothing to the edge: it is passed on, or dropped, whatever it is."""
    if name == b"accept":
        return True  # noted for pages of the edge's own
    return _USES.get(name, _DROP if name.startswith(_FORWARDED) else None) is None and not _unusual.search(name)


def _is_dropped_shadow(name: bytes) -> bool:
    """Whether such a twin is dropped like the field it would be taken for; raises for those of framing."""
    twin = _unusual.sub(b"-", name)
    use = _USES.get(twin)
    if use == _READ:
        raise MessageRefused(SHADOW_FIELD)
    return use == _DROP or twin.startswith(_FORWARDED)


def framing(found: dict[str, list[bytes]], minor: int) -> tuple[int, bytes]:
    """Return the body's length or CHUNKED, and the one line that says so to the origin."""
    codings = found.get("transfer-encoding")
    lengths = found.get("content-length")
    if codings is not None:
        if minor == 0:
            raise MessageRefused(CODING_TOO_EARLY)
        if lengths is not None:
            raise MessageRefused(LENGTH_AND_CODING)
        if len(codings) > 1 or codings[0].strip(OPTIONAL_WHITESPACE).lower() != b"chunked":
            raise MessageRefused(BAD_CODING)
        return CHUNKED, b"Transfer-Encoding: chunked\r\n"
    if lengths is None:
        return 0, b""
    if len(lengths) > 1:
        raise MessageRefused(LENGTH_REPEATED)
    length = parse_length(lengths[0])
    return length, b"Content-Length: %d\r\n" % length


def expects_continue(values: list[bytes]) -> bool:
    if len(values) > 1 or values[0].strip(OPTIONAL_WHITESPACE).lower() != b"100-continue":
        raise MessageRefused(BAD_EXPECTATION)
    return True


def check_loop(values: list[bytes], pseudonym: bytes) -> None:
    """Refuse a request that has passed edges too often, by what each of them wrote into Via (RFC 9110 §7.6.3)."""
    passes = sum(hop.split()[1:2] == [pseudonym] for value in values for hop in value.split(b","))
    if passes >= _MAX_PASSES:
        raise MessageRefused(LOOP)


def max_forwards(values: list[bytes]) -> int:
    value = values[0].strip(OPTIONAL_WHITESPACE)
    if len(values) > 1 or not value.isdigit() or len(value) > 9:
        raise MessageRefused(BAD_MAX_FORWARDS)
    return int(value)


def hop_by_hop(found: dict[str, list[bytes]], upgrade: bytes) -> bytes:
    """Return the connection options that we pass on as our own: an upgrade, and TE where it is 'trailers'."""
    options: list[bytes] = []
    lines = b""
    codings = b",".join(found.get("te", ())).lower()
    if any(coding.strip(OPTIONAL_WHITESPACE) == b"trailers" for coding in codings.split(b",")):
        options.append(b"TE")
        lines += b"TE: trailers\r\n"
    if upgrade:
        options.append(b"Upgrade")
        lines += b"Upgrade: %b\r\n" % upgrade
    return b"Connection: %b\r\n%b" % (b", ".join(options), lines) if options else b""
