"""Every kind of origin through a real tunnel: reached, refused, silent, wrong, and slow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Connection
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from tests.case import nothing_left_to_the_collector, reactor, short_directory_of
from tests.self_signed import self_signed
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import (
    Echo,
    Origin,
    OriginConnection,
    black_hole,
    listen_at,
    origin_certificate,
    unused_port,
)
from tests.system.agent.stub_edge import Visit, cut
from warp_twisted.agent.events import OriginChanged
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode

ECHO = Factory.forProtocol(Echo)
ECHO.noisy = False
BUFFERS = 16 << 20  # more than the kernel, both tunnel ends and all windows hold between an origin and a visitor


class BadRequest(Protocol):
    """Answers anything as an HTTP server answers what is no HTTP."""

    transport: Connection

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


class OriginTestCase(AgentTestCase):
    """Origins on loopback."""

    def serve(self, factory: IProtocolFactory = ECHO, tls: CertificateOptions | None = None) -> int:
        """Start an origin, with TLS or without, and return its port."""
        return self.listen(factory if tls is None else TLSMemoryBIOFactory(tls, False, factory))

    def listen_unix(self, path: Path, factory: IProtocolFactory) -> None:
        """Start an origin on a unix socket."""
        self.addCleanup(listen_at(UNIXServerEndpoint(reactor, str(path)), factory).stopListening)

    async def assert_echoes(self, settings: str) -> None:
        """Check that bytes reach the origin and come back, early ones and later ones."""
        await self.start(settings)
        visit = self.edge.visit(0, b"early ")
        opening = await visit.opened
        self.assertEqual((opening.code, opening.detail), (OpeningCode.OPENED, ""))
        visit.stream.write(b"later")
        self.assertEqual(await visit.read(11), b"early later")

    async def assert_refused(self, settings: str, code: OpeningCode, detail: str) -> None:
        """Check the code with which a stream is refused, and that the reason is told."""
        await self.start(settings)
        opening = await self.edge.visit(0, b"early").opened
        self.assertIs(opening.code, code)
        self.assertIn(detail, opening.detail)


class ReachTests(OriginTestCase):
    """How origins are reached, and why not."""

    async def test_tcp(self) -> None:
        """Bytes pass both ways."""
        await self.assert_echoes(f"tcp://127.0.0.1:{self.serve()}")

    async def test_localhost(self) -> None:
        """`localhost` finds an origin that listens on IPv4 only."""
        await self.assert_echoes(f"http://localhost:{self.serve()}")

    async def test_unix(self) -> None:
        """A unix socket is reached."""
        path = short_directory_of(self) / "a"
        self.listen_unix(path, ECHO)
        await self.assert_echoes(f"unix:{path}")

    async def test_unix_missing(self) -> None:
        """A unix socket that is not there is said to be missing."""
        path = short_directory_of(self) / "b"
        await self.assert_refused(f"unix:{path}", OpeningCode.ORIGIN_UNREACHABLE, "No such file")

    async def test_refused(self) -> None:
        """A port on which nobody listens refuses, and the edge hears that the origin is not healthy."""
        port = unused_port()
        await self.assert_refused(f"tcp://127.0.0.1:{port}", OpeningCode.ORIGIN_REFUSED, "connection refused")
        self.assertEqual(
            self.events_of(OriginChanged),
            [OriginChanged(origin=f"tcp://127.0.0.1:{port}", healthy=False, detail="connection refused")],
        )

    async def test_black_hole(self) -> None:
        """An origin that never answers the connection is given up after the rule's time-out."""
        sockets, port = black_hole()
        for each in sockets:
            self.addCleanup(each.close)
        await self.assert_refused(
            f"ingress: [{{service: 'http://127.0.0.1:{port}', originRequest: {{connect_timeout: 0.2}}}}]",
            OpeningCode.ORIGIN_TIMED_OUT,
            "",
        )

    async def test_built_in(self) -> None:
        """hello-world answers requests in the agent itself, http_status with its status."""
        await self.start("ingress: [{path: '^/hello', service: hello-world}, {service: 'http_status:418'}]")
        hello = self.edge.visit(
            0, b"GET /hello?<x> HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        )
        answer = await hello.over
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        self.assertIn(b"<code>/hello?&lt;x&gt;</code>", answer)
        teapot = self.edge.visit(1, b"GET / HTTP/1.0\r\n\r\n")
        answer = await teapot.over
        self.assertTrue(answer.startswith(b"HTTP/1.0 418 I'm a teapot\r\n"), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n418 I'm a Teapot\n"), answer)

    async def test_no_such_route(self) -> None:
        """A route that the agent never offered is refused by that name."""
        await self.start("hello-world")
        self.assertIs((await self.edge.visit(7).opened).code, OpeningCode.NO_SUCH_ROUTE)


class TlsTests(OriginTestCase):
    """Origins with TLS: verified by default."""

    def rule(self, port: int, **request: object) -> str:
        """Return an agent.yaml with one https origin on loopback."""
        return f"ingress: [{{service: 'https://127.0.0.1:{port}', originRequest: {request}}}]"

    async def test_trusted(self) -> None:
        """An origin whose certificate is of the given ca and for its address is reached."""
        options, ca = origin_certificate(self.directory, "127.0.0.1")
        await self.assert_echoes(self.rule(self.serve(tls=options), ca=str(ca)))

    async def test_server_name(self) -> None:
        """With server_name, the certificate is expected to be for that name."""
        options, ca = origin_certificate(self.directory, "app.internal")
        await self.assert_echoes(self.rule(self.serve(tls=options), ca=str(ca), server_name="app.internal"))

    def serve_known(self) -> tuple[int, Mapping[str, str]]:
        """Serve an echo that takes one client's certificate; return its port, and the files of that certificate."""
        _, known, key = self_signed("client", ["client.internal"], is_ca=True)
        _, pem, own_key = self_signed("origin", ["127.0.0.1"], is_ca=True)
        files = {"ca": pem, "client_certificate": known, "client_key": key}
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
        options = PrivateCertificate.loadPEM(pem + own_key).options(Certificate.loadPEM(known))
        return self.serve(tls=options), {name: str(self.directory / name) for name in files}

    async def test_client_certificate(self) -> None:
        """An origin that asks for a certificate is shown the agent's."""
        port, files = self.serve_known()
        await self.assert_echoes(self.rule(port, **files))

    async def test_client_certificate_in_one_file(self) -> None:
        """Certificate and key may be in one file; the origin need not be verified."""
        port, files = self.serve_known()
        both = self.directory / "both"
        both.write_bytes(b"".join(Path(files[name]).read_bytes() for name in ("client_key", "client_certificate")))
        await self.assert_echoes(self.rule(port, no_tls_verify=True, client_certificate=str(both)))

    async def test_without_a_client_certificate(self) -> None:
        """What such an origin says after the handshake is said in the log, once a minute, and counted."""
        port, files = self.serve_known()
        agent = await self.start(self.rule(port, ca=files["ca"]))
        with capturedLogs() as events:
            for _ in range(2):
                await self.assertFailure(self.edge.visit(0, b"hello").over, StreamReset)
        said = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], rf"^origin https://127.0.0.1:{port} ends TLS: .*; visitors see 502$")
        self.assertEqual(agent.routes.offered[0].traffic.failed, 2)

    async def test_not_trusted(self) -> None:
        """A self-signed certificate is refused, and the reason says what can be done."""
        options, _ = origin_certificate(self.directory, "127.0.0.1")
        detail = "self-signed; set originRequest.ca"
        await self.assert_refused(self.rule(self.serve(tls=options)), OpeningCode.TLS_FAILED, detail)

    async def test_wrong_name(self) -> None:
        """A trusted certificate for another name is refused."""
        options, ca = origin_certificate(self.directory, "other.internal")
        settings = self.rule(self.serve(tls=options), ca=str(ca))
        await self.assert_refused(settings, OpeningCode.TLS_FAILED, "not for 127.0.0.1")

    async def test_no_names(self) -> None:
        """A trusted certificate without subjectAltName is refused; its common name counts for nothing."""
        options, ca = origin_certificate(self.directory, "127.0.0.1", has_names=False)
        settings = self.rule(self.serve(tls=options), ca=str(ca))
        await self.assert_refused(settings, OpeningCode.TLS_FAILED, "not for 127.0.0.1")

    async def test_not_verified(self) -> None:
        """With no_tls_verify any certificate will do."""
        options, _ = origin_certificate(self.directory, "other.internal")
        await self.assert_echoes(self.rule(self.serve(tls=options), no_tls_verify=True))

    async def test_no_tls(self) -> None:
        """An origin that speaks plain HTTP is told apart."""
        settings = self.rule(self.serve(Factory.forProtocol(BadRequest)), no_tls_verify=True)
        await self.assert_refused(settings, OpeningCode.TLS_FAILED, "does not speak TLS")

    async def test_unix(self) -> None:
        """TLS on a unix socket is verified for localhost."""
        options, ca = origin_certificate(self.directory, "localhost")
        path = short_directory_of(self) / "c"
        factory = TLSMemoryBIOFactory(options, False, ECHO)
        self.listen_unix(path, factory)
        await self.assert_echoes(f"ingress: [{{service: 'unix+tls:{path}', originRequest: {{ca: {ca}}}}}]")

    async def test_silent(self) -> None:
        """An origin that accepts and says nothing is given up after the rule's time-out, and hung up on."""
        origin = Origin()
        port = self.serve(origin)
        await self.assert_refused(self.rule(port, connect_timeout=0.2), OpeningCode.ORIGIN_TIMED_OUT, "within 0.2 s")
        for connection in origin.connections:
            await connection.lost

    async def test_ends(self) -> None:
        """The end passes through TLS in both directions, whoever ends first."""
        options, ca = origin_certificate(self.directory, "127.0.0.1")
        origin = Origin()
        port = self.serve(origin, options)
        await self.start(self.rule(port, ca=str(ca)))
        for edge_first in (True, False):
            coming = origin.next_connection()
            visit = self.edge.visit(0, b"hello")
            connection = await coming
            await connection.read(5)
            if edge_first:
                visit.stream.end()
                await connection.lost
            else:
                connection.transport.write(b"bye")
                connection.transport.loseConnection()
            data = await visit.over
            self.assertEqual(data, b"" if edge_first else b"bye")

    async def test_ends_without_a_close_alert(self) -> None:
        """A small server that closes TCP without the TLS close alert ends the stream, it does not cut it."""
        options, ca = origin_certificate(self.directory, "127.0.0.1")
        origin = Origin()
        port = self.serve(origin, options)
        await self.start(self.rule(port, ca=str(ca)))
        coming = origin.next_connection()
        visit = self.edge.visit(0, b"hello")
        connection = await coming
        await connection.read(5)
        connection.transport.write(b"bye")
        assert isinstance(connection.transport, TLSMemoryBIOProtocol)
        below = connection.transport.transport
        assert below is not None
        below.loseConnection()
        self.assertEqual(await visit.over, b"bye")


