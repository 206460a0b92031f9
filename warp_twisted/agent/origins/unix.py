"""Origins that speak HTTP/1.1 on a unix socket: `unix:/path`, and with TLS on it `unix+tls:/path`."""

from dataclasses import dataclass
from typing import Literal

from twisted.internet.endpoints import UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from warp_twisted.agent.origins.interface import Dial, OriginRequest
from warp_twisted.agent.origins.tls import origin_tls
from warp_twisted.errors import InvalidSettings

MAX_PATH_BYTES = 107  # sockaddr_un.sun_path holds 108 with the final NUL (unix(7))


@dataclass(frozen=True, slots=True)
class UnixOrigin:
    """A server on a unix socket; `OriginRequest.server_name` says which certificate to expect with TLS."""

    path: str
    tls: bool
    request: OriginRequest

    @property
    def text(self) -> str:
        """The service in its normal form."""
        return f"unix+tls:{self.path}" if self.tls else f"unix:{self.path}"

    @property
    def protocol(self) -> Literal["http"]:
        """The edge parses requests."""
        return "http"

    def access(self, reactor: IReactorTime) -> Dial:
        """Dial the socket."""
        timeout = self.request.connect_timeout
        endpoint: IStreamClientEndpoint = UNIXClientEndpoint(reactor, self.path, timeout)
        if self.tls:
            endpoint = wrapClientTLS(origin_tls("localhost", self.request), endpoint)
            timeout = self.request.timeout
        return Dial(endpoint, tls=self.tls, timeout=timeout)


def parse(service: str, request: OriginRequest) -> UnixOrigin:
    """Read `unix:/path` or `unix+tls:/path`; `unix:///path` is the same."""
    scheme, _, path = service.partition(":")
    if path.startswith("//"):
        path = path[2:]
    if not path.startswith("/") or "\0" in path or not 1 < len(path.encode()) <= MAX_PATH_BYTES:
        raise InvalidSettings(
            f"{service!r} is not a service: expected {scheme}:/path of at most {MAX_PATH_BYTES} bytes"
        )
    return UnixOrigin(path, scheme == "unix+tls", request)
