"""Tests for how a listening port accepts: what each connection gets, how many in one event, and how they end."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet import reactor as installed
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.tcp import Port
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from warp_base.accepting import ACCEPTED_AT_ONCE, ENDED_AT_ONCE, Accepted, accept_cheaply
from warp_base.reactor import as_reactor

reactor = as_reactor(installed)
OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 65_536),
)


class Keeper(Protocol):
    """Keeps what it is told."""

    transport: Accepted

    def __init__(self) -> None:
        self.received = b""
        self.heard: Deferred[bytes] = Deferred()
        self.lost: Deferred[type | None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if not self.heard.called:
            self.heard.callback(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.type)


class Failing(Keeper):
    """Fails as soon as it is connected."""

    def connectionMade(self) -> None:
        raise ZeroDivisionError


class Keepers(ServerFactory):
    """Makes them, and refuses whom it is told to."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Keeper] = []
        self.addresses: list[IAddress | None] = []
        self.is_refusing = False
        self.fails_at = ""
        self.first: Deferred[Keeper] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Keeper | None:
        self.addresses.append(addr)
        if self.is_refusing:
            return None
        if self.fails_at == "building":
            raise ZeroDivisionError
        if self.fails_at == "connecting":
            return Failing()
        keeper = Keeper()
        self.made.append(keeper)
        if len(self.made) == 1:
            reactor.callLater(0, self.first.callback, keeper)
        return keeper


