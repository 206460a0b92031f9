"""
Patterns of paths as rules write them, such as `/admin/*`, and routes, such as `GET /v1/*`.

A pattern is written decoded. `*` as the last segment stands for everything below, as a segment elsewhere for exactly
one, and within a segment for any characters but a slash.
"""

import re
import unicodedata
from dataclasses import dataclass

MAX_SEGMENTS = 32
_FORBIDDEN = {
    "%": "write it decoded, without '%'",
    "?": "a query is matched by the key query",
    "#": "a fragment never reaches a server",
    "\\": "a backslash is read in two ways",
    ";": "parameters are read in two ways",
}
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_ROUTE = re.compile(r"(?:([A-Za-z-]+) +)?(\S.*)")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """
    One pattern.

    :ivar segments: text between slashes, `*` in it stands for something; a last, empty one is a slash at the end.
    :ivar has_below: whether it ends with `/*`, which is not among the segments.
    """

    segments: tuple[str, ...]
    has_below: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A method, None for every method, and the pattern of paths for which it exists."""

    method: str | None
    pattern: PathPattern


def parse_pattern(text: str) -> PathPattern:
    """
    Read a pattern.

    :raises ValueError: saying what was expected.
    """
    if not text.startswith("/"):
        raise ValueError(f"expected a path that begins with '/', got {text!r}")
    for character, why in _FORBIDDEN.items():
        if character in text:
            raise ValueError(f"{text!r}: {why}")
    if not text.isprintable():
        raise ValueError(f"{text!r}: holds a control character")
    if "**" in text:
        raise ValueError(f"{text!r}: expected a single '*'; at the end it stands for everything below")
    segments = unicodedata.normalize("NFC", text).split("/")[1:]
    has_below = segments[-1] == "*"
    if has_below:
        del segments[-1]
    if "" in segments[:-1] or (has_below and "" in segments):
        raise ValueError(f"{text!r}: holds an empty segment")
    if "." in segments or ".." in segments:
        raise ValueError(f"{text!r}: holds a segment '.' or '..'")
    if len(segments) > MAX_SEGMENTS:
        raise ValueError(f"{text!r}: expected {MAX_SEGMENTS} segments at most")
    return PathPattern(tuple(segments), has_below)


def parse_route(text: str) -> Route:
    """
    Read a route: `GET /v1/*`, or a pattern alone for every method.

    :raises ValueError: saying what was expected.
    """
    match = _ROUTE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a route such as 'GET /v1/*', got {text!r}")
    if match[1] is not None:
        check_method(match[1])
    return Route(match[1], parse_pattern(match[2]))


def check_method(text: str) -> None:
    """
    Check a method.

    :raises ValueError: saying what was expected.
    """
    if not _METHOD.fullmatch(text):
        raise ValueError(f"expected a method in upper case such as GET, got {text!r}")
