"""The wire against hashicorp's yamux, the implementation that the format comes from, in both roles."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

from tests.case import reactor
from tests.system.tunnel.loopback import port_of, serve, until
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire import Connection, GoAwayCode, Limits, Role, Stream
from warp_twisted.wire.errors import CannotOpenStream, ConnectionLost, WireError

SOURCE = Path(__file__).parent / "yamux_peer"
GO_PATH = Path("/usr/share/gocode")


def pattern(size: int) -> bytes:
    """The bytes that the peer sends."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


class Shell(Protocol):
    """The least transport for a connection: everything is written at the end of each turn."""

    def __init__(self, role: Role, limits: Limits) -> None:
        self.opened: list[Stream] = []
        self.codes: list[int] = []
        self.pongs: list[int] = []
        self.is_connected: Deferred[None] = Deferred()
        self.is_lost: Deferred[None] = Deferred()
        self.connection = Connection(
            role,
            limits,
            stream_opened=self.stream_opened,
            wake=self.wake,
            went_away=self.codes.append,
            ponged=self.pongs.append,
        )

    def stream_opened(self, stream: Stream) -> None:
        self.opened.append(stream)
        stream.receiver = Echo(stream)

    def wake(self) -> None:
        reactor.callLater(0, self.flush)

    def flush(self) -> None:
        if self.transport is not None:
            self.transport.write(self.connection.data_to_send())

    def connectionMade(self) -> None:
        self.is_connected.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.connection.receive_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.lost(ConnectionLost(reason.getErrorMessage()))
        self.is_lost.callback(None)


class Echo:
    """Sends back what it receives, with backpressure, and ends when the peer ends."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.owed = 0

    def data_received(self, data: bytes) -> None:
        if self.stream.write(data):
            self.stream.consumed(len(data))
        else:
            self.owed += len(data)

    def credit_received(self) -> None:
        owed, self.owed = self.owed, 0
        self.stream.consumed(owed)

    def end_received(self) -> None:
        self.stream.end()

    def stream_lost(self, error: WireError) -> None:
        pass


class Waiting(RecordingReceiver):
    """
    Fires when so many bytes have come, and when the peer has ended.

    :param size: bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.left = size
        self.has_all: Deferred[bytes] = Deferred()
        self.is_ended: Deferred[None] = Deferred()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.left -= len(data)
        if self.stream is not None:
            self.stream.consumed(len(data))
        if self.left <= 0:
            self.has_all.callback(b"".join(self.pieces))

    def end_received(self) -> None:
        self.is_ended.callback(None)


