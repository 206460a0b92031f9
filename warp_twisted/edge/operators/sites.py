"""
The HTTP sites that operators and monitoring reach: quiet, bounded, and ended on command; the form of a JSON answer; and
who asks.

Knows no call of the edge: `admin` and `observation` serve theirs through it.
"""

import socket
import struct
from io import BytesIO
from typing import Any

import msgspec
from klein import Klein
from twisted.protocols.policies import WrappingFactory
from twisted.web.http import Request
from twisted.web.server import Request as SiteRequest

from warp_base.quiet_site import QuietSite

MAX_BODY_BYTES = 576 << 10  # of any call: a policy, which has 512 KiB at most, and what goes with it
BODY_SECONDS = 30.0  # for a whole body
_CREDENTIALS = struct.Struct("3i")  # struct ucred of Linux: process, user, group


class BoundedRequest(SiteRequest):
    """A request whose body stays in memory, ends in time, and is not taken for a form."""

    channel: Any
    _size = 0
    _limit: Any = None

    def gotLength(self, length: int | None) -> None:
        """See `IRequest`: a body begins."""
        self.content: BytesIO = BytesIO()
        if length != 0:
            self._limit = self.channel.callLater(BODY_SECONDS, self.channel.transport.abortConnection)

    def handleContentChunk(self, data: bytes) -> None:
        """See `IRequest`: take a part of the body."""
        self._size += len(data)
        if self._size <= MAX_BODY_BYTES:
            self.content.write(data)
        elif self._size - len(data) <= MAX_BODY_BYTES:
            text = msgspec.json.encode({"error": f"the body has more than {MAX_BODY_BYTES} bytes"})
            head = "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n"
            self.channel.transport.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(text) + text)
            self.channel.transport.loseConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See `IRequest`: the body is whole."""
        self._stop_waiting()
        if self._size <= MAX_BODY_BYTES:
            self.requestHeaders.removeHeader(b"content-type")  # a form would be parsed, however long
            super().requestReceived(command, path, version)

    def connectionLost(self, reason: Any) -> None:
        """See `IRequest`: who asks is gone."""
        self._stop_waiting()
        super().connectionLost(reason)

    def _stop_waiting(self) -> None:
        limit, self._limit = self._limit, None
        if limit is not None and limit.active():
            limit.cancel()


class AdminFactory(WrappingFactory):
    """Serves a site, and can end its connections."""

    noisy = False

    def disconnect(self) -> None:
        """Hang up on everybody."""
        for protocol in tuple(self.protocols):
            protocol.abortConnection()


def make_site(app: Klein) -> AdminFactory:
    """Return the factory that serves the calls of an application."""
    return AdminFactory(QuietSite(app.resource(), requestFactory=BoundedRequest))


def answer(request: Request, value: object, code: int = 200) -> bytes:
    """Set status and type of a JSON answer, and return its body."""
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value) + b"\n"


def asking_user(request: Request) -> int | None:
    """Return the number of the unix user who asks, as the kernel knows it; None if that is not by a unix socket."""
    handle = getattr(request.channel.transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket) or handle.family != socket.AF_UNIX:
        return None
    credentials = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return int(user)
