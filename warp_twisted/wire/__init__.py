"""
The tunnel's protocol without sockets: bytes in, calls out; calls in, bytes out.

Normative text: `spec.md` beside this file. This room knows no Twisted, no clock and no log; `warp_twisted.tunnel`
gives it a transport. Start at `connection.Connection`.
"""

from warp_twisted.wire.connection import Connection
from warp_twisted.wire.errors import LocalProtocolError, RemoteProtocolError, WireError
from warp_twisted.wire.frames import GoAwayCode, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.streams import Stream, StreamReceiver

__all__ = [
    "Connection",
    "GoAwayCode",
    "Limits",
    "LocalProtocolError",
    "RemoteProtocolError",
    "Role",
    "Stream",
    "StreamReceiver",
    "WireError",
]
