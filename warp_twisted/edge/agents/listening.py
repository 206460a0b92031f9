"""
The tunnel port: `tunnel.endpoints.TunnelListener`, with the edge's own limits, which change when settings do.

Whoever has connected must say something within `SILENCE_SECONDS`, and when there are too many that have proven nothing,
the oldest of the network that has most goes (`edge.agents.unproven`); so has an agent its turn while others are
silent. Handshakes are held to a rate for each network, higher where agents came from lately.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime

from warp_base.token_buckets import TokenBuckets
from warp_base.wall_clock import WallClock
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.agents.unproven import KnownNetworks, Unproven
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.errors import WarpError
from warp_twisted.tunnel import TunnelTimes, Turn
from warp_twisted.tunnel.contexts import ENROLL_PROTOCOL, TUNNEL_PROTOCOL
from warp_twisted.tunnel.endpoints import TunnelListener
from warp_twisted.tunnel.enrollment import Asker, Enroll, EnrollmentServer
from warp_twisted.tunnel.errors import TooBusy
from warp_twisted.tunnel.limits import EDGE_LIMITS
from warp_twisted.tunnel.protocol import TunnelProtocol
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, ReturnRequest

SILENCE_SECONDS = 3.0  # a client that has connected speaks at once, and a lost segment is sent again after 1 s
# A handshake takes the edge 1 to 2 ms, so a stranger may have 4 % of a core.
STRANGERS_PER_SECOND, STRANGERS_BURST = 20.0, 200.0
AGENTS_PER_SECOND, AGENTS_BURST = 400.0, 4_000.0  # many agents may share an address, and come back all at once


class Admittance(Protocol):
    """Who may begin what; see `TunnelPort`."""

    def is_known(self, network: str) -> bool:
        """Whether agents came from a network lately."""

    def handshake_begun(self, network: str) -> None:
        """
        Somebody connects.

        :raises WarpError: if it may not now.
        """

    def tunnel_proven(self, protocol: TunnelProtocol, network: str) -> None:
        """
        An agent's certificate is good.

        :raises WarpError: if it may have no tunnel now.
        """


@dataclass(kw_only=True, eq=False)
class EdgeListener(TunnelListener):
    """
    The factory of the tunnel port.

    :ivar silence_seconds: how long a peer may take to say anything.
    :ivar shaking_hands: connections whose handshake is not done.
    :ivar silent_enrollments: those that have not sent their request.
    """

    admittance: Admittance
    silence_seconds: float = SILENCE_SECONDS
    shaking_hands: Unproven[TlsProtocol] = field(default_factory=Unproven, init=False)
    silent_enrollments: Unproven[EnrollmentServer] = field(default_factory=Unproven, init=False)

    def buildProtocol(self, addr: IAddress | None) -> TlsProtocol | None:
        """Begin a handshake, in the place of another if too many are under way."""
        network = _network(addr)
        try:
            self.admittance.handshake_begun(network)
        except WarpError as error:
            self._refuse(addr, error)
            return None
        protocol = TlsProtocol(
            self.context,
            is_server=True,
            secured=self._secured,
            failed=lambda error: self._handshake_failed(protocol, addr, error),
            clock=self.reactor,
            handshake_seconds=self.handshake_seconds,
            silence_seconds=min(self.silence_seconds, self.handshake_seconds),
            handshakes=self.turn.handshakes,
            network=network,
        )
        is_known = self.admittance.is_known(network)
        victim = self.shaking_hands.admit(protocol, network, self.max_handshakes, is_known=is_known)
        if victim is not None:
            victim.abortConnection()
        return protocol

    def _secured(self, transport: TlsProtocol) -> IProtocol:
        network = _network(transport.getPeer())
        if transport.negotiated_protocol == ENROLL_PROTOCOL and self.enroll is not None:
            protocol: IProtocol = self._enrollment(network, self.enroll)
        else:
            protocol = self._protocol_for(transport)
            if isinstance(protocol, TunnelProtocol) and transport.negotiated_protocol == TUNNEL_PROTOCOL:
                self.admittance.tunnel_proven(protocol, network)
        self.shaking_hands.discard(transport)
        return protocol

    def _enrollment(self, network: str, enroll: Enroll) -> EnrollmentServer:
        if self.enrollments - len(self.silent_enrollments) >= self.max_enrollments:
            raise TooBusy(f"{self.max_enrollments} enrollments wait for their answers")
        server = EnrollmentServer(
            self.root_pem,
            enroll,
            clock=self.reactor,
            wall=self.wall,
            ended=lambda: self._enrollment_over(server),
            asked=lambda: self.silent_enrollments.discard(server),
            silence_seconds=self.silence_seconds,
            seconds=self.handshake_seconds,
        )
        self.enrollments += 1
        is_known = self.admittance.is_known(network)
        victim = self.silent_enrollments.admit(server, network, self.max_enrollments, is_known=is_known)
        if victim is not None:
            victim.give_way()
        return server

    def _enrollment_over(self, server: EnrollmentServer) -> None:
        self.silent_enrollments.discard(server)
        self.enrollments -= 1

    def _handshake_failed(self, protocol: TlsProtocol, address: IAddress | None, error: WarpError) -> None:
        if self.shaking_hands.discard(protocol):
            self._refuse(address, error)
        else:
            self._refuse(address, TooBusy("it made room for others"))


class TunnelPort:
    """
    What the tunnel port runs: its factory, made with the first certificate and kept up with certificates and settings.

    :param settings: returns the settings as they are now.
    :param tunnels: hears of every tunnel.
    :param enroll: judges who asks to be let in (`edge.agents.entrance`).
    :param root_pem: told to agents that enroll.
    :param accept_peer: makes the protocol of a connection of another edge; None refuses them.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        tunnels: EdgeTunnels,
        enroll: Enroll,
        root_pem: str,
        accept_peer: Callable[[TlsProtocol], TunnelProtocol] | None = None,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._settings = settings
        self._tunnels = tunnels
        self._enroll = enroll
        self._root_pem = root_pem
        self._accept_peer = accept_peer
        self._known = KnownNetworks()
        self._strangers = TokenBuckets(STRANGERS_PER_SECOND, STRANGERS_BURST)
        self._agents = TokenBuckets(AGENTS_PER_SECOND, AGENTS_BURST)
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
            wall=self._wall,
            enroll=self._let_in,
            accept_peer=self._accept_peer,
            admittance=self,
        )
        self.settings_changed()

    def settings_changed(self) -> None:
        """Hold connections to come to the limits of now."""
        if self._factory is not None:
            settings = self._settings()
            self._factory.max_handshakes = settings.limits.handshakes
            self._factory.handshake_seconds = settings.timeouts.hello
            self._factory.times = TunnelTimes(
                ping_seconds=settings.timeouts.ping_seconds, silence_seconds=settings.timeouts.silence
            )
            self._factory.limits = replace(EDGE_LIMITS, max_streams=settings.limits.streams_per_tunnel)

    async def _let_in(self, request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled | EnrollRefused:
        """Have a request judged; where an agent was let in, its tunnels come from next."""
        answer = await self._enroll(request, asker)
        if isinstance(answer, Enrolled):
            self._known.note(network_of(plain_address(asker.address)))
        return answer

    @property
    def is_busy(self) -> bool:
        """Whether handshakes wait for their turn, so that who connects now would only wait as well."""
        return self._factory is not None and len(self._factory.turn.handshakes) > 0

    # What the factory asks (`Admittance`).

    def is_known(self, network: str) -> bool:
        """Whether agents came from a network lately."""
        return network in self._known

    def handshake_begun(self, network: str) -> None:
        """Hold each network to a rate of handshakes."""
        rate = self._agents if network in self._known else self._strangers
        wait = rate.take(network, self._reactor.seconds())
        if wait:
            raise TooBusy(f"too many handshakes with {network}; {wait:.1f} s from now there may be another")

    def tunnel_proven(self, protocol: TunnelProtocol, network: str) -> None:
        """Expect a hello."""
        self._known.note(network)
        self._tunnels.tunnel_proven(protocol, network)


def _network(address: IAddress | None) -> str:
    return network_of(plain_address(getattr(address, "host", "")))
