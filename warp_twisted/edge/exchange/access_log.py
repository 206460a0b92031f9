"""
The access log: one JSON object a line for each request, and for each connection that was refused.

Lines are encoded into a buffer at once and written when it is large or old enough, so a request costs no system
call and no logging call. What a line holds is fixed here; where lines go is the caller's.
"""

import time
from collections.abc import Callable

import msgspec

from warp_base.escaping import printable_json_bytes
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.wall_clock import WallClock

FLUSH_BYTES = 262_144
_MAX_TARGET = 2_048  # of a target in a line; the head's own limit may be larger


class AccessEntry(msgspec.Struct, omit_defaults=True):
    """
    One line.

    :param time: when the answer was complete, UTC, RFC 3339 with milliseconds.
    :param host: the hostname asked for, empty where no head was read.
    :param path: the request target with its query, cut at 2,048 characters.
    :param status: what the visitor was answered; 499 if it left before.
    :param bytes_in: head and body of the request as read; `bytes_out`: of the response as written.
    :param route: hostname pattern and path rule that matched.
    :param reason: the refusal's slug, if there was one; `detail`: the agent's words about it, or the rule's; also
        that the origin which served it was not healthy.
    :param rule: of the policy, that did not let it through; `would`: rules that only log and would not have.
    :param share: of a split hostname, that served it: its selector; `tester`: that a tester asked for;
        `mirror`: the selector of the shadow that got a copy.
    :param user: who the visitor proved to be.
    :param held_ms: of the duration, for how long a limit of bytes held the request or its answer back.
    :param queued_ms: of the duration, for how long it waited for a place at an origin.
    :param via: the edge that has the tunnel, where that is another one: it relayed the request.
    """

    time: str
    id: str
    visitor: str
    scheme: str
    method: str
    host: str
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    duration_ms: float
    tunnel: str = ""
    agent: str = ""
    route: str = ""
    user_agent: str = ""
    reason: str = ""
    detail: str = ""
    rule: str = ""
    would: str = ""
    user: str = ""
    held_ms: int = 0
    share: str = ""
    tester: str = ""
    mirror: str = ""
    queued_ms: int = 0
    via: str = ""


class AccessLog:
    """
    A buffered writer of access lines.

    :param write: takes whole lines; called by `flush` and when the buffer is full.
    :param wall: stamps the lines.
    """

    def __init__(self, write: Callable[[bytes], object], wall: WallClock = MACHINE_WALL_CLOCK) -> None:
        self._write = write
        self._now = wall.now
        self._buffer = bytearray()
        self._encode_into = msgspec.json.Encoder().encode_into
        self._second = -1
        self._second_text = ""
        self._millisecond = -1
        self._text = ""

    def timestamp(self) -> str:
        """Return the time as lines state it; each part is formatted only when it has changed."""
        millisecond = int(self._now() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._text = f"{self._second_text}.{rest:03d}Z"
        return self._text

    def record(self, entry: AccessEntry) -> None:
        """Add a line."""
        if len(entry.path) > _MAX_TARGET:
            entry.path = entry.path[:_MAX_TARGET]
        buffer = self._buffer
        if entry.detail or not entry.user_agent.isascii() or not entry.route.isascii():
            buffer += printable_json_bytes(msgspec.json.encode(entry))
        else:  # all of it is printable ASCII, as method, host, path and User-Agent were read
            self._encode_into(entry, buffer, -1)
        buffer += b"\n"
        if len(buffer) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._write(data)
