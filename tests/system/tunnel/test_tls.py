"""`tunnel.tls` over loopback: bytes, backpressure, goodbyes, and peers that do not behave."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from socket import IPPROTO_TCP, SO_SNDBUF, SOL_SOCKET, TCP_NOTSENT_LOWAT
from time import thread_time

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, UNIXServerEndpoint, connectProtocol
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.case import reactor, short_directory_of, spare_old_objects_of
from tests.system.tunnel.authority import Authority
from tests.system.tunnel.loopback import endpoint_of, serve, turn, until
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.contexts import agent_context, edge_context
from warp_twisted.tunnel.tls import (
    BULK_READ_BYTES,
    HIGH_WATER_BYTES,
    KERNEL_BYTES,
    PIECE_BYTES,
    PIECES_AT_ONCE,
    RECORD_BYTES,
    RECORDS_AT_ONCE,
    TlsProtocol,
)


@implementer(IPushProducer)
class Above(Protocol):
    """A protocol on TLS that counts, and writes as a producer while it may."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.count = 0
        self.awaited = 0
        self.has_awaited: Deferred[None] = Deferred()
        self.is_connected: Deferred[None] = Deferred()
        self.is_lost: Deferred[str] = Deferred()
        self.is_paused = False
        self.pauses = 0

    def connectionMade(self) -> None:
        self.is_connected.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)
        self.count += len(data)
        if self.awaited and self.count >= self.awaited:
            self.awaited = 0
            self.has_awaited.callback(None)

    def wait_for(self, count: int) -> Deferred[None]:
        self.awaited = count
        return self.has_awaited

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost.callback(reason.getErrorMessage())

    def pauseProducing(self) -> None:
        self.is_paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.is_paused = False

    def stopProducing(self) -> None:
        self.is_paused = True


def key_updates(tls: TlsProtocol, count: int) -> bytes:
    """Let OpenSSL write records that ask the peer to renew its keys (RFC 8446 §4.6.3); Python has no call for it."""
    library = ctypes.CDLL(str(sys.modules["_ssl"].__file__))
    library.SSL_key_update.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.SSL_do_handshake.argtypes = (ctypes.c_void_p,)
    # What Python calls a connection: an object's head, the socket, then the pointer to OpenSSL's (Modules/_ssl.c).
    inner = tls._tls._sslobj  # type: ignore[attr-defined]
    address = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(address).value
    for _ in range(count):
        assert library.SSL_key_update(pointer, 0) == 1
        assert library.SSL_do_handshake(pointer) == 1
    return tls._outgoing.read()


