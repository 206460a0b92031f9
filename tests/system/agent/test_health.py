"""Probes of real origins: good, failing, refusing, silent, slow, wrong, over TLS and on a unix socket."""

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection

from tests.case import short_directory_of
from tests.system.agent.origins import black_hole, origin_certificate, unused_port
from tests.system.agent.test_origins import OriginTestCase
from warp_twisted.agent.events import OriginChanged
from warp_twisted.agent.service import AgentService
from warp_twisted.wire.control import OriginHealth


class Application(Factory):
    """
    An application that answers each request as it is told.

    :ivar answer: what it says; empty: nothing.
    :ivar asked: what it was asked.
    """

    noisy = False

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n") -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def buildProtocol(self, address: object) -> Protocol:
        """Serve one connection."""
        return _Answering(self)

    def answer_to(self, request: bytes) -> bytes:
        """Return what it says to a request; empty: nothing."""
        return self.answer


class _Answering(Protocol):
    transport: Connection

    def __init__(self, application: Application) -> None:
        self._application = application

    def dataReceived(self, data: bytes) -> None:
        self._application.asked.append(data)
        answer = self._application.answer_to(data)
        if answer:
            self.transport.write(answer)


def status(text: str) -> bytes:
    """Return an answer without a body."""
    return f"HTTP/1.1 {text}\r\nContent-Length: 0\r\n\r\n".encode()


