"""
The tunnel port: `tunnel.endpoints.TunnelListener`, with the edge's own limits, which change when settings do.

It times an agent's hello from the moment its certificate is good, holds enrollments to a rate for each address, and
leaves no address more than a part of the handshakes: whoever keeps connections silent locks out nobody else.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime

from warp_twisted.edge.agents.enrollment import EnrollmentRate
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import WarpError
from warp_twisted.tunnel import Turn
from warp_twisted.tunnel.contexts import ENROLL_PROTOCOL
from warp_twisted.tunnel.endpoints import TunnelListener
from warp_twisted.tunnel.enrollment import Enroll
from warp_twisted.tunnel.errors import TooBusy
from warp_twisted.tunnel.limits import EDGE_LIMITS
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

    proven: ProvenPeers
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


class TunnelPort:
    """
    What the tunnel port runs: its factory, made with the first certificate and kept up with certificates and settings.

    :param settings: returns the settings as they are now.
    :param tunnels: hears of every tunnel.
    :param enroll: judges enrollments.
    :param root_pem: told to agents that enroll.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        settings: Callable[[], EdgeSettings],
        tunnels: EdgeTunnels,
        enroll: Enroll,
        root_pem: str,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._tunnels = tunnels
        self._enroll = enroll
        self._root_pem = root_pem
        self._rate = EnrollmentRate(reactor)
        self._factory: EdgeListener | None = None

    @property
    def factory(self) -> EdgeListener:
        """
        What is listened with.

        :raises EdgeError: before there is a certificate.
        """
        if self._factory is None:
            raise EdgeError("the tunnel port has no certificate yet")
        return self._factory

    def use(self, context: ssl.SSLContext) -> None:
        """Show another certificate to connections to come."""
        if self._factory is not None:
            self._factory.context = context
            return
        self._factory = EdgeListener(
            context=context,
            delegate=self._tunnels,
            reactor=self._reactor,
            turn=Turn(self._reactor),
            root_pem=self._root_pem,
            enroll=self._enroll,
            proven=self,
        )
        self.settings_changed()

    def settings_changed(self) -> None:
        """Hold connections to come to the limits of now."""
        if self._factory is not None:
            settings = self._settings()
            self._factory.max_handshakes = settings.limits.handshakes
            self._factory.handshake_seconds = settings.timeouts.hello
            self._factory.limits = replace(EDGE_LIMITS, max_streams=settings.limits.streams_per_tunnel)

    # What the factory says (`ProvenPeers`).

    def tunnel_proven(self, protocol: TunnelProtocol) -> None:
        """Expect a hello."""
        self._tunnels.tunnel_proven(protocol)

    def enrollment_begun(self, address: str) -> None:
        """Hold each network to the rate of enrollments."""
        limits = self._settings().limits
        self._rate.take(address, limits.enrollments_per_second, limits.enrollment_burst)


def _network(address: IAddress | None) -> str:
    return network_of(plain_address(getattr(address, "host", "")))