class Peer(ProcessProtocol):
    """The Go program."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.waiting: list[Deferred[str]] = []
        self.buffer = ""
        self.complaints = ""
        self.is_over: Deferred[None] = Deferred()

    def ask(self, line: str) -> Deferred[str]:
        answer: Deferred[str] = Deferred()
        self.waiting.append(answer)
        assert self.transport is not None
        self.transport.write(line.encode() + b"\n")
        return answer

    def outReceived(self, data: bytes) -> None:
        self.buffer += data.decode()
        *lines, self.buffer = self.buffer.split("\n")
        for line in lines:
            self.waiting.pop(0).callback(line)

    def errReceived(self, data: bytes) -> None:
        self.complaints += data.decode()

    def processEnded(self, reason: Failure) -> None:
        self.is_over.callback(None if reason.check(ProcessDone) else reason)


_built: list[str] = []


def build(directory: Path) -> str:
    """Build the Go program, once for all tests of the process, and return where it is."""
    if not _built:
        directory.mkdir()
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOCACHE": str(directory / "cache")}
        command = ["go", "build", "-o", str(directory / "peer"), "main.go"]
        subprocess.run(command, cwd=SOURCE, env=environment, check=True, timeout=300)
        shutil.rmtree(directory / "cache")
        _built.append(str(directory / "peer"))
    return _built[0]


class YamuxTests(TestCase):
    """Our end with theirs."""

    timeout = 60

    def setUp(self) -> None:
        missing = [] if shutil.which("go") else ["golang-go"]
        if not (GO_PATH / "src/github.com/hashicorp/yamux").is_dir():
            missing.append("golang-github-hashicorp-yamux-dev")
        if missing:
            raise SkipTest(f"Debian packages are missing: {' '.join(missing)}")
        self.program = build(Path(self.mktemp()).absolute())

    async def start(self, role: Role, limits: Limits | None = None) -> None:
        """Run the peer in the other role."""
        self.shell = Shell(role, limits or Limits())
        port = serve(lambda: self.shell)
        self.addCleanup(port.stopListening)
        self.peer = Peer()
        other = "client" if role is Role.SERVER else "server"
        address = f"127.0.0.1:{port_of(port)}"
        reactor.spawnProcess(self.peer, self.program, [self.program, address, other], env={})
        self.addCleanup(self.stop)
        await self.shell.is_connected

    async def stop(self) -> None:
        assert self.peer.transport is not None
        self.peer.transport.closeStdin()
        await self.peer.is_over
        await self.shell.is_lost
        self.assertEqual(self.peer.complaints, "")

    async def exchange(self, role: Role) -> None:
        """Open streams from both sides, small and large, many at once, and compare every byte."""
        await self.start(role)
        for size in (1, 1000, 262_144, 262_145, 3_000_000):
            answer = await self.peer.ask(f"open {size}")
            self.assertEqual(answer, f"got {size} {sha256(pattern(size)).hexdigest()}")
        receivers = []
        for number in range(100):
            data = pattern(number * 1000 + 1)
            receiver = Waiting(len(data))
            receiver.attach(self.shell.connection.open_stream(receiver, data[:10]))
            assert receiver.stream is not None
            receiver.stream.write(data[10:])
            receivers.append((receiver, data))
        for receiver, data in receivers:
            self.assertEqual(await receiver.has_all, data)
            assert receiver.stream is not None
            receiver.stream.end()
        for receiver, _ in receivers:
            await receiver.is_ended
        self.assertEqual(self.shell.connection.stream_count, 0)
        value = self.shell.connection.ping()
        self.assertEqual(await self.peer.ask("ping"), "pong")
        await until(lambda: self.shell.pongs)  # theirs come from a thread of their own
        self.assertEqual(self.shell.pongs, [value])
        self.assertEqual(await self.peer.ask("goaway"), "gone")
        await until(lambda: self.shell.codes)
        self.assertEqual(self.shell.codes, [GoAwayCode.NORMAL])
        self.assertRaises(CannotOpenStream, self.shell.connection.open_stream, RecordingReceiver())

    async def test_as_edge(self) -> None:
        """Our server serves their client, with streams opened by both."""
        await self.exchange(Role.SERVER)

    async def test_as_agent(self) -> None:
        """Our client is served by their server, with streams opened by both."""
        await self.exchange(Role.CLIENT)

    async def test_large_both_ways(self) -> None:
        """A large stream that is echoed while it is sent makes both windows turn over many times, and ours grow."""
        await self.start(Role.SERVER)
        data = pattern(20_000_000)
        receiver = Waiting(len(data))
        stream = receiver.stream = self.shell.connection.open_stream(receiver, data)
        self.assertEqual(await receiver.has_all, data)
        self.assertGreater(stream.window, 262_144)
        stream.end()
        await receiver.is_ended

    async def test_reset(self) -> None:
        """A stream that we cut is over for them, and the session goes on."""
        await self.start(Role.SERVER)
        receiver = Waiting(5)
        stream = receiver.stream = self.shell.connection.open_stream(receiver, b"hello")
        await receiver.has_all
        stream.reset()
        self.assertEqual(await self.peer.ask("open 1000"), f"got 1000 {sha256(pattern(1000)).hexdigest()}")
        await self.peer.ask("ping")
        self.peer.complaints = ""  # that the echo was cut

    async def test_more_streams_than_allowed(self) -> None:
        """A stream of theirs above our limit is refused, which their side understands as a reset."""
        await self.start(Role.SERVER, Limits(max_peer_streams=1))
        self.assertEqual(await self.peer.ask("hold"), "held")
        self.assertEqual(await self.peer.ask("hold"), "refused: connection reset")
        self.assertEqual(await self.peer.ask("ping"), "pong")
