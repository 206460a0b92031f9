"""
Origins that speak HTTP/1.1 on a TCP port: `http://host:port` and `https://host:port`.

The bytes are the edge's business; here only the connection, and for https the certificate, matter.
"""

from dataclasses import dataclass
from typing import Literal

from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IReactorTime

from warp_base.host_port import join_host_port
from warp_twisted.agent.origins.addresses import split_address
from warp_twisted.agent.origins.connecting import origin_endpoint
from warp_twisted.agent.origins.interface import Dial, OriginRequest
from warp_twisted.agent.origins.tls import origin_tls

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """An HTTP server; with `scheme` https its certificate is verified unless the request says otherwise."""

    scheme: str
    host: str
    port: int
    request: OriginRequest

    @property
    def text(self) -> str:
        """The service in its normal form."""
        return f"{self.scheme}://{join_host_port(self.host, self.port)}"

    @property
    def protocol(self) -> Literal["http"]:
        """The edge parses requests."""
        return "http"

    def access(self, reactor: IReactorTime) -> Dial:
        """Dial TCP, and TLS for https."""
        endpoint = origin_endpoint(reactor, self.host, self.port, self.request)
        if self.scheme == "http":
            return Dial(endpoint, tls=False, timeout=self.request.connect_timeout)
        tls = wrapClientTLS(origin_tls(self.host, self.request), endpoint)
        return Dial(tls, tls=True, timeout=self.request.timeout)


def parse(service: str, request: OriginRequest) -> HttpOrigin:
    """Read `http://host[:80]` or `https://host[:443]`."""
    scheme = service.partition(":")[0]
    scheme, host, port = split_address(service, _PORTS[scheme])
    return HttpOrigin(scheme, host, port, request)
