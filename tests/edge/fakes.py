"""Small stand-ins for tunnels and borrowers, for tests of routes and pooled streams."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IConsumer, IProducer, IProtocol, IPullProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.connection import Connection
from warp_twisted.wire.errors import CannotOpenStream
from warp_twisted.wire.frames import HEADER, Role
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.preamble import Opening, OpeningReader, OpeningReceiver, encode_opening, encode_preamble
from warp_twisted.wire.preamble import OpeningCode as Code
from warp_twisted.wire.streams import Stream


class FakeOpener:
    """
    A tunnel's end without a transport: streams are real, and the agent says what the test says.

    :ivar is_full: refuse to open streams.
    :ivar heard_at: changed by a test that lets the agent be heard.
    :ivar pings: how often the agent was asked for a sign of life.
    """

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.pings = 0
        self.is_full = False
        self.opened: list[tuple[int, Stream]] = []
        self.connection = Connection(Role.SERVER, Limits(), stream_opened=lambda stream: None, wake=lambda: None)

    @property
    def can_open_stream(self) -> bool:
        return not self.is_full

    def ping(self) -> None:
        self.pings += 1

    def open_route(self, route_id: int, receiver: OpeningReceiver, data: bytes = b"") -> Stream:
        if self.is_full:
            raise CannotOpenStream("full")
        reader = OpeningReader(receiver)
        stream = self.connection.open_stream(reader, encode_preamble(route_id) + data)
        reader.stream = stream
        self.opened.append((route_id, stream))
        return stream

    def sent(self) -> dict[int, bytes]:
        """Return what was written to each stream since the last call, as far as its credit went."""
        data = self.connection.data_to_send()
        written: dict[int, bytes] = {}
        at = 0
        while at < len(data):
            word, stream_id, length = HEADER.unpack_from(data, at)
            at += HEADER.size
            if word >> 16 == 0:
                written[stream_id] = written.get(stream_id, b"") + data[at : at + length]
                at += length
        return written

    def arrive(self, stream: Stream, data: bytes) -> None:
        """Deliver bytes of the agent on a stream, sent after it heard what was written before."""
        stream.peer_heard = True
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
    labels: Mapping[str, str] = field(default_factory=dict)
    protocol: FakeOpener = field(default_factory=FakeOpener)
    via: str = ""


class FakeBorrower(RecordingReceiver):
    """Who uses an origin stream."""

    def __init__(self, network: str = "192.0.2.7") -> None:
        super().__init__()
        self.network = network
        self.events: list[str] = []

    def origin_opened(self) -> None:
        """Remember it."""
        self.events.append("opened")

    def origin_refused(self, opening: Opening) -> None:
        """Remember it."""
        self.events.append(f"refused {opening.code.name}")

    def tunnel_suspected(self) -> None:
        """Remember it."""
        self.events.append("suspected")


def opened(origin: OriginStream) -> OriginStream:
    """Let the agent reach the origin."""
    opener = origin.member.load.tunnel.protocol
    assert isinstance(opener, FakeOpener)
    opener.answer(origin.stream)
    return origin


@implementer(ITransport, IConsumer)
class FakeTransport:
    """
    A visitor's socket: takes as many bytes as there is room for, as Twisted's TCP connection does.

    :ivar room: bytes the socket takes before it is full.
    :ivar taken: what the visitor got.
    :ivar is_ended: whether our sending side was closed while the visitor's may be open.
    :ivar error: what the kernel says of the socket, such as that the visitor has reset it; 0: nothing.
    """

    def __init__(self) -> None:
        self.is_ended = self.is_lost = False
        self.error = 0
        self.protocol: IProtocol | None = None
        self.room = 1 << 30
        self.taken = b""
        self.waiting = b""
        self.is_reading = True
        self.is_closing = False
        self.is_aborted = False
        self.producer: IPullProducer | None = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As TCP has it."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """As TCP has it."""

    def getHandle(self) -> "FakeTransport":
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """As a socket has it."""

    def getsockopt(self, level: int, option: int) -> int:
        return self.error

    def writeSomeData(self, data: bytes) -> int:
        count = min(len(data), self.room)
        self.taken += data[:count]
        self.room -= count
        return count

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 80)

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.7", 40_000)

    def write(self, data: bytes) -> None:
        if not self.is_closing:
            self.waiting += data

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self.producer = IPullProducer(producer)
        if self.protocol is None:
            self.protocol = IProtocol(producer)
        self.producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def read(self, count: int) -> None:
        """The visitor reads: there is room again, and what waits goes out."""
        self.room += count
        while self.waiting and self.room:
            sent = self.writeSomeData(self.waiting)
            self.waiting = self.waiting[sent:]
            if not self.waiting and self.producer is not None:
                self.producer.resumeProducing()

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True

    def loseConnection(self) -> None:
        self.is_closing = True

    def loseWriteConnection(self) -> None:
        self.is_ended = True

    def connectionLost(self, reason: Failure) -> None:
        self.is_closing = self.is_lost = True
        if self.protocol is not None:
            self.protocol.connectionLost(reason)

    def abortConnection(self) -> None:
        self.is_closing = self.is_aborted = True