class FlowTests(OriginTestCase):
    """Ends, cuts and backpressure on a plain connection."""

    async def connect(self, mute: bool = False) -> tuple[Visit, OriginConnection]:
        """Open a stream and return it with the origin's end."""
        origin = Origin(mute)
        await self.start(f"tcp://127.0.0.1:{self.serve(origin)}")
        coming = origin.next_connection()
        visit = self.edge.visit(0)
        await visit.opened
        return visit, await coming

    async def test_half_close_by_the_edge(self) -> None:
        """The origin hears the edge's end and can still answer."""
        visit, connection = await self.connect()
        visit.stream.write(b"question")
        visit.stream.end()
        await connection.lost  # Twisted's own protocols close when the peer half-closes
        self.assertEqual(connection.data, b"question")
        self.assertEqual(await visit.over, b"")

    async def test_end_by_the_origin(self) -> None:
        """What the origin sent before it closed arrives, then the end."""
        visit, connection = await self.connect()
        connection.transport.write(b"x" * 1_000_000)
        connection.transport.loseConnection()
        self.assertEqual(len(await visit.over), 1_000_000)
        visit.stream.end()
        await connection.lost

    async def test_cut_by_the_origin(self) -> None:
        """A connection that the origin resets cuts the stream."""
        visit, connection = await self.connect()
        connection.transport.abortConnection()
        await self.assert_fails(visit.over, StreamReset)

    async def test_cut_by_the_edge(self) -> None:
        """A visitor that leaves ends the connection to the origin."""
        visit, connection = await self.connect()
        visit.stream.reset()
        self.assertIsInstance(await connection.lost, ConnectionDone)

    async def test_tunnel_lost(self) -> None:
        """A tunnel that is lost takes its connections to origins with it."""
        _, connection = await self.connect()
        cut(self.edge.tunnels[0])
        self.assertIsInstance(await connection.lost, ConnectionDone)

    async def test_slow_visitor_holds_the_origin_back(self) -> None:
        """When the visitor does not read, the origin cannot write for long; when it reads, everything comes."""
        visit, connection = await self.connect()
        visit.consumes = False
        size = 2 * BUFFERS
        held = HeldBack(connection.transport, size)
        await visit.read(visit.stream.window - 1024)  # the opening reply and preamble take a little
        await self.turns(1000)  # far more than it would take to read the rest
        self.assertLess(held.written, BUFFERS)
        visit.consumes = True
        visit.stream.consumed(visit.count)
        await visit.read(size)

    async def test_slow_origin_holds_the_visitor_back(self) -> None:
        """When the origin does not read, the edge's stream is blocked, and nothing is lost when it reads again."""
        visit, connection = await self.connect(mute=True)
        written = 0
        while written < BUFFERS and visit.stream.write(b"x" * 65536):
            written += 65536
            await self.turns(1)
        self.assertTrue(visit.stream.is_blocked)
        self.assertLess(written, BUFFERS)
        connection.transport.resumeProducing()
        self.assertEqual(len(await connection.read(written + 65536)), written + 65536)


