"""
The tunnel port: `tunnel.endpoints.TunnelListener`, with the edge's own limits.

It times an agent's hello from the moment its certificate is good, and holds enrollments to a rate for each address.
"""

from typing import Protocol

from twisted.internet.interfaces import IProtocol

from warp_twisted.tunnel.contexts import ENROLL_PROTOCOL
from warp_twisted.tunnel.endpoints import TunnelListener
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.tls import TlsProtocol


class ProvenPeers(Protocol):
    """What the edge says of peers whose handshake is done."""

    def tunnel_proven(self, protocol: TunnelProtocol) -> None:
        """An agent's certificate is good."""

    def enrollment_begun(self, address: str) -> None:
        """
        Somebody wants to enroll.

        :raises WarpError: if it may not now.
        """


class EdgeListener(TunnelListener):
    """The factory of the tunnel port."""

    proven: ProvenPeers

    def _protocol_for(self, transport: TlsProtocol) -> IProtocol:
        if transport.negotiated_protocol == ENROLL_PROTOCOL:
            self.proven.enrollment_begun(getattr(transport.getPeer(), "host", ""))
        protocol = super()._protocol_for(transport)
        if isinstance(protocol, TunnelProtocol):
            self.proven.tunnel_proven(protocol)
        return protocol