class TlsTests(TestCase):
    """`TlsProtocol` on both sides of a TCP connection."""

    timeout = 20

    def setUp(self) -> None:
        spare_old_objects_of(self)
        directory = Path(self.mktemp())
        directory.mkdir()
        authority = Authority(directory)
        edge, agent = authority.leaf("edge1", is_server=True), authority.leaf("agent1")
        self.contexts = (
            edge_context(root_pem=authority.root_pem, chain_file=edge.chain_file, key_file=edge.key_file),
            agent_context(root_pem=authority.root_pem, chain_file=agent.chain_file, key_file=agent.key_file),
        )
        self.failures: list[WarpError] = []
        self.server, self.client = Above(), Above()

    def tls(self, above: IProtocol, is_server: bool) -> TlsProtocol:
        return TlsProtocol(
            self.contexts[0 if is_server else 1],
            is_server=is_server,
            secured=lambda transport: above,
            failed=self.failures.append,
            clock=reactor,
            close_seconds=0.2,
        )

    async def connect(self) -> None:
        self.server_tls = self.tls(self.server, True)
        self.client_tls = self.tls(self.client, False)
        endpoint = self.listen(lambda: self.server_tls)
        await connectProtocol(endpoint, self.client_tls)
        await self.server.is_connected
        await self.client.is_connected

    def listen(self, build: Callable[[], Protocol]) -> HostnameEndpoint:
        port = serve(build)
        self.addCleanup(port.stopListening)
        return endpoint_of(port)

    async def close(self) -> None:
        self.client_tls.loseConnection()
        await self.assert_lost("closed cleanly", "closed cleanly")

    async def assert_lost(self, client: str, server: str) -> None:
        """Both protocols hear of the end, once, for these reasons."""
        self.assertIn(client, await self.client.is_lost)
        self.assertIn(server, await self.server.is_lost)

    async def test_what_it_offers(self) -> None:
        """The protocol above sees addresses, the ALPN protocol and the peer's certificate."""
        await self.connect()
        verifyObject(ITransport, self.client_tls)
        self.assertEqual(self.client_tls.negotiated_protocol, "warp/1")
        self.assertTrue(self.server_tls.has_peer_certificate)
        self.assertIn("agent1", str(self.server_tls.peer_certificate))
        self.assertEqual(self.client_tls.getPeer(), self.server_tls.getHost())
        self.assertTrue(self.client_tls._below.getTcpNoDelay())
        kept = self.client_tls._below.getHandle().getsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT)
        self.assertEqual(kept, KERNEL_BYTES)
        self.assertEqual(self.failures, [])
        await self.close()

    async def test_bytes_of_every_size(self) -> None:
        """What is written arrives, from one byte to many records, in order."""
        await self.connect()
        data = b""
        for size in (1, 100, 16384, 16385, 100_000, 1_000_000):
            piece = bytes([size % 251]) * size
            self.client_tls.write(piece)
            data += piece
        self.client_tls.writeSequence([b"the ", b"end"])
        await self.server.wait_for(len(data) + 7)
        self.assertEqual(b"".join(self.server.chunks), data + b"the end")
        self.assertLessEqual(max(map(len, self.server.chunks)), BULK_READ_BYTES + RECORD_BYTES)
        await self.close()

    async def test_pieces_of_every_size(self) -> None:
        """Pieces that are written together arrive in order, in records that are full but for the last."""
        await self.connect()
        sizes = [1, 100, 12, 131_072, 12, 16_383, 1, 16_384, 0, 40_000, 3, 5_000, 5_000, 5_000, 5_000]
        pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
        records: list[int] = []
        encrypt = self.client_tls._encrypt

        def count(data: bytes | memoryview, encrypted: list[bytes]) -> None:
            records.append(len(data))
            encrypt(data, encrypted)

        self.client_tls._encrypt = count  # type: ignore[method-assign]
        self.client_tls.writeSequence([piece if len(piece) % 2 else memoryview(piece) for piece in pieces])
        await self.server.wait_for(sum(sizes))
        self.assertEqual(b"".join(self.server.chunks), b"".join(pieces))
        self.assertEqual(sum(records), sum(sizes))
        self.assertEqual([size % RECORD_BYTES for size in records[:-1]], [0] * (len(records) - 1))
        self.assertLessEqual(max(records), PIECE_BYTES)
        await self.close()

    async def test_socket_that_takes_a_part(self) -> None:
        """What a small socket does not take of many pieces follows in order, and so does what is written next."""
        await self.connect()
        self.client_tls._below.getHandle().setsockopt(SOL_SOCKET, SO_SNDBUF, 16_384)
        pieces = [bytes([number]) * 50_000 for number in range(100)]
        self.client_tls.writeSequence(pieces[:20])
        self.assertGreater(self.client_tls._unsent, 0)
        self.client_tls.writeSequence(pieces[20:])
        await self.server.wait_for(5_000_000)
        self.assertEqual(b"".join(self.server.chunks), b"".join(pieces))
        last = PIECE_BYTES * (PIECES_AT_ONCE + 1)  # more than the socket is given at once
        self.client_tls.write(b"x" * last)
        await until(lambda: self.server.count == 5_000_000 + last)
        await self.close()

    async def test_bulk_goes_out_at_once(self) -> None:
        """The records of a bulk read are larger than the read; a socket with room for them takes them whole."""
        await self.connect()
        self.client_tls._below.getHandle().setsockopt(SOL_SOCKET, SO_SNDBUF, 8 * BULK_READ_BYTES)
        self.client_tls.write(b"x" * BULK_READ_BYTES)
        self.assertEqual(self.client_tls._unsent, 0)
        await self.server.wait_for(BULK_READ_BYTES)
        await self.close()

    async def test_backpressure(self) -> None:
        """A peer that does not read pauses the producer; when it reads again the producer goes on."""
        await self.connect()
        self.client_tls.registerProducer(self.client, True)
        self.server_tls.transport.pauseProducing()  # type: ignore[union-attr]
        written = 0
        while not self.client.is_paused:
            self.client_tls.write(b"x" * 50_000)
            written += 50_000
            await turn()
        self.assertLess(self.client_tls._unsent, HIGH_WATER_BYTES + 60_000)
        self.client_tls.write(b"y" * 50_000)
        written += 50_000
        self.assertEqual(self.client.pauses, 1)
        self.server_tls.transport.resumeProducing()  # type: ignore[union-attr]
        await self.server.wait_for(written)
        await until(lambda: not self.client.is_paused)
        self.client_tls.unregisterProducer()
        await self.close()

    async def test_goodbye_after_what_was_written(self) -> None:
        """Everything written before `loseConnection` arrives, and nothing after it is sent."""
        await self.connect()
        self.client_tls.write(b"x" * 5_000_000)
        self.client_tls.loseConnection()
        self.client_tls.loseConnection()
        self.client_tls.write(b"lost")
        self.server_tls.write(b"ignored")
        await self.server.is_lost
        await self.client.is_lost
        self.assertEqual((self.server.count, self.client.count), (5_000_000, 0))

    async def test_peer_that_reads_nothing_is_cut(self) -> None:
        """A goodbye that the peer does not take in time ends in an abort."""
        await self.connect()
        self.server_tls.transport.pauseProducing()  # type: ignore[union-attr]
        self.client_tls.write(b"x" * 20_000_000)
        self.client_tls.loseConnection()
        self.assertIn("aborted", await self.client.is_lost)
        self.server_tls.transport.resumeProducing()  # type: ignore[union-attr]
        self.assertIn("lost", await self.server.is_lost)
        self.assertLess(self.server.count, 20_000_000)

    async def test_end_without_goodbye(self) -> None:
        """A TCP connection that just ends is lost for the protocol above."""
        await self.connect()
        self.client_tls._lose()
        await self.assert_lost("closed cleanly", "closed cleanly")
        self.assertEqual((self.server.count, self.client.count), (0, 0))

    async def test_abort(self) -> None:
        """Aborting ends it on both sides at once."""
        await self.connect()
        self.client_tls.abortConnection()
        self.client_tls.write(b"lost")
        await self.assert_lost("aborted", "lost")
        self.assertEqual(self.server.count, 0)

    async def test_broken_record(self) -> None:
        """A record that was changed on the way ends the connection, and none of it is passed on."""
        await self.connect()
        self.client_tls.transport.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # type: ignore[union-attr]
        self.assertIn("TLS failed", await self.server.is_lost)
        self.assertEqual(self.server.count, 0)
        await self.client.is_lost

    async def test_split_records(self) -> None:
        """Records that arrive byte by byte are read all the same."""
        await self.connect()
        whole = self.server_tls.dataReceived

        def piecemeal(data: bytes) -> None:
            for byte in data:
                whole(bytes([byte]))

        self.server_tls.dataReceived = piecemeal  # type: ignore[method-assign]
        self.client_tls.write(b"x" * 20_000)
        await self.server.wait_for(20_000)
        self.assertEqual(b"".join(self.server.chunks), b"x" * 20_000)
        await self.close()

    async def test_refused_peer_hears_the_end(self) -> None:
        """If `secured` refuses the peer, no protocol is made, the reason is told, and the connection ends."""

        def refuse(transport: TlsProtocol) -> IProtocol:
            raise WarpError("not you")

        self.server_tls = self.tls(self.server, True)
        self.server_tls._secured = refuse
        self.client_tls = self.tls(self.client, False)
        await connectProtocol(self.listen(lambda: self.server_tls), self.client_tls)
        await self.client.is_lost
        await until(lambda: self.failures)
        self.assertEqual(str(self.failures[0]), "not you")
        self.assertFalse(self.server.is_connected.called)

    async def test_small_records(self) -> None:
        """Thousands of records of one byte arrive in order, some in each turn, so that others have theirs between."""
        await self.connect()
        for number in range(5000):
            self.client_tls._tls.write(bytes([number % 251]))
        self.client_tls._flush()
        await self.server.wait_for(5000)
        self.assertEqual(b"".join(self.server.chunks), bytes(number % 251 for number in range(5000)))
        self.assertLessEqual(max(map(len, self.server.chunks)), RECORDS_AT_ONCE + 1)  # one had begun before
        await self.close()

    async def test_small_records_and_the_end(self) -> None:
        """What waits is delivered before the goodbye behind it is heard."""
        await self.connect()
        for _ in range(1000):
            self.client_tls._tls.write(b"x")
        self.client_tls.loseConnection()
        await self.assert_lost("closed cleanly", "closed cleanly")
        self.assertEqual(self.server.count, 1000)

    async def test_paused_while_records_wait(self) -> None:
        """Whoever pauses reading gets what had come; the socket is read again only when told, and nothing is lost."""
        await self.connect()
        data_received = self.server.dataReceived

        def pausing(data: bytes) -> None:
            self.server_tls.pause_reading()
            data_received(data)

        self.server.dataReceived = pausing  # type: ignore[method-assign]
        for _ in range(1000):
            self.client_tls._tls.write(b"x")
        self.client_tls._flush()
        await self.server.wait_for(1000)
        self.client_tls.write(b"y")
        await turn()
        self.assertEqual(self.server.count, 1000)
        self.server.dataReceived = data_received  # type: ignore[method-assign]
        arrived = self.server.has_awaited = Deferred()
        self.server.awaited = 1001
        self.server_tls.resume_reading()
        await arrived
        self.assertEqual(self.server.chunks[-1], b"y")
        await self.close()

    async def test_records_that_carry_nothing(self) -> None:
        """A peer that asks for new keys again and again is cut before it has cost much."""
        await self.connect()
        renewals = key_updates(self.client_tls, 2000)
        self.assertEqual(len(renewals), 2000 * 27)
        assert self.client_tls.transport is not None
        began = thread_time()
        self.client_tls.transport.write(renewals)
        self.assertIn("too many records that carry nothing", await self.server.is_lost)
        self.assertLess(thread_time() - began, 0.05)  # all of them would take 60 ms and more
        await self.client.is_lost

    async def test_a_few_records_that_carry_nothing(self) -> None:
        """A peer that renews its keys now and then, as it may, is served."""
        await self.connect()
        for count in range(1, 101):
            self.client_tls._send(key_updates(self.client_tls, 1))
            for _ in range(20):
                self.client_tls._tls.write(b"x")
            self.client_tls._flush()
            await until(lambda wanted=20 * count: self.server.count >= wanted)  # type: ignore[misc]
        await self.close()

    async def test_unix_sockets(self) -> None:
        """A unix socket carries TLS as well."""
        path = short_directory_of(self) / "socket"
        self.server_tls = self.tls(self.server, True)
        self.client_tls = self.tls(self.client, False)
        port = await UNIXServerEndpoint(reactor, str(path)).listen(Factory.forProtocol(lambda: self.server_tls))
        self.addCleanup(port.stopListening)
        await connectProtocol(UNIXClientEndpoint(reactor, str(path)), self.client_tls)
        await self.client.is_connected
        await self.server.is_connected
        self.client_tls.write(b"hello")
        await self.server.wait_for(5)
        self.assertEqual(self.server.chunks, [b"hello"])
        self.client_tls.loseConnection()
        await self.client.is_lost  # epoll says of a unix socket that hung up only that it did, so the reason varies
        await self.server.is_lost

    async def test_only_sockets(self) -> None:
        """It offers bytes to a socket directly, so another kind of transport is a mistake."""
        await self.connect()
        self.assertRaises(TypeError, self.tls(self.client, False).makeConnection, self.client_tls)
        await self.close()
