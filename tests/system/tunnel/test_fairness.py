"""
What one agent sends costs the others no time that they notice: floods of small frames beside a tunnel that works, and
what one stream sends costs the others of its tunnel none: requests beside hundreds of uploads.
"""

import signal
import sys
from pathlib import Path
from time import thread_time

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.case import reactor, spare_old_objects_of
from tests.system.tunnel.authority import Authority
from tests.system.tunnel.loopback import listen, port_of, turn, until
from warp_twisted.testing import RecordingDelegate, RecordingReceiver
from warp_twisted.tunnel import TunnelListener, TunnelProtocol, Turn, agent_context, dial, edge_context
from warp_twisted.wire.errors import WireError
from warp_twisted.wire.frames import FrameType, GoAwayCode, encode_header
from warp_twisted.wire.preamble import Opening, OpeningCode, encode_opening
from warp_twisted.wire.streams import Stream

BULK_STREAMS = 200
PIECE = bytes(64 * 1024)
AHEAD_BYTES = 3 * 1024 * 1024  # that may be between two ends on loopback; what the uploads have written is 12 MiB
ROOT = Path(__file__).resolve().parents[3]
EXCHANGES = 150
TURN_SECONDS = 0.025  # of computing; without turns a read of small frames alone takes as long


class Flood(ProcessProtocol):
    """The process of those who misbehave."""

    def __init__(self) -> None:
        self.is_gone: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        self.is_gone.callback(None)


class FairnessTests(TestCase):
    """An edge with one agent that works, and four that do their worst."""

    timeout = 60

    def setUp(self) -> None:
        spare_old_objects_of(self)
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        authority = Authority(directory)
        edge = authority.leaf("edge1.example.org", is_server=True)
        self.evil, self.good = authority.leaf("evil"), authority.leaf("good")
        self.root = directory / "root.pem"
        self.root.write_text(authority.root_pem)
        self.edge, self.agent = RecordingDelegate(), RecordingDelegate()
        self.turn = Turn(reactor)
        self.listener = TunnelListener(
            context=edge_context(root_pem=authority.root_pem, chain_file=edge.chain_file, key_file=edge.key_file),
            delegate=self.edge,
            reactor=reactor,
            turn=self.turn,
        )
        self.port = listen(self.listener)
        self.addCleanup(self.port.stopListening)
        self.context = agent_context(
            root_pem=authority.root_pem, chain_file=self.good.chain_file, key_file=self.good.key_file
        )

    async def begin(self, data: bytes) -> tuple[Stream, RecordingReceiver, Stream]:
        """Open a tunnel that works, and let the others send; returns the edge's stream and the agent's."""
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port_of(self.port))
        tunnel = await dial(
            endpoint, "edge1.example.org", context=self.context, delegate=self.agent, reactor=reactor, turn=self.turn
        )
        await until(lambda: self.edge.opened)
        self.good_end = self.edge.opened[0]
        receiver = RecordingReceiver()
        receiver.stream = self.good_end.open_route(1, receiver)
        await until(lambda: self.agent.streams)
        stream = self.agent.streams[0][0]
        stream.write(encode_opening(OpeningCode.OPENED))
        await until(lambda: receiver.openings)
        flood = Flood()
        program = [sys.executable, "-m", "tests.system.tunnel.flooding", str(port_of(self.port)), str(self.root)]
        program += [str(self.evil.chain_file), str(self.evil.key_file), "4", data.hex()]
        reactor.spawnProcess(flood, sys.executable, program, env={"PYTHONPATH": str(ROOT)}, path=str(ROOT))
        self.addCleanup(self.stop, flood, tunnel)
        await until(lambda: len(self.edge.opened) >= 4)
        assert receiver.stream is not None
        return receiver.stream, receiver, stream

    def stop(self, flood: Flood, tunnel: TunnelProtocol) -> Deferred[None]:
        """End it all."""

        async def stopping() -> None:
            assert flood.transport is not None
            flood.transport.signalProcess(signal.SIGKILL)
            await flood.is_gone
            tunnel.close()
            for each in [tunnel, *self.edge.opened]:
                await each.disconnected()
            await until(lambda: not self.listener.handshakes)

        return Deferred.fromCoroutine(stopping())

    async def assert_served(self, data: bytes) -> None:
        """While the others send, requests and answers go to and fro, and no turn computes for long."""
        stream, receiver, other = await self.begin(data)
        longest = 0.0
        asked = self.agent.receivers[0]

        async def until_as_long(waiting: RecordingReceiver, size: int) -> None:
            nonlocal longest
            while len(waiting.data) < size:
                began = thread_time()
                await turn()
                longest = max(longest, thread_time() - began)

        for number in range(1, EXCHANGES + 1):
            stream.write(b"x" * 100)
            await until_as_long(asked, 100 * number)
            other.write(b"y" * 100)
            await until_as_long(receiver, 100 * number)
        self.assertIsNone(self.good_end.outcome)
        self.assertLess(longest, TURN_SECONDS)

    async def test_empty_frames(self) -> None:
        """Tunnels full of frames that carry nothing end with FLOOD, one after the other."""
        await self.assert_served(encode_header(FrameType.WINDOW_UPDATE, 0, 1, 0))
        ended = [tunnel.outcome for tunnel in self.edge.opened if tunnel.outcome is not None]
        self.assertGreater(len(ended), 3)
        self.assertEqual({outcome.code for outcome in ended if not outcome.by_peer} - {None}, {GoAwayCode.FLOOD})

    async def test_single_bytes(self) -> None:
        """Tunnels full of single bytes, of a message of 960 KiB, are read in turns with the one that works."""
        await self.assert_served(
            b"".join(encode_header(FrameType.DATA, 0, 1, 1) + bytes([byte]) for byte in b"\0\x0f\0\0")
        )

    async def test_unasked_answers(self) -> None:
        """Answers to pings that nobody sent are priced as well."""
        await self.assert_served(encode_header(FrameType.PING, 2, 0, 7))
        codes = {tunnel.outcome.code for tunnel in self.edge.opened if tunnel.outcome is not None}
        self.assertIn(GoAwayCode.FLOOD, codes)