class AcceptingTests(TestCase):
    """A port on loopback, and clients that are plain sockets."""

    def setUp(self) -> None:
        self.factory = Keepers()

    def listen(self, interface: str = "127.0.0.1") -> Port:
        port = reactor.listenTCP(0, self.factory, interface=interface, backlog=256)
        self.addCleanup(port.stopListening)
        assert isinstance(port, Port)
        self.assertTrue(accept_cheaply(port, OPTIONS))
        return port

    def connect(self, port: IListeningPort) -> socket.socket:
        host = port.getHost()
        assert isinstance(host, IPv4Address | IPv6Address)
        client = socket.create_connection((host.host, host.port), timeout=10)
        self.addCleanup(client.close)
        return client

    async def one(self) -> tuple[socket.socket, Keeper]:
        client = self.connect(self.listen())
        return client, await self.factory.first

    async def test_options_are_inherited(self) -> None:
        """Every option of the port is one of the connection."""
        _, keeper = await self.one()
        handle = keeper.transport.getHandle()
        for level, name, value in OPTIONS:
            self.assertEqual(handle.getsockopt(level, name), value)
        self.assertFalse(handle.getblocking())
        self.assertFalse(handle.get_inheritable())
        keeper.transport.abortConnection()
        await keeper.lost

    async def test_addresses(self) -> None:
        """A factory and a transport are told the client's address, of either family."""
        for interface, kind in (("127.0.0.1", IPv4Address), ("::1", IPv6Address)):
            self.factory = Keepers()
            client = self.connect(self.listen(interface))
            keeper = await self.factory.first
            host, number = client.getsockname()[:2]
            self.assertEqual(self.factory.addresses, [kind("TCP", host, number)])
            self.assertEqual(keeper.transport.getPeer(), kind("TCP", host, number))
            self.assertIn("Keeper", repr(keeper.transport))
            keeper.transport.abortConnection()
            await keeper.lost

    async def test_bytes_both_ways(self) -> None:
        """What either side sends arrives; the client's end is told."""
        client, keeper = await self.one()
        client.sendall(b"question")
        self.assertEqual(await keeper.heard, b"question")
        keeper.transport.write(b"answer")
        self.assertEqual(await deferToThread(client.recv, 100), b"answer")
        client.close()
        self.assertIs(await keeper.lost, ConnectionDone)

    def test_few_at_once(self) -> None:
        """One event takes so many and no more; the next one takes the rest."""
        port = self.listen()
        port.stopReading()
        for _ in range(ACCEPTED_AT_ONCE + 5):
            self.connect(port)
        port.doRead()
        self.assertEqual(len(self.factory.made), ACCEPTED_AT_ONCE)
        port.doRead()
        self.assertEqual(len(self.factory.made), ACCEPTED_AT_ONCE + 5)
        for keeper in self.factory.made:
            keeper.transport.abortConnection()

    def test_refused(self) -> None:
        """Whom the factory does not want is closed at once."""
        self.factory.is_refusing = True
        port = self.listen()
        port.stopReading()
        client = self.connect(port)
        port.doRead()
        self.assertEqual(client.recv(1), b"")

    async def test_one_fails(self) -> None:
        """A connection that fails as it begins is closed; the port goes on, and serves the next."""
        port = self.listen()
        for self.factory.fails_at in ("building", "connecting"):
            client = self.connect(port)
            self.assertEqual(await deferToThread(read_to_end, client), 0)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.factory.fails_at = ""
        self.connect(port)
        keeper = await self.factory.first
        keeper.transport.abortConnection()
        await keeper.lost

    def test_no_descriptors_left(self) -> None:
        """When no descriptor is left, connections that wait are closed, and later ones are served."""
        port = self.listen()
        port.stopReading()
        client = self.connect(port)
        with no_descriptors():
            port.doRead()
        self.assertEqual(self.factory.made, [])
        self.assertEqual(client.recv(1), b"")
        self.flushLoggedErrors()
        self.connect(port)
        port.doRead()
        [keeper] = self.factory.made
        keeper.transport.abortConnection()

    async def test_end_with_nothing_to_write(self) -> None:
        """The client is told after this turn, not within the call."""
        client, keeper = await self.one()
        keeper.transport.write(b"answer")
        self.assertEqual(await deferToThread(client.recv, 100), b"answer")
        keeper.transport.loseConnection()
        keeper.transport.loseConnection()
        self.assertFalse(keeper.lost.called)
        self.assertIs(await keeper.lost, ConnectionDone)
        self.assertEqual(await deferToThread(client.recv, 1), b"")

    async def test_asked_to_write_while_ending(self) -> None:
        """
        Whatever asks to write or to read between the call and the end, the reactor watches the descriptor no more.

        Twisted's `unregisterProducer` asks to write, and the next connection may have the same descriptor.
        """
        for ask in ("unregisterProducer", "startWriting", "startReading"):
            self.factory = Keepers()
            client, keeper = await self.one()
            client.sendall(b"hello")
            await keeper.heard
            keeper.transport.loseConnection()  # within a turn that delivers events, before the reactor polls again
            getattr(keeper.transport, ask)()
            self.assertIs(await keeper.lost, ConnectionDone)
            watched = (*reactor.getReaders(), *reactor.getWriters())
            self.assertFalse(any(each is keeper.transport for each in watched), ask)
            self.assertEqual(client.recv(1), b"")

    async def test_end_with_much_to_write(self) -> None:
        """All that waits is written first."""
        client, keeper = await self.one()
        much = bytes(3_000_000)
        keeper.transport.write(much)
        keeper.transport.loseConnection()
        self.assertEqual(await deferToThread(read_to_end, client), len(much))
        self.assertIs(await keeper.lost, ConnectionDone)

    def test_few_end_at_once(self) -> None:
        """When many end together, one turn ends so many, and the next ones the rest."""
        port = self.listen()
        port.stopReading()
        for _ in range(2 * ENDED_AT_ONCE + 5):
            self.connect(port)
        while len(self.factory.made) < 2 * ENDED_AT_ONCE + 5:
            port.doRead()
        for keeper in self.factory.made:
            keeper.transport.loseConnection()
        counts = []
        while not all(keeper.lost.called for keeper in self.factory.made):
            before = sum(keeper.lost.called for keeper in self.factory.made)
            reactor.runUntilCurrent()  # type: ignore[attr-defined]
            counts.append(sum(keeper.lost.called for keeper in self.factory.made) - before)
        self.assertEqual(counts, [ENDED_AT_ONCE, ENDED_AT_ONCE, 5])

    async def test_aborted_while_ending(self) -> None:
        """An abort while it ends changes nothing: the end is told once."""
        _, keeper = await self.one()
        keeper.transport.loseConnection()
        keeper.transport.abortConnection()
        self.assertIs(await keeper.lost, ConnectionDone)

    async def test_aborted(self) -> None:
        """An abort alone is told as one."""
        _, keeper = await self.one()
        keeper.transport.abortConnection()
        self.assertIs(await keeper.lost, ConnectionAborted)

    def test_others_stay(self) -> None:
        """A port that is not TCP is left alone."""
        directory = Path(self.mktemp())
        directory.mkdir()
        port = reactor.listenUNIX(str(directory / "socket"), self.factory)
        self.addCleanup(port.stopListening)
        self.assertFalse(accept_cheaply(port, OPTIONS))


def read_to_end(client: socket.socket) -> int:
    """Return how many bytes come until the other side ends, in order or not."""
    count = 0
    with contextlib.suppress(ConnectionResetError):  # its name alone would mean something to trial
        while data := client.recv(1 << 16):
            count += len(data)
    return count


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let nothing be opened: every number up to the highest in use is taken, wherever the reserve of Twisted is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
