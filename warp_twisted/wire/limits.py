"""
How much one tunnel may hold: the number behind each buffer, table and wait of this room.

Checked once, at construction; the rest of the room believes them.
"""

from dataclasses import dataclass

from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The limits of one connection.

    :ivar max_streams: streams open at once, both sides' together; hashicorp/yamux has no such limit.
    :ivar max_peer_streams: of these, opened by the peer. One more is refused with RST.
    :ivar max_refusals: refusals in a row, without a stream accepted between, before the tunnel ends.
    :ivar accept_backlog: own streams that the peer has not acknowledged yet; hashicorp/yamux refuses the 257th.
    :ivar max_window_bytes: how far a stream's receive window may grow from yamux's 256 KiB when the window is what
        limits its speed. 256 KiB switches growth off. More is faster on long paths (a window a round trip), and is
        what a reader that suddenly stands still costs; the default keeps that, edge and agent together, below 2 MiB.
    :ivar max_growth_bytes: growth of all receive windows of the connection together.
    :ivar max_frame_bytes: the largest DATA frame accepted, for streams that are no longer known too.
    :ivar high_water_bytes: unsent bytes from which on what is written waits for its turn among the streams.
    :ivar max_stream_queue_bytes: bytes that may wait for credit on one stream before a further write cuts it.
    :ivar max_queue_bytes: unsent and waiting bytes of the whole connection before a further write cuts its stream.
    :ivar max_pings: own pings without an answer.
    :ivar max_replies: answers (to pings and refused streams) that the transport has not taken.
    :ivar max_empty_frames: frames of the peer that carry nothing (spec.md §5), beyond what makes up for them.
    :ivar frames_at_once: frames obeyed in one call; the rest waits, so that no peer's frames hold up the others'.
    """

    max_streams: int = 4096
    max_peer_streams: int = 4096
    max_refusals: int = 1000
    accept_backlog: int = 256
    max_window_bytes: int = 2 * INITIAL_WINDOW_BYTES
    max_growth_bytes: int = 64 * INITIAL_WINDOW_BYTES
    max_frame_bytes: int = 4 * INITIAL_WINDOW_BYTES
    high_water_bytes: int = 256 * 1024
    max_stream_queue_bytes: int = 1024 * 1024
    max_queue_bytes: int = 64 * 1024 * 1024
    max_pings: int = 8
    max_replies: int = 512
    max_empty_frames: int = 1000
    frames_at_once: int = 128

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value < (0 if name in ("max_growth_bytes", "max_refusals") else 1):
                raise InvalidSettings(f"limit {name} is {value}: a positive number is expected")
        if not INITIAL_WINDOW_BYTES <= self.max_window_bytes <= self.max_frame_bytes < 2**31:
            raise InvalidSettings(
                f"limits must hold: {INITIAL_WINDOW_BYTES} <= max_window_bytes ({self.max_window_bytes})"
                f" <= max_frame_bytes ({self.max_frame_bytes}) < 2**31"
            )
