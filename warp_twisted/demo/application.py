"""
The application that `warp demo` exposes: a page, and one path for each thing that a tunnel must carry well.

`/echo` returns the body, or for GET what arrived; `/upload` counts and hashes; `/download?bytes=N` sends N bytes;
`/events` is an endless event stream; `/ws` echoes WebSocket messages. It listens on loopback only, for the agent
beside it, and knows nothing of Warp: any application would do.
"""

import hashlib
import json
from html import escape
from typing import IO, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IReactorTCP, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.websocket import WebSocketResource, WebSocketTransport
from zope.interface import implementer

from warp_twisted.demo.loopback_site import LoopbackSite

MAX_DOWNLOAD_BYTES = 10 << 30
CHUNK_BYTES = 64 << 10
EVENT_SECONDS = 1.0

_STYLE = """
:root { color-scheme: light dark; --accent: #0a7; }
body { font: 17px/1.55 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1.2rem; }
h1 { font-size: 2rem; line-height: 1.2; margin-bottom: .3rem } h1 b { color: var(--accent) }
code, pre { font: 14px/1.5 ui-monospace, monospace } pre { overflow-x: auto; padding: 1rem; border: 1px solid #8884;
border-radius: .5rem } table { border-collapse: collapse; width: 100% } td { padding: .3rem .8rem .3rem 0;
border-bottom: 1px solid #8883; vertical-align: top; overflow-wrap: anywhere } td:first-child { white-space: nowrap }
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>It works: {host}</title><style>{style}</style>
<h1>It <b>works</b>.</h1>
<p>This page came from an application that listens on loopback only. The edge found it through a tunnel that the
agent beside the application opened, and DNS has the name for as long as that tunnel lives.</p>
<p>Events from the application, one a second: <code id="events">waiting…</code><br>
WebSocket round trip: <code id="ws">waiting…</code></p>
<h2>What the application saw</h2><table>{rows}</table>
<h2>More to try</h2>
<pre>curl -N '{base}/events'
curl '{base}/download?bytes=10000000' -o /dev/null
head -c 1000000 /dev/zero | curl --data-binary @- '{base}/upload'</pre>
<script>
new EventSource("/events").onmessage = e => events.textContent = e.data;
const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
const send = () => socket.send(performance.now());
socket.onopen = send;
socket.onmessage = e => {{ ws.textContent = (performance.now() - e.data).toFixed(1) + " ms"; setTimeout(send, 1000) }};
</script></html>
"""


class _Page(Resource):
    def render_GET(self, request: Request) -> bytes:
        host = request.getHeader("host") or "localhost"
        scheme = "https" if request.getHeader("x-forwarded-proto") == "https" else "http"
        rows = [("request", f"{_text(request.method)} {_text(request.uri)}"), *_headers(request)]
        request.setHeader("content-type", "text/html; charset=utf-8")
        return _PAGE.format(
            host=escape(host),
            base=escape(f"{scheme}://{host}"),
            style=_STYLE,
            rows="".join(f"<tr><td>{escape(name)}<td><code>{escape(value)}</code>" for name, value in rows),
        ).encode()


class _Echo(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        saw = {
            "method": _text(request.method),
            "target": _text(request.uri),
            "headers": [[name.lower(), value] for name, value in _headers(request)],
        }
        return _json(request, saw)

    def render_POST(self, request: Request) -> int:
        body = _body(request)
        request.setHeader("content-type", request.getHeader("content-type") or "application/octet-stream")
        request.setHeader("content-length", str(_size(body)))
        sent: Deferred[bytes] = FileSender().beginFileTransfer(body, request)
        # A visitor who leaves in the middle ends the transfer; there is nobody left to tell.
        sent.addCallbacks(lambda _: request.finish(), lambda _: None)
        return NOT_DONE_YET

    render_PUT = render_POST


class _Upload(Resource):
    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        body = _body(request)
        digest = hashlib.sha256()
        while chunk := body.read(CHUNK_BYTES):
            digest.update(chunk)
        return _json(request, {"bytes": body.tell(), "sha256": digest.hexdigest()})

    render_PUT = render_POST


@implementer(IPullProducer)
class _Zeros:
    """Writes a number of bytes as fast as the reader takes them."""

    def __init__(self, request: Request, count: int) -> None:
        self._request = request
        self._left = count

    def resumeProducing(self) -> None:
        chunk = min(self._left, CHUNK_BYTES)
        self._left -= chunk
        self._request.write(bytes(chunk))
        if not self._left:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        self._left = 0


class _Download(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes | int:
        text = _text(request.args.get(b"bytes", [b"1000000"])[0])
        if not text.isdigit() or not 1 <= int(text) <= MAX_DOWNLOAD_BYTES:
            request.setResponseCode(400)
            return f"bytes: expected 1 to {MAX_DOWNLOAD_BYTES}, got {text[:40]!r}\n".encode()
        request.setHeader("content-type", "application/octet-stream")
        request.setHeader("content-length", text)
        request.registerProducer(_Zeros(request, int(text)), False)
        return NOT_DONE_YET


class _Events(Resource):
    isLeaf = True

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        request.setHeader("content-type", "text/event-stream")
        request.setHeader("cache-control", "no-store")
        count = 0

        def send() -> None:
            nonlocal count
            count += 1
            request.write(f"id: {count}\ndata: event {count}\n\n".encode())

        loop = LoopingCall(send)
        loop.clock = self._clock
        request.notifyFinish().addBoth(lambda _: loop.stop())
        loop.start(EVENT_SECONDS)
        return NOT_DONE_YET


class _WebSocketEcho:
    """Sends each message back as it came; see `twisted.web.websocket.WebSocketProtocol`."""

    _transport: WebSocketTransport

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport

    def negotiationFinished(self) -> None: ...

    def pongReceived(self, payload: bytes) -> None: ...

    def textMessageReceived(self, message: str) -> None:
        self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._transport.sendBytesMessage(bytes(data))

    def connectionLost(self, reason: Failure) -> None: ...


class _WebSocketEchoFactory:
    def buildProtocol(self, request: Request) -> _WebSocketEcho:
        return _WebSocketEcho()


class DemoApplication(LoopbackSite):
    """The application on a loopback port of its own choice."""

    def __init__(self, reactor: IReactorTCP, clock: IReactorTime) -> None:
        root = Resource()
        root.putChild(b"", _Page())
        root.putChild(b"echo", _Echo())
        root.putChild(b"upload", _Upload())
        root.putChild(b"download", _Download())
        root.putChild(b"events", _Events(clock))
        root.putChild(b"ws", WebSocketResource(_WebSocketEchoFactory()))
        super().__init__(reactor, root)


def _headers(request: Request) -> list[tuple[str, str]]:
    return [
        (_text(name), _text(value)) for name, values in request.requestHeaders.getAllRawHeaders() for value in values
    ]


def _body(request: Request) -> IO[bytes]:
    body = cast(IO[bytes], request.content)  # set by the time that a resource is asked
    body.seek(0)
    return body


def _size(body: IO[bytes]) -> int:
    size = body.seek(0, 2)
    body.seek(0)
    return size


def _json(request: Request, value: object) -> bytes:
    request.setHeader("content-type", "application/json")
    return json.dumps(value, indent=1).encode() + b"\n"


def _text(data: bytes) -> str:
    return data.decode("latin-1")
