"""
The yamux frame header: its layout, its constants, and which side a stream id belongs to.

Words and numbers of spec.md §2; nothing here has state.
"""

from enum import Enum, IntEnum
from struct import Struct

HEADER_BYTES = 12
INITIAL_WINDOW_BYTES = 256 * 1024  # both sides assume it for every new stream (spec.md §4)
MAX_CREDIT = 2**32 - 1  # the length field of a window update is unsigned 32 bits
MAX_STREAM_ID = 2**32 - 1

# 12 bytes, big endian: version (1), type (1), flags (2), stream id (4), length (4). The first four bytes are read
# as one word, so the common frame, DATA of version 0 without flags, is told by comparing that word with zero.
HEADER = Struct(">LLL")
DATA_WORD = 0x0000_0000
WINDOW_UPDATE_WORD = 0x0001_0000
PING_WORD = 0x0002_0000
GO_AWAY_WORD = 0x0003_0000


class FrameType(IntEnum):
    """What a frame is; the second byte of the header."""

    DATA = 0
    WINDOW_UPDATE = 1
    PING = 2
    GO_AWAY = 3


# What a frame does to its stream besides; bytes three and four of the header. Plain numbers: `&` with an `IntFlag`
# makes an object each time, which was a third of the cost of opening and closing a stream.
SYN = 1
ACK = 2
FIN = 4
RST = 8
ALL_FLAGS = SYN | ACK | FIN | RST


class ResetReason(IntEnum):
    """Why an edge cuts a stream of another edge: the length of a WINDOW_UPDATE frame with RST (spec.md §3)."""

    NONE = 0
    TUNNEL_LOST = 1


class GoAwayCode(IntEnum):
    """Why a side ends the tunnel; 0 to 2 are yamux's, the others ours (spec.md §5)."""

    NORMAL = 0x00
    PROTOCOL_ERROR = 0x01
    INTERNAL_ERROR = 0x02
    FLOW_CONTROL_ERROR = 0x10
    FRAME_TOO_LARGE = 0x11
    TOO_MANY_STREAMS = 0x12
    FLOOD = 0x13
    CONTROL_ERROR = 0x14
    TIMED_OUT = 0x15
    REPLACED = 0x16
    REVOKED = 0x17


class Role(Enum):
    """Which side of the tunnel this is, for the parity of stream ids; the agent is the client."""

    CLIENT = 1
    SERVER = 0

    @property
    def first_stream_id(self) -> int:
        """The first id this side may open: 1 for the client, 2 for the server."""
        return 1 if self is Role.CLIENT else 2


def encode_header(frame_type: FrameType, flags: int, stream_id: int, length: int) -> bytes:
    """Build the 12 bytes of a header; every field must already be in range."""
    return HEADER.pack(frame_type << 16 | flags, stream_id, length)
