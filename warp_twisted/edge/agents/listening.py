"""
The tunnel port: `tunnel.endpoints.TunnelListener`, with the edge's own limits.

It times an agent's hello from the moment its certificate is good, holds enrollments to a rate for each address, and
leaves no address more than a part of the handshakes: whoever keeps connections silent locks out nobody else.
"""

from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IAddress, IProtocol

from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.contexts import ENROLL_PROTOCOL
from warp_twisted.tunnel.endpoints import TunnelListener
from warp_twisted.tunnel.errors import TooBusy
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.tls import TlsProtocol

HANDSHAKE_PARTS = 4  # of all handshakes, one address may have one part


class ProvenPeers(Protocol):
    """What the edge says of peers whose handshake is done."""

    def tunnel_proven(self, protocol: TunnelProtocol) -> None:
        """An agent's certificate is good."""

    def enrollment_begun(self, address: str) -> None:
        """
        Somebody wants to enroll.

        :raises WarpError: if it may not now.
        """


@dataclass(kw_only=True, eq=False)
class EdgeListener(TunnelListener):
    """The factory of the tunnel port."""

    proven: ProvenPeers = field(init=False)
    _by_network: dict[str, int] = field(default_factory=dict, init=False)

    def buildProtocol(self, addr: IAddress | None) -> TlsProtocol | None:
        """Begin a handshake, unless too many of this address are under way."""
        network = _network(addr)
        under_way = self._by_network.get(network, 0)
        if under_way >= max(1, self.max_handshakes // HANDSHAKE_PARTS):
            self._refuse(addr, TooBusy(f"{under_way} handshakes with this address are under way"))
            return None
        protocol = super().buildProtocol(addr)
        if protocol is not None:
            self._by_network[network] = under_way + 1
        return protocol

    def _secured(self, transport: TlsProtocol) -> IProtocol:
        protocol = super()._secured(transport)
        self._count_out(transport.getPeer())
        return protocol

    def _failed(self, address: IAddress | None, error: WarpError) -> None:
        self._count_out(address)
        super()._failed(address, error)

    def _count_out(self, address: IAddress | None) -> None:
        network = _network(address)
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]

    def _protocol_for(self, transport: TlsProtocol) -> IProtocol:
        if transport.negotiated_protocol == ENROLL_PROTOCOL:
            self.proven.enrollment_begun(getattr(transport.getPeer(), "host", ""))
        protocol = super()._protocol_for(transport)
        if isinstance(protocol, TunnelProtocol):
            self.proven.tunnel_proven(protocol)
        return protocol


def _network(address: IAddress | None) -> str:
    return network_of(plain_address(getattr(address, "host", "")))