class Bulk:
    """Writes to a stream as much as it takes, and counts what arrives on it."""

    arrived = 0  # on all streams

    def __init__(self) -> None:
        self.stream: Stream | None = None

    def opening_received(self, opening: Opening) -> None:
        """It takes what is written."""

    def write(self) -> None:
        """Write until told to stop."""
        while self.stream is not None and self.stream.write(PIECE):
            pass

    def data_received(self, data: bytes) -> None:
        """Count, and return credit."""
        Bulk.arrived += len(data)
        if self.stream is not None:
            self.stream.consumed(len(data))

    def end_received(self) -> None:
        """It goes on until the tunnel ends."""

    def credit_received(self) -> None:
        """Go on."""
        self.write()

    def stream_lost(self, error: WireError) -> None:
        """The test is over."""
        self.stream = None


class StreamFairnessTests(TestCase):
    """One tunnel over TLS on loopback, with many streams that write as much as they can."""

    timeout = 60

    async def measure(self, *, upwards: bool) -> list[int]:
        """Return how many bytes of the others arrived between each small message's departure and arrival."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        authority = Authority(directory)
        server, client = authority.leaf("edge1.example.org", is_server=True), authority.leaf("agent")
        shared = Turn(reactor)
        edge, agent = RecordingDelegate(), RecordingDelegate()
        listener = TunnelListener(
            context=edge_context(root_pem=authority.root_pem, chain_file=server.chain_file, key_file=server.key_file),
            delegate=edge,
            reactor=reactor,
            turn=shared,
        )
        port = listen(listener)
        self.addCleanup(port.stopListening)
        tunnel = await dial(
            HostnameEndpoint(reactor, "127.0.0.1", port_of(port)),
            "edge1.example.org",
            context=agent_context(root_pem=authority.root_pem, chain_file=client.chain_file, key_file=client.key_file),
            delegate=agent,
            reactor=reactor,
            turn=shared,
        )
        await until(lambda: edge.opened)
        ends: list[tuple[Bulk, Bulk]] = []
        for index in range(BULK_STREAMS):
            mine = Bulk()
            mine.stream = edge.opened[0].open_route(1, mine)
            await until(lambda index=index: len(agent.streams) > index)  # type: ignore[misc]
            theirs = Bulk()
            theirs.stream = agent.streams[index][0]
            theirs.stream.receiver = theirs
            theirs.stream.write(encode_opening(OpeningCode.OPENED))
            ends.append((mine, theirs))
        receiver = RecordingReceiver()
        receiver.stream = edge.opened[0].open_route(1, receiver)
        await until(lambda: len(agent.streams) > BULK_STREAMS)
        other, heard = agent.streams[-1][0], agent.receivers[-1]
        other.write(encode_opening(OpeningCode.OPENED))
        await until(lambda: receiver.openings)
        sender, taker = (receiver.stream, heard) if upwards else (other, receiver)
        Bulk.arrived = 0
        for mine, theirs in ends:
            (mine if upwards else theirs).write()
        between = []
        for number in range(1, 21):
            at = Bulk.arrived
            await until(lambda at=at: Bulk.arrived > at + 1_000_000)  # type: ignore[misc]
            at = Bulk.arrived
            sender.write(b"x" * 100)
            await until(lambda number=number: len(taker.data) == 100 * number)  # type: ignore[misc]
            between.append(Bulk.arrived - at)
        tunnel.close()
        for each in [tunnel, *edge.opened]:
            await each.disconnected()
        return between

    async def test_uploads(self) -> None:
        """From edge to agent, a small message overtakes what the others have written and not yet sent."""
        self.assertLess(max(await self.measure(upwards=True)), AHEAD_BYTES)

    async def test_downloads(self) -> None:
        """And from agent to edge."""
        self.assertLess(max(await self.measure(upwards=False)), AHEAD_BYTES)
