"""
The fields of a request that mean something to the edge: what becomes of each, and what their values say.

`request` reads a head; this module knows fields one by one. What it does not name is passed on untouched, unless the
operator's rules drop it: see `http1.believed`.

Field names with '_' or other unusual characters pass, except where an origin that folds them to '-' (CGI and WSGI do
so with '_', some servers with all of them) would take one for a field the edge speaks for: such a twin of a framing
field is refused, a twin of one that is dropped is dropped.
"""

import re
from collections.abc import Iterable

from warp_twisted.http1.believed import BELIEVED, CREDENTIALS
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
_STRIP = 4  # dropped by the operator's rules
_NOTE_STRIP = 5  # the same, and its value noted
_PASS = 6  # passed on by the operator's rules
_STRIPPED = frozenset({_STRIP, _NOTE_STRIP})

DEFAULT = "default"  # in a list of what is dropped
_DEFAULT = (*BELIEVED, *(f"!{name}" for name in CREDENTIALS))

_USES = {
    **dict.fromkeys(
        (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te"), _READ
    ),
    b"warp-hops": _READ,
    b"max-forwards": _READ,
    b"user-agent": _NOTE,
    b"accept": _NOTE,
    **dict.fromkeys((b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy"), _DROP),
    **dict.fromkeys((b"forwarded", b"x-real-ip", b"x-request-id"), _DROP),
    **dict.fromkeys((b"warp-assertion", b"warp-identity", b"warp-identity-kind", b"warp-mirror"), _DROP),
}
# Names with no meaning here, as browsers and tools write them: a look-up that spares most lines the rest.
_PLAIN = spellings(
    *(b"Accept-Encoding", b"Accept-Language", b"Authorization", b"Cache-Control", b"Content-Type", b"Cookie", b"DNT"),
    *(b"If-Modified-Since", b"If-None-Match", b"Origin", b"Pragma", b"Priority", b"Range", b"Referer", b"Sec-CH-UA"),
    *(b"Sec-CH-UA-Mobile", b"Sec-CH-UA-Platform", b"Sec-Fetch-Dest", b"Sec-Fetch-Mode", b"Sec-Fetch-Site"),
    *(b"Sec-Fetch-User", b"Upgrade-Insecure-Requests", b"X-Requested-With"),
)
_FORWARDED = b"x-forwarded-"
_NAME = re.compile(r"[!#$%&'+\-.^_`|~0-9A-Za-z]+")  # a token (RFC 9110 §5.6.2) without '*'
_MAX_NAME = 128
_MIN_PREFIX = 2  # what one letter begins is more than anybody means
_unusual = re.compile(rb"[^a-z0-9-]")


class FieldRules:
    """
    What becomes of each field of a request, compiled once from settings.

    A field's fate is one look-up, as without rules; only names that nobody knows are compared with the prefixes, too.

    :param strip: fields that are dropped: names, and beginnings of names with a `*` behind them, in any case; `_` and
        other unusual characters stand for `-`. `default` stands for `believed.BELIEVED` without `CREDENTIALS`; with a
        `!` before it, a name or prefix is passed on although others in the list drop it.
    :param own: further fields that are the edge's to say, in any case.
    :raises ValueError: naming the first one that cannot be dropped or passed on, and what was expected.
    """

    __slots__ = ("_excepted", "_plain", "_prefixes", "_uses")

    def __init__(self, strip: Iterable[str] = (), own: Iterable[str] = ()) -> None:
        base = {**_USES, **dict.fromkeys((name.lower().encode("ascii") for name in own), _DROP)}
        uses = dict(base)
        prefixes: list[bytes] = []
        excepted: list[bytes] = []
        for pattern in strip:
            for each in _DEFAULT if pattern == DEFAULT else (pattern,):
                name, is_prefix = _parse_pattern(each.removeprefix("!"))
                is_exception = each.startswith("!")
                if not is_prefix and base.get(name) == _READ:
                    raise ValueError(f"expected a field that the edge does not write itself, got {each!r}")
                if is_exception and (base.get(name) == _DROP or name.startswith(_FORWARDED)):
                    raise ValueError(f"expected an exception that is not the edge's own to say, got {each!r}")
                if is_prefix:
                    (excepted if is_exception else prefixes).append(name)
                elif is_exception:
                    uses[name] = base.get(name, _PASS)
                elif base.get(name) != _DROP and uses.get(name) not in (_PASS, _STRIP):
                    uses[name] = _NOTE_STRIP if base.get(name) == _NOTE else _STRIP
        self._prefixes = (_FORWARDED, *prefixes)
        self._excepted = tuple(excepted)
        for name, use in list(uses.items()):
            if use in _STRIPPED and name.startswith(self._excepted):
                uses[name] = base.get(name, _PASS)
            elif use == _NOTE and self._has_dropped_prefix(name):
                uses[name] = _NOTE_STRIP
        self._uses = uses
        self._plain = frozenset(name for name in _PLAIN if not self.is_dropped(name.lower()))

    def sort(self, lines: list[bytes]) -> tuple[dict[str, list[bytes]], list[bytes]]:
        """
        Part lines into those read here, by lower-case name, and those passed on.

        :raises MessageRefused: for a twin of a field that is read here.
        """
        found: dict[str, list[bytes]] = {}
        kept: list[bytes] = []
        plain, uses, prefixes = self._plain, self._uses, self._prefixes
        for line in lines:
            name, _, value = line.partition(b":")
            if name in plain:
                kept.append(line)
                continue
            name = name.lower()
            use = uses.get(name)
            if use is None:
                if _unusual.search(name):
                    if self._is_dropped_twin(name):
                        continue
                elif name.startswith(prefixes) and self._has_dropped_prefix(name):
                    continue
                kept.append(line)
            elif use == _PASS:
                kept.append(line)
            elif use != _DROP and use != _STRIP:
                key = name.decode()
                if key in found:
                    found[key].append(value)
                else:
                    found[key] = [value]
                if use == _NOTE:
                    kept.append(line)
        return found, kept

    def may_differ(self, name: bytes) -> bool:
        """Whether a field's value means nothing to the edge: it is passed on, or stripped, whatever it is."""
        if name == b"accept":
            return True  # noted for pages of the edge's own
        if name.startswith(_FORWARDED) or _unusual.search(name):
            return False
        return self._uses.get(name, _PASS) in (_PASS, _STRIP)

    def is_dropped(self, name: bytes) -> bool:
        """Whether a field of this lower-case name is dropped, because of what it is or what it would be taken for."""
        name = _unusual.sub(b"-", name)
        use = self._uses.get(name)
        return self._has_dropped_prefix(name) if use is None else use == _DROP or use in _STRIPPED

    def _has_dropped_prefix(self, name: bytes) -> bool:
        """Whether fields that begin like this are dropped."""
        if not name.startswith(self._prefixes):
            return False
        return name.startswith(_FORWARDED) or not name.startswith(self._excepted)

    def _is_dropped_twin(self, name: bytes) -> bool:
        """Whether such a twin is dropped like the field it would be taken for; raises for those of framing."""
        if self._uses.get(_unusual.sub(b"-", name)) == _READ:
            raise MessageRefused(SHADOW_FIELD)
        return self.is_dropped(name)


def _parse_pattern(pattern: str) -> tuple[bytes, bool]:
    """Read a name or a prefix; return it in its normal form, and whether it is a prefix."""
    is_prefix = pattern.endswith("*") and pattern != "*"
    name = pattern.removesuffix("*") if is_prefix else pattern
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name) or (is_prefix and len(name) < _MIN_PREFIX):
        raise ValueError(
            f"expected a field name, or the beginning of some with a '*', such as X-Original-*, got {pattern!r}"
        )
    return _unusual.sub(b"-", name.lower().encode("ascii")), is_prefix


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


def hops_line(values: Iterable[bytes]) -> bytes:
    """
    Return the line that says how many edges the request has passed, this one included.

    It is a field of our own, for what RFC 9110 §7.6.3 has Via: by Via nginx and others believe that a cache asks, and
    do not compress.

    :raises MessageRefused: if it has passed too many.
    """
    said = [int(value) for value in values if len(value) < 6 and value.strip(OPTIONAL_WHITESPACE).isdigit()]
    passed = max(said, default=0)
    if passed >= _MAX_PASSES:
        raise MessageRefused(LOOP)
    return b"Warp-Hops: %d\r\n" % (passed + 1)


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
