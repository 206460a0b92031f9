"""
Origins inside the agent, served by `twisted.web`: `hello-world` and `http_status:CODE`.

`hello-world` shows that the whole path works and which headers arrive; `http_status` ends a list of rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from io import BytesIO
from typing import Literal

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request

from warp_base.quiet_site import QuietSite
from warp_twisted.agent.origins.interface import BuiltIn, OriginRequest
from warp_twisted.errors import InvalidSettings

_IDLE_SECONDS = 600  # longer than the edge keeps an idle stream, so that the edge is the one that closes it
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hello from Warp</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem }}
td {{ padding-right: 1.5rem; vertical-align: top; overflow-wrap: anywhere }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }} }}
</style>
<h1>Hello from Warp</h1>
<p>Your request for <code>{target}</code> came through the edge and a tunnel
to an agent that listens on no port.</p>
<table>
{rows}
</table>
</html>
"""


class BodilessRequest(Request):
    """A request whose body is thrown away as it comes; twisted.web would keep it, in a file if it is large."""

    _content_type: Sequence[bytes] | None = None

    def gotLength(self, length: int | None) -> None:
        """Keep nothing, and do not let a body that is not there be parsed as a form."""
        self.content = BytesIO()
        self._content_type = self.requestHeaders.getRawHeaders(b"content-type")
        self.requestHeaders.removeHeader(b"content-type")

    def handleContentChunk(self, data: bytes) -> None:
        """Throw a piece away."""

    def process(self) -> None:
        """Answer, with the headers as they came."""
        if self._content_type is not None:
            self.requestHeaders.setRawHeaders(b"content-type", self._content_type)
        super().process()


class _Hello(Resource):
    """
    Answers any path with what the request looked like, as HTML, or as text for those who do not ask for
    HTML.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Answer one request."""
        target = request.uri.decode("latin-1")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        if b"text/html" in (request.getHeader(b"accept") or b""):
            rows = "\n".join(f"<tr><td>{escape(name)}<td>{escape(value)}" for name, value in headers)
            page = _PAGE.format(target=escape(target), rows=rows).encode()
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
        else:
            lines = [f"Hello from Warp: {request.method.decode('latin-1')} {target}"]
            lines += [f"{name}: {value}" for name, value in headers]
            page = ("\n".join(lines) + "\n").encode()
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"content-length", b"%d" % len(page))
        return b"" if request.method == b"HEAD" else page


class _Status(Resource):
    """Answers any request with one status and no more than its reason."""

    isLeaf = True

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__()
        self._status = status

    def render(self, request: Request) -> bytes:
        """Answer one request."""
        request.setResponseCode(self._status.value)
        if self._status.value in (204, 304):
            return b""
        page = f"{self._status.value} {self._status.phrase}\n".encode()
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"content-length", b"%d" % len(page))
        return b"" if request.method == b"HEAD" else page


class _BodilessSite(QuietSite):
    """A site that throws the bodies of requests away."""

    requestFactory = BodilessRequest


@dataclass(frozen=True, slots=True)
class BuiltInOrigin:
    """A web resource that runs in the agent; `text` is the service that names it."""

    text: str
    resource: Callable[[], Resource] = field(compare=False)

    @property
    def protocol(self) -> Literal["http"]:
        """The edge parses requests."""
        return "http"

    def access(self, reactor: IReactorTime) -> BuiltIn:
        """Run HTTP on the stream itself."""
        return BuiltIn(_BodilessSite(self.resource(), timeout=_IDLE_SECONDS, reactor=reactor))


def parse_hello(service: str, request: OriginRequest) -> BuiltInOrigin:
    """Read `hello-world`."""
    if service not in ("hello-world", "hello_world"):
        raise InvalidSettings(f"{service!r} is not a service: hello-world stands alone")
    return BuiltInOrigin("hello-world", _Hello)


def parse_status(service: str, request: OriginRequest) -> BuiltInOrigin:
    """Read `http_status:404`; a status of 1xx is no answer and is refused."""
    code = service.partition(":")[2]
    if code.isascii() and code.isdigit() and len(code) == 3 and int(code) >= 200:
        try:
            status = HTTPStatus(int(code))
        except ValueError:
            pass
        else:
            return BuiltInOrigin(f"http_status:{code}", lambda: _Status(status))
    raise InvalidSettings(f"{service!r} is not a service: http_status: and a status such as 404 or 503 is expected")