class HeldBack:
    """A producer that writes to a transport until it is paused, and goes on when it may."""

    def __init__(self, transport: Any, size: int) -> None:
        self.written = 0
        self._transport = transport
        self._size = size
        self._is_paused = False
        transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """Write until paused."""
        self._is_paused = False
        while not self._is_paused and self.written < self._size:
            self.written += 65536
            self._transport.write(b"x" * 65536)

    def pauseProducing(self) -> None:
        """Stop writing."""
        self._is_paused = True

    def stopProducing(self) -> None:
        """The connection is gone."""


# A dial leaves a `Deferred` and a factory of Twisted's in a cycle, which hold nothing else.
COSTLY = (
    "warp_twisted.wire",
    "warp_twisted.tunnel.protocol",
    "warp_twisted.tunnel.tls",
    "warp_twisted.agent.origins.splice",
    "twisted.internet.tcp.Client",
)


class CycleTests(OriginTestCase):
    """Streams, connections to origins and tunnels that are over leave no reference cycle to the garbage collector."""

    async def visit(self, ending: str) -> None:
        """Use a stream, and end it in one way."""
        visit = self.edge.visit(0, b"early")
        await visit.opened
        await visit.read(5)
        if ending == "edge":
            visit.stream.end()
            await visit.over
        else:
            visit.stream.reset()
        await self.turns(20)

    async def assert_nothing_left(self, settings: str) -> None:
        """Use an origin once, and once more while the collector looks on; then lose a tunnel in the same way."""
        agent = await self.start(settings)
        for ending in ("edge", "reset"):
            await self.visit(ending)
            with nothing_left_to_the_collector(*COSTLY):
                await self.visit(ending)
        for _ in range(2):
            with nothing_left_to_the_collector(*COSTLY):
                cut(self.edge.tunnels.pop())
                await self.until(lambda: agent.tunnels_up == 0)
                await self.turns(20)
            await self.until(lambda: agent.tunnels_up == 1)

    async def test_tcp(self) -> None:
        """With a plain origin."""
        await self.assert_nothing_left(f"tcp://127.0.0.1:{self.serve()}")

    async def test_tls(self) -> None:
        """With an origin over TLS."""
        options, _ = origin_certificate(self.directory, "localhost")
        port = self.serve(tls=options)
        service = f"{{service: 'https://localhost:{port}', originRequest: {{no_tls_verify: true}}}}"
        await self.assert_nothing_left(f"ingress: [{service}]")
