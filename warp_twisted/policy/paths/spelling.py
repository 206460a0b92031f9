"""
What servers read in different ways in a path, and the readings that there are.

A path that holds an oddity is refused wherever a rule about paths decides, unless the rule allows this kind. Then it is
judged under every reading: what restricts applies if one of them matches, what permits only if all of them do.

nginx decodes, merges slashes and resolves dots; Go redirects to what it has cleaned; Node hands the path on as it came;
gunicorn decodes once and leaves the rest; Tomcat cuts parameters off each segment; IIS takes a backslash for a slash.
"""

import re
import unicodedata
from typing import Literal, get_args
from urllib.parse import unquote_to_bytes

AllowableOddity = Literal[
    "backslash",
    "dot_segments",
    "empty_segments",
    "encoded_backslash",
    "encoded_control",
    "encoded_delimiter",
    "encoded_dot",
    "encoded_percent",
    "encoded_slash",
    "encoded_unreserved",
    "parameters",
]
ALLOWABLE: frozenset[str] = frozenset(get_args(AllowableOddity))
# These have no reading that could be trusted: they are always refused where a path decides.
NEVER_ALLOWED = frozenset({"bad_encoding", "bad_utf8", "fragment", "lookalike", "not_absolute", "raw_byte"})
MAX_ODD_PATH = 2_048  # bytes of an odd path that is judged; a longer one is refused
MAX_READINGS = 32
MAX_READ = 8_192  # bytes of all readings of one path

# Segments without oddities, escapes and dots at their end; possessive, so that nothing is tried twice.
_is_plain = re.compile(rb"(?=/)(?:/[A-Za-z0-9_~!$&'()*+,=:@.-]++(?<!\.))*+/?\Z").match
_EMPTY = b"//"
_DOT_SEGMENT = re.compile(rb"/\.\.?(?=/|\Z)")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_RAW = re.compile(rb"[^\x21-\x7e]")
# Bytes that a URL may hold only encoded (WHATWG and RFC 3986 agree): their encoding is no choice of the sender's.
_ALWAYS_ENCODED = frozenset({*range(0x80, 0x100), *b' "<>`{}^|[]'})
_ODD_ESCAPES = {
    **dict.fromkeys((*range(0x20), 0x7F), "encoded_control"),
    ord("/"): "encoded_slash",
    ord("\\"): "encoded_backslash",
    ord("."): "encoded_dot",
    ord("%"): "encoded_percent",
    ord(";"): "parameters",
    **dict.fromkeys(b"?#", "encoded_delimiter"),
    **dict.fromkeys(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~", "encoded_unreserved"),
}
_SEPARATING = frozenset("/\\%;?#")
_NOTHING_ODD: frozenset[str] = frozenset()


def is_plain(path: bytes) -> bool:
    """Whether a path has neither oddities nor escapes nor dots at the end of a segment, as most have."""
    return _is_plain(path) is not None


def oddities(path: bytes) -> frozenset[str]:
    """Return what servers read in different ways in a path as it was sent, without the query."""
    if is_plain(path):
        return _NOTHING_ODD
    found: set[str] = set()
    if not path.startswith(b"/"):
        found.add("not_absolute")
    if _RAW.search(path):
        found.add("raw_byte")
    if b"#" in path:
        found.add("fragment")
    if _EMPTY in path:
        found.add("empty_segments")
    if b"\\" in path:
        found.add("backslash")
    if b";" in path:
        found.add("parameters")
    if _DOT_SEGMENT.search(path):
        found.add("dot_segments")
    for escape in _ESCAPE.finditer(path):
        if escape[1] is None:
            found.add("bad_encoding")
        elif kind := _ODD_ESCAPES.get(int(escape[1], 16)):
            found.add(kind)
    return frozenset(found | _unicode_oddities(unquote_to_bytes(path)))


def _unicode_oddities(decoded: bytes) -> set[str]:
    """Return `bad_utf8` (overlong forms and surrogates too), or `lookalike`: another way to write a separator."""
    if decoded.isascii():
        return set()
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        return {"bad_utf8"}
    folded = unicodedata.normalize("NFKC", text)
    if any(folded.count(each) > text.count(each) for each in _SEPARATING):
        return {"lookalike"}
    before, after = text.split("/"), folded.split("/")
    dots = {".", ".."}
    return (
        {"lookalike"} if any(new in dots and old not in dots for old, new in zip(before, after, strict=True)) else set()
    )


def canonical(path: bytes) -> bytes:
    """
    Return the one form of a path whose encoded bytes had to be encoded: those are decoded, all other escapes stay.

    Patterns that permit are compared with this, so an origin that decodes and one that does not read the same.
    """
    if b"%" not in path:
        return path
    return _ESCAPE.sub(_decode_if_always_encoded, path)


def _decode_if_always_encoded(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16) if escape[1] else 0
    return bytes((byte,)) if byte in _ALWAYS_ENCODED else escape[0]


def readings(path: bytes) -> frozenset[bytes] | None:
    """
    Return every way in which servers read a path: what any order of decoding, cutting and cleaning makes of it.

    :returns: None if there are too many, or the path is too long.
    """
    if len(path) > MAX_ODD_PATH:
        return None
    found = {path}
    size = len(path)
    waiting = [path]
    while waiting:
        reading = waiting.pop()
        for change in _CHANGES:
            made = change(reading)
            if made not in found:
                found.add(made)
                waiting.append(made)
                size += len(made)
                if len(found) > MAX_READINGS or size > MAX_READ:
                    return None
    return frozenset(found)


def _merge_slashes(path: bytes) -> bytes:
    return re.sub(rb"/{2,}", b"/", path)


def _turn_backslashes(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


def _cut_parameters(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def _cut_end(path: bytes) -> bytes:
    """Cut a path where C ends a string, or where a URL's path would end once it is decoded."""
    return re.split(rb"[\x00?#]", path, maxsplit=1)[0] or b"/"


def _resolve_dots(path: bytes) -> bytes:
    """Remove dot segments as RFC 3986 §5.2.4 does."""
    if not _DOT_SEGMENT.search(path):
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


_CHANGES = (unquote_to_bytes, _turn_backslashes, _merge_slashes, _cut_parameters, _cut_end, _resolve_dots)
