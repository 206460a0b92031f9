"""Origins that are bytes on a TCP port and nothing more: `tcp://host:port`."""

from dataclasses import dataclass
from typing import Literal

from twisted.internet.interfaces import IReactorTime

from warp_base.host_port import join_host_port
from warp_twisted.agent.origins.addresses import split_address
from warp_twisted.agent.origins.connecting import origin_endpoint
from warp_twisted.agent.origins.interface import Dial, OriginRequest


@dataclass(frozen=True, slots=True)
class TcpOrigin:
    """Any TCP service."""

    host: str
    port: int
    request: OriginRequest

    @property
    def text(self) -> str:
        """The service in its normal form."""
        return f"tcp://{join_host_port(self.host, self.port)}"

    @property
    def protocol(self) -> Literal["tcp"]:
        """The edge splices bytes."""
        return "tcp"

    def access(self, reactor: IReactorTime) -> Dial:
        """Dial TCP."""
        endpoint = origin_endpoint(reactor, self.host, self.port, self.request)
        return Dial(endpoint, tls=False, timeout=self.request.connect_timeout)


def parse(service: str, request: OriginRequest) -> TcpOrigin:
    """Read `tcp://host:port`."""
    _, host, port = split_address(service, None)
    return TcpOrigin(host, port, request)
