"""Two connections joined back to back, and one alone with a peer that is only bytes."""

from dataclasses import dataclass, field

from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.connection import Connection
from warp_twisted.wire.frames import ACK, FIN, RST, SYN, FrameType, Role, encode_header
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.streams import Stream

__all__ = ["ACK", "DATA", "FIN", "GO_AWAY", "PING", "RST", "SYN", "WINDOW_UPDATE", "End", "Pair", "frame"]

DATA, WINDOW_UPDATE, PING, GO_AWAY = FrameType


def frame(kind: FrameType, flags: int, stream_id: int, value: int | bytes = 0) -> bytes:
    """Build a frame; for DATA the value is the payload."""
    if isinstance(value, bytes):
        return encode_header(kind, flags, stream_id, len(value)) + value
    return encode_header(kind, flags, stream_id, value)


@dataclass
class End:
    """
    One connection that records what it was told.

    :ivar consumes: whether receivers of streams that the peer opens return credit at once.
    """

    role: Role = Role.CLIENT
    limits: Limits = field(default_factory=Limits)
    consumes: bool = True

    def __post_init__(self) -> None:
        self.opened: list[Stream] = []
        self.receivers: list[RecordingReceiver] = []
        self.wakes = 0
        self.codes: list[int] = []
        self.pongs: list[int] = []
        self.connection = Connection(
            self.role,
            self.limits,
            stream_opened=self.stream_opened,
            wake=self.wake,
            went_away=self.codes.append,
            ponged=self.pongs.append,
        )

    def stream_opened(self, stream: Stream) -> None:
        receiver = RecordingReceiver(self.consumes)
        receiver.attach(stream)
        self.opened.append(stream)
        self.receivers.append(receiver)

    def wake(self) -> None:
        self.wakes += 1

    def open(self, data: bytes = b"", consumes: bool = True) -> tuple[Stream, RecordingReceiver]:
        """Open a stream with a recording receiver."""
        receiver = RecordingReceiver(consumes)
        stream = receiver.stream = self.connection.open_stream(receiver, data)
        return stream, receiver

    def receive(self, data: bytes, chunk: int = 0) -> None:
        """Take bytes, whole or in chunks."""
        for at in range(0, len(data), chunk or len(data) or 1):
            self.connection.receive_data(data[at : at + (chunk or len(data))])

    def catch_up(self) -> None:
        """Obey all frames that wait."""
        while self.connection.is_behind:
            self.connection.receive_more()


class Pair:
    """An agent's and an edge's connection."""

    def __init__(self, chunk: int = 0, limits: Limits | None = None, consumes: bool = True) -> None:
        self.chunk = chunk
        self.agent = End(Role.CLIENT, limits or Limits(), consumes)
        self.edge = End(Role.SERVER, limits or Limits(), consumes)

    def pump(self) -> None:
        """Move bytes until both are quiet."""
        for _ in range(1000):
            there = self.agent.connection.data_to_send()
            self.edge.receive(there, self.chunk)
            self.edge.catch_up()
            back = self.edge.connection.data_to_send()
            self.agent.receive(back, self.chunk)
            self.agent.catch_up()
            if not there and not back:
                return
        raise AssertionError("the pair is never quiet")
