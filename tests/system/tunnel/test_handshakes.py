"""Handshakes that many peers begin at once, over loopback: they are taken in turns, and none is forgotten."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from time import thread_time

from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.case import reactor, spare_old_objects_of
from tests.system.tunnel.authority import Authority
from tests.system.tunnel.loopback import port_of, serve, turn, until
from warp_twisted.errors import WarpError
from warp_twisted.tunnel import edge_context
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.tunnel.tls import TlsProtocol

PEERS = 45  # as many as wait for `accept` without the reactor


class HandshakeTests(TestCase):
    """`TlsProtocol` with a queue of handshakes."""

    timeout = 60

    def setUp(self) -> None:
        spare_old_objects_of(self)
        directory = Path(self.mktemp())
        directory.mkdir()
        authority = Authority(directory)
        leaf = authority.leaf("edge1", is_server=True)
        self.context = edge_context(root_pem=authority.root_pem, chain_file=leaf.chain_file, key_file=leaf.key_file)
        self.queue = StepQueue(reactor)
        self.failures: list[WarpError] = []
        self.secured = 0
        self.most_waiting = 0
        self.port = serve(self.build)
        self.addCleanup(self.port.stopListening)
        self.sockets: list[socket.socket] = []

    def build(self) -> Protocol:
        return TlsProtocol(
            self.context,
            is_server=True,
            secured=self.let_in,
            failed=self.failures.append,
            clock=reactor,
            handshakes=self.queue,
            network="192.0.2.1",
        )

    def let_in(self, transport: TlsProtocol) -> Protocol:
        self.secured += 1
        return Protocol()

    def connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", port_of(self.port)))
        self.sockets.append(connected)
        return connected

    def hello(self) -> bytes:
        """Return a client's first message."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        hello, away = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.assertRaises(ssl.SSLWantReadError, client.wrap_bio(away, hello).do_handshake)
        return hello.read()

    async def test_replayed_hellos(self) -> None:
        """Many hellos that come at once cost each turn a few milliseconds, and all are answered in the end."""
        replayed = self.hello()
        for _ in range(PEERS):
            self.connect().sendall(replayed)
        turns: list[float] = []
        answered: set[int] = set()
        while len(answered) < PEERS:
            began = thread_time()
            await turn()
            turns.append(thread_time() - began)
            self.most_waiting = max(self.most_waiting, len(self.queue))
            for connected in self.sockets:
                try:
                    if connected.fileno() not in answered and connected.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                        answered.add(connected.fileno())
                except BlockingIOError:
                    pass
        self.assertGreater(self.most_waiting, 10)
        self.assertGreater(len([seconds for seconds in turns if seconds > 0.001]), 3)
        for connected in self.sockets:
            connected.close()
        await until(lambda: len(self.failures) == PEERS)
        self.assertEqual((len(self.queue), self.secured), (0, 0))

    async def test_gone_while_waiting(self) -> None:
        """A peer that leaves before its turn costs nothing more."""
        self.queue._spent = 1.0
        self.queue._is_scheduled = True  # no turn comes
        connected = self.connect()
        connected.sendall(b"\x16\x03\x01\x00\x05hello")
        await until(lambda: len(self.queue))
        connected.close()
        self.queue._is_scheduled = False
        self.queue._schedule()
        await until(lambda: self.failures)
        self.assertEqual((len(self.queue), self.secured), (0, 0))

    async def test_data_behind_the_handshake(self) -> None:
        """What a peer sends right behind its handshake reaches the protocol that is made for it."""
        heard: list[bytes] = []

        class Listening(Protocol):
            def dataReceived(self, data: bytes) -> None:
                heard.append(data)

        def let_in(transport: TlsProtocol) -> Protocol:
            return Listening()

        self.patch(self, "let_in", let_in)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        client.set_alpn_protocols(["warp-enroll/1"])
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.wrap_bio(to_client, to_server)
        connected = self.connect()
        connected.setblocking(False)
        self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
        connected.sendall(to_server.read())
        while True:
            await turn()
            try:
                to_client.write(connected.recv(65536))
                tls.do_handshake()
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            break
        tls.write(b"at once")
        connected.sendall(to_server.read())
        await until(lambda: heard)
        self.assertEqual(heard, [b"at once"])
        connected.close()
        await turn()
        self.assertEqual(self.failures, [])

    async def test_ticket_comes_at_once(self) -> None:
        """
        A session ticket goes out when the handshake is done, and the client can resume by it.

        It acknowledges the end of the client's handshake: a client whose kernel waits for that before it sends its
        first request (Nagle) would wait for 40 ms otherwise.
        """
        self.context.options &= ~ssl.OP_NO_TICKET
        self.context.num_tickets = 1
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE

        def connect(session: ssl.SSLSession | None) -> tuple[int, ssl.SSLSession | None, bool | None]:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client.wrap_bio(incoming, outgoing, server_hostname="edge1", session=session)
            with socket.create_connection(("127.0.0.1", port_of(self.port)), timeout=10) as plain:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        plain.sendall(outgoing.read())
                        incoming.write(plain.recv(65536))
                plain.sendall(outgoing.read())
                ticket = plain.recv(65536)  # nothing was asked yet
                incoming.write(ticket)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.read()
                return len(ticket), tls.session, tls.session_reused

        size, session, is_resumed = await deferToThread(connect, None)
        self.assertGreater(size, 100)
        self.assertFalse(is_resumed)
        _, _, is_resumed = await deferToThread(connect, session)
        self.assertTrue(is_resumed)
        await turn()

    async def test_bytes_behind_a_hello_that_waits(self) -> None:
        """A peer whose handshake waits for its turn is not read, whatever it sends; so it takes no memory."""

        class Never(StepQueue):
            """Nobody's turn comes."""

            def take(self, network: str, step: Callable[[], object]) -> None:
                self.waiting = network

        self.queue = Never(reactor)
        built: list[TlsProtocol] = []
        build = self.build

        def remember() -> Protocol:
            protocol = build()
            assert isinstance(protocol, TlsProtocol)
            built.append(protocol)
            return protocol

        port = serve(remember)
        self.addCleanup(port.stopListening)
        connected = socket.create_connection(("127.0.0.1", port_of(port)))
        self.addCleanup(connected.close)
        connected.setblocking(False)
        connected.sendall(self.hello() + b"\x17\x03\x03\x00\x01x" * 400)
        most = 0
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                connected.send((b"\x17\x03\x03\x40\x00" + bytes(16_384)) * 16)
            await turn()
            most = max(most, *(protocol._incoming.pending for protocol in built), 0)
        for protocol in built:
            protocol._below.abortConnection()
        await turn()
        self.assertGreater(most, 0)
        self.assertLess(most, 300_000)
