"""Small stand-ins for tunnels and borrowers, for tests of routes and pooled streams."""

from dataclasses import dataclass, field

from warp_twisted.edge.pool import OriginStream
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.connection import Connection
from warp_twisted.wire.errors import CannotOpenStream
from warp_twisted.wire.frames import Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import Opening, OpeningReader, OpeningReceiver, encode_opening, encode_preamble
from warp_twisted.wire.preamble import OpeningCode as Code
from warp_twisted.wire.streams import Stream


class FakeOpener:
    """
    A tunnel's end without a transport: streams are real, and the agent says what the test says.

    :ivar is_full: refuse to open streams.
    """

    def __init__(self) -> None:
        self.is_full = False
        self.opened: list[tuple[int, Stream]] = []
        self.connection = Connection(Role.SERVER, Limits(), stream_opened=lambda stream: None, wake=lambda: None)

    @property
    def can_open_stream(self) -> bool:
        return not self.is_full

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        if self.is_full:
            raise CannotOpenStream("full")
        reader = OpeningReader(receiver)
        stream = self.connection.open_stream(reader, encode_preamble(route_id) + data)
        reader.stream = stream
        self.opened.append((route_id, stream))
        return stream

    def arrive(self, stream: Stream, data: bytes) -> None:
        """Deliver bytes of the agent on a stream."""
        stream.receive_credit -= len(data)
        stream.receiver.data_received(data)

    def answer(self, stream: Stream, code: Code = Code.OPENED) -> None:
        """Deliver the opening reply."""
        self.arrive(stream, encode_opening(code, "why"))


@dataclass(eq=False)
class FakeTunnel:
    """A registered tunnel."""

    id: str
    agent: str = "agent-1"
    protocol: FakeOpener = field(default_factory=FakeOpener)


class FakeBorrower(RecordingReceiver):
    """Who uses an origin stream."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def origin_opened(self) -> None:
        """Remember it."""
        self.events.append("opened")

    def origin_refused(self, opening: Opening) -> None:
        """Remember it."""
        self.events.append(f"refused {opening.code.name}")


def opened(origin: OriginStream) -> OriginStream:
    """Let the agent reach the origin."""
    opener = origin.member.load.tunnel.protocol
    assert isinstance(opener, FakeOpener)
    opener.answer(origin.stream)
    return origin
