"""Tests of `warp_twisted.demo.application`: each path does what the demo promises."""

import hashlib
import json

import treq
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from twisted.web.websocket import WebSocketClientEndpoint, WebSocketTransport

from tests.case import AsyncTestCase, reactor
from warp_twisted.demo.application import DemoApplication


class FirstBytes(Protocol):
    """Collects a body until it holds enough, then leaves."""

    def __init__(self, count: int) -> None:
        self.wanted = count
        self.data = b""
        self.enough: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= self.wanted and not self.enough.called:
            assert self.transport is not None
            self.transport.loseConnection()
            self.enough.callback(self.data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.enough.called:
            self.enough.errback(reason)


class WebSocketRecorder:
    """A WebSocket visitor that keeps the first message it gets."""

    def __init__(self) -> None:
        self.message: Deferred[str | bytes] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None: ...

    def pongReceived(self, payload: bytes) -> None: ...

    def textMessageReceived(self, message: str) -> None:
        self.message.callback(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.message.callback(bytes(data))

    def connectionLost(self, reason: Failure) -> None:
        self.lost.callback(None)


class RecorderFactory:
    """Builds recorders."""

    def buildProtocol(self, url: str) -> WebSocketRecorder:
        return WebSocketRecorder()


class DemoApplicationTests(AsyncTestCase):
    """The application alone, without a tunnel."""

    async def prepare(self) -> None:
        self.application = DemoApplication(reactor, reactor)
        await self.application.start()
        self.clean_up_with(self.application.stop)
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.addCleanup(self.pool.closeCachedConnections)

    def url(self, path: str, scheme: str = "http") -> str:
        """Return the address of one path."""
        return f"{scheme}://127.0.0.1:{self.application.port}{path}"

    async def ask(self, method: str, path: str, data: bytes | None = None) -> tuple[IResponse, bytes]:
        """Make one request and read its body."""
        response = await treq.request(method, self.url(path), data=data, pool=self.pool)
        return response, await response.content()

    async def test_page_shows_what_arrived(self) -> None:
        """The page names the host it was asked for, and escapes it."""
        response = await treq.get(self.url("/"), headers=Headers({"host": ["a<b>.example.org"]}), pool=self.pool)
        page = await response.text()
        self.assertEqual(response.code, 200)
        self.assertIn("It works: a&lt;b&gt;.example.org", page)
        self.assertNotIn("a<b>", page)

    async def test_echo_tells_what_arrived(self) -> None:
        """GET /echo returns method, target and headers."""
        _, body = await self.ask("GET", "/echo?x=1")
        saw = json.loads(body)
        self.assertEqual((saw["method"], saw["target"]), ("GET", "/echo?x=1"))
        self.assertIn("host", [name for name, _ in saw["headers"]])

    async def test_echo_returns_the_body(self) -> None:
        """POST /echo returns a body of many chunks unchanged."""
        sent = bytes(range(256)) * 4096
        response, body = await self.ask("POST", "/echo", sent)
        self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(sent).digest())
        self.assertEqual(response.length, len(sent))

    async def test_upload_counts(self) -> None:
        """POST /upload tells length and hash of the body."""
        sent = b"warp" * 100_000
        _, body = await self.ask("POST", "/upload", sent)
        self.assertEqual(json.loads(body), {"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()})

    async def test_download_sends_what_was_asked_for(self) -> None:
        """GET /download sends exactly so many bytes."""
        _, body = await self.ask("GET", "/download?bytes=200001")
        self.assertEqual(len(body), 200_001)

    async def test_download_refuses_what_is_no_number(self) -> None:
        """A count out of range or no number is refused with what was expected."""
        for count in ("0", "-1", "many", "99999999999999"):
            response, body = await self.ask("GET", f"/download?bytes={count}")
            self.assertEqual(response.code, 400)
            self.assertIn(b"expected 1 to", body)

    async def test_events_come_at_once(self) -> None:
        """The first event does not wait for the second."""
        response = await treq.get(self.url("/events"), pool=self.pool, unbuffered=True)
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["text/event-stream"])
        reader = FirstBytes(10)
        response.deliverBody(reader)
        self.assertIn(b"data: event 1\n\n", await reader.enough)

    async def test_websocket_echo(self) -> None:
        """Text and binary messages come back as they were."""
        for message in ("grüße", b"\x00\xff"):
            endpoint = WebSocketClientEndpoint.new(reactor, self.url("/ws", "ws"))
            visitor = await endpoint.connect(RecorderFactory())
            if isinstance(message, str):
                visitor.transport.sendTextMessage(message)
            else:
                visitor.transport.sendBytesMessage(message)
            self.assertEqual(await visitor.message, message)
            visitor.transport.loseConnection()
            await visitor.lost