class HealthTests(OriginTestCase):
    """What an agent finds, and what its edge hears of it."""

    async def serve_probed(self, service: str, health: str = "path: /healthz", request: str = "") -> AgentService:
        """Start an agent that probes an origin every second."""
        return await self.start(
            f"ingress: [{{service: '{service}', originRequest: {{{request}}}, "
            f"health: {{{health}, interval: 1s, fall: 1, rise: 1}}}}]"
        )

    async def assert_found(self, healthy: bool, detail: str) -> None:
        """Wait until the edge hears so of the origin."""
        event = [OriginChanged(origin=self.service, healthy=healthy, detail=detail)]
        await self.until(lambda: self.events_of(OriginChanged)[-1:] == event)
        while not (told := [each for each in self.edge.messages if isinstance(each, OriginHealth)]):
            await self.turns(1)
        while (told := [each for each in self.edge.messages if isinstance(each, OriginHealth)])[-1].healthy != healthy:
            await self.turns(1)
        self.assertEqual(told[-1], OriginHealth(route_id=0, healthy=healthy, detail=detail, probed=True))

    async def probed(self, application: Application, health: str = "path: /healthz") -> None:
        """Serve an application that is probed."""
        self.service = f"http://127.0.0.1:{self.serve(application)}"
        await self.serve_probed(self.service, health)

    async def test_status(self) -> None:
        """An application that fails is found, and found again when it is well; the visitor's hostname is asked for."""
        application = Application(status("500 Oh"))
        await self.probed(application)
        await self.assert_found(False, "it answers 500")
        application.answer = status("200 OK")
        await self.assert_found(True, "")
        self.assertEqual(application.asked[0].split(b"\r\n")[0], b"GET /healthz HTTP/1.1")
        self.assertIn(b"Host: " + self.service.removeprefix("http://").encode(), application.asked[0])

    async def test_redirection(self) -> None:
        """A redirection is not followed: it is the answer."""
        application = Application(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        await self.probed(application, "path: /, expect: 200")
        await self.assert_found(False, "it answers 302")
        self.assertNotIn(b"elsewhere", b"".join(application.asked))

    async def test_refused(self) -> None:
        """Nobody listens, and then somebody does."""
        port = unused_port()
        self.service = f"http://127.0.0.1:{port}"
        await self.serve_probed(self.service)
        await self.assert_found(False, "connection refused")
        self.listen(Application(), port)
        await self.assert_found(True, "")

    async def test_silent(self) -> None:
        """An application that takes the connection and says nothing is given up by the probe's own time-out."""
        await self.probed(Application(b""), "path: /, timeout: 300ms")
        await self.assert_found(False, "no answer within 0.3 seconds")

    async def test_black_hole(self) -> None:
        """So is a port that does not even answer the connection, long before `connect_timeout`."""
        sockets, port = black_hole()
        for each in sockets:
            self.addCleanup(each.close)
        self.service = f"http://127.0.0.1:{port}"
        await self.serve_probed(self.service, "path: /, timeout: 300ms")
        await self.assert_found(False, "no answer within 0.3 seconds")

    async def test_slow(self) -> None:
        """An answer whose head trickles in for longer than the time-out is none."""
        await self.probed(Application(b"HTTP/1.1 200 OK\r\nA"), "path: /, timeout: 300ms")
        await self.assert_found(False, "no answer within 0.3 seconds")

    async def test_wrong_body(self) -> None:
        """An answer with another text than was asked for is not good."""
        application = Application()
        await self.probed(application, "path: /, expect: {status: 200, body: ready}")
        await self.assert_found(False, "'ready' is not in its answer")
        application.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n"
        await self.assert_found(True, "")

    async def test_endless_body(self) -> None:
        """Of a body without end no more than 64 KiB are read, and the probe is over."""
        application = Application(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000)
        await self.probed(application, "path: /, expect: {body: ready}")
        await self.assert_found(False, "'ready' is not in its answer")

    async def test_hangs_up(self) -> None:
        """An application that hangs up without an answer is not well."""
        await self.probed(Application(b"not http\r\n\r\n"))
        await self.assert_found(False, "its answer is not valid HTTP")

    async def test_tcp(self) -> None:
        """A TCP service is well when it takes connections; nothing is sent to it."""
        port = unused_port()
        self.service = f"tcp://127.0.0.1:{port}"
        await self.serve_probed(self.service, "tcp: true")
        await self.assert_found(False, "connection refused")
        application = Application()
        self.listen(application, port)
        await self.assert_found(True, "")
        self.assertEqual(application.asked, [])

    async def test_tls(self) -> None:
        """An https origin is probed over TLS, and one that is somebody else is not well."""
        options, ca = origin_certificate(self.directory, "localhost")
        port = self.serve(Application(), options)
        self.service = f"https://localhost:{port}"
        agent = await self.serve_probed(self.service, request=f"ca: '{ca}'")
        check = agent.routes.offered[0].check
        assert check is not None
        while not check.probes:
            await self.turns(1)
        self.assertEqual((check.failures, self.events_of(OriginChanged)), (0, []))

    async def test_tls_of_somebody_else(self) -> None:
        """A certificate for another name fails the probe, and says so."""
        options, ca = origin_certificate(self.directory, "other.example")
        port = self.serve(Application(), options)
        self.service = f"https://localhost:{port}"
        agent = await self.serve_probed(self.service, request=f"ca: '{ca}'")
        await self.until(lambda: bool(self.events_of(OriginChanged)))
        self.assertFalse(agent.routes.offered[0].is_healthy)
        self.assertIn("localhost", self.events_of(OriginChanged)[-1].detail)

    async def test_unix(self) -> None:
        """An application on a unix socket is probed there."""
        path = short_directory_of(self) / "a"
        application = Application(status("503 No"))
        self.listen_unix(path, application)
        self.service = f"unix:{path}"
        await self.serve_probed(self.service)
        await self.assert_found(False, "it answers 503")
        self.assertIn(b"Host: localhost", application.asked[0])

    async def test_a_new_tunnel_hears(self) -> None:
        """A tunnel that comes up later is told of what is not well."""
        await self.probed(Application(status("500 Oh")))
        await self.assert_found(False, "it answers 500")
        self.edge.messages.clear()
        self.edge.tunnels[-1].close()
        await self.assert_found(False, "it answers 500")

    async def test_stop(self) -> None:
        """An agent that stops while a probe is under way drops its connection, and probes no more."""
        application = Application(b"")
        self.service = f"http://127.0.0.1:{self.serve(application)}"
        agent = await self.serve_probed(self.service, "path: /, timeout: 1s")
        while not application.asked:
            await self.turns(1)
        await self.stop(agent)
        check = agent.routes.offered[0].check
        assert check is not None
        self.assertEqual((check.probes, check.is_under_way), (0, False))
