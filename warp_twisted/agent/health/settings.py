"""
The key `health` of an ingress rule: how the rule's origin is probed, and which answer is good.

Pure; what is wrong is refused with the key that it is about.
"""

import re
from typing import Annotated, Literal

import msgspec

from warp_twisted.durations import parse_duration

DEFAULT_INTERVAL = 5.0
DEFAULT_TIMEOUT = 2.0
MIN_INTERVAL = 1.0
MAX_INTERVAL = 3_600.0
MIN_TIMEOUT = 0.05
MAX_TIMEOUT = 60.0
MAX_TARGET = 1_024
MAX_BODY_TEXT = 256
BODY_BYTES = 65_536  # of an answer that are looked at
DEFAULT_STATUS = "200-399"  # a redirection is an answer; it is not followed

_TARGET = re.compile(r"/[!-~]*")
_HOST = re.compile(r"[A-Za-z0-9._~-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?", re.ASCII)
_STATUS = re.compile(r"([1-5][0-9]{2})(?:\s*-\s*([1-5][0-9]{2}))?", re.ASCII)

Count = Annotated[int, msgspec.Meta(ge=1, le=20)]
Span = Annotated[str, msgspec.Meta(max_length=64)] | float


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    Which answer is good.

    :param status: status codes and ranges: `200`, `200-299`, `200, 204, 301-308`.
    :param body: text that must be in the first 64 KiB of the body.
    """

    status: Annotated[str, msgspec.Meta(max_length=256)] | int = DEFAULT_STATUS
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BODY_TEXT)] | None = None

    def __post_init__(self) -> None:
        parse_statuses("status", str(self.status))


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    How an origin is probed: `path` is asked for by GET, or `tcp` only connects.

    :param host: what the request says in Host; a rule's own hostname, or the origin's address, unless given.
    :param interval: from one probe to the next, `timeout`: for one, with connecting; seconds, or such as `10s`.
    :param expect: which answer is good; a status alone may stand for it.
    :param rise: good answers in a row after which an origin is healthy again, `fall`: failures until it is not.
    """

    path: Annotated[str, msgspec.Meta(max_length=MAX_TARGET)] | None = None
    tcp: Literal[True] | None = None
    host: str | None = None
    interval: Span = DEFAULT_INTERVAL
    timeout: Span | None = None
    expect: Expect | Annotated[str, msgspec.Meta(max_length=256)] | int | None = None
    rise: Count = 2
    fall: Count = 3

    def __post_init__(self) -> None:
        if (self.path is None) == (self.tcp is None):
            raise ValueError("expected either path, such as /healthz, or tcp: true")
        if self.path is not None and not _TARGET.fullmatch(self.path):
            raise ValueError(f"path: expected a path such as /healthz, without spaces, got {self.path!r}")
        for key in ("host", "expect"):
            if self.tcp and getattr(self, key) is not None:
                raise ValueError(f"{key}: belongs to a path, and this only connects")
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise ValueError(f"host: expected a name such as app.example, got {self.host!r}")
        if self.expect is not None and not isinstance(self.expect, Expect):
            parse_statuses("expect", str(self.expect))
        interval = _seconds("interval", self.interval, MIN_INTERVAL, MAX_INTERVAL)
        timeout = interval if self.timeout is None else _seconds("timeout", self.timeout, MIN_TIMEOUT, MAX_TIMEOUT)
        if timeout > interval:
            raise ValueError(f"timeout: {timeout:g} seconds are longer than the interval, which is {interval:g}")

    @property
    def interval_seconds(self) -> float:
        """From the beginning of one probe to that of the next."""
        return _seconds("interval", self.interval, MIN_INTERVAL, MAX_INTERVAL)

    @property
    def timeout_seconds(self) -> float:
        """How long one probe may take."""
        if self.timeout is None:
            return min(DEFAULT_TIMEOUT, self.interval_seconds)
        return _seconds("timeout", self.timeout, MIN_TIMEOUT, MAX_TIMEOUT)

    @property
    def statuses(self) -> frozenset[int]:
        """The status codes that are good."""
        expect = self.expect
        status = expect.status if isinstance(expect, Expect) else DEFAULT_STATUS if expect is None else expect
        return parse_statuses("expect", str(status))

    @property
    def body(self) -> bytes:
        """What must be in the body; empty: anything is good."""
        text = self.expect.body if isinstance(self.expect, Expect) else None
        return (text or "").encode()


def parse_statuses(key: str, text: str) -> frozenset[int]:
    """
    Read status codes and ranges of them.

    :raises ValueError: beginning with the key.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _STATUS.fullmatch(part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"{key}: expected status codes such as 200, 200-299 or 200,204, got {text!r}")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def _seconds(key: str, value: Span, least: float, most: float) -> float:
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    if not least <= seconds <= most:
        raise ValueError(f"{key}: expected {least:g} to {most:g} seconds, got {value}")
    return seconds
