"""A second edge behind the one that visitors see: it has all tunnels, and the first relays to it over a real link."""

from collections.abc import Mapping
from types import MappingProxyType

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Connection

from tests.system.edge.harness import LOOPBACK, EdgeHarness, PlainTunnel, StubAgent, Tunnel
from warp_twisted.edge.relays.arrivals import Arrivals
from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.remote_tunnel import RelayOpener, RemoteTunnel
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.tunnel.limits import AGENT_LIMITS
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.frames import Role
from warp_twisted.wire.relayed import RelayPreamble
from warp_twisted.wire.streams import Stream


class _Far(RecordingDelegate):
    """The second edge's end."""

    def __init__(self, opened: "Deferred[TunnelProtocol]") -> None:
        super().__init__()
        self._opened = opened

    def tunnel_opened(self, tunnel: TunnelProtocol) -> None:
        """Say so."""
        self._opened.callback(tunnel)


def cut(end: TunnelProtocol) -> None:
    """Cut a connection without a word."""
    assert isinstance(end.transport, Connection)
    end.transport.abortConnection()


class RelayedHarness(EdgeHarness):
    """
    The data path of two edges.

    :ivar table: of the edge that visitors see: nothing but what the other one has.
    :ivar second: of the edge that has the tunnels.
    :ivar link: the first edge's end of the link, and `far_link` the second one's.
    """

    async def add_tunnel(
        self,
        offers: list[RouteOffer],
        agent: str = "agent-1",
        labels: Mapping[str, str] = MappingProxyType({}),
        origin_port: int = 0,
    ) -> Tunnel:
        """Dial one more tunnel, to the second edge, and let the first one know."""
        if not self.tunnels:
            await self._link_up()
        tunnel = await self.dial_tunnel(agent, labels, origin_port)
        self.second.add(tunnel, offers)
        remote = self.remotes.get(agent)
        if remote is None:
            opener = RelayOpener("edge-2", agent, lambda edge: self.link, self.counters.of("edge-2"))
            remote = self.remotes[agent] = RemoteTunnel("edge-2", agent, labels, opener)
        self.table.add(remote, remote.offers(offers))
        return tunnel

    async def _link_up(self) -> None:
        self.second = RouteTable(DataPathMetrics())
        self.counters = RelayCounters()
        self.remotes: dict[str, RemoteTunnel] = {}
        self.arrivals = Arrivals(self.second.route_of, self.counters)
        opened: Deferred[TunnelProtocol] = Deferred()
        far = _Far(opened)
        port = await self.listen(Factory.forProtocol(lambda: self._end(Role.SERVER, far)))
        self.link = self._end(Role.CLIENT, RecordingDelegate())
        await connectProtocol(TCP4ClientEndpoint(self.reactor, LOOPBACK, port), self.link)
        self.far_link = await opened
        self.far_link.relayed = self._relayed

    def _end(self, role: Role, delegate: RecordingDelegate) -> PlainTunnel:
        return PlainTunnel(
            role, delegate, clock=self.reactor, turn=self.turn, limits=AGENT_LIMITS, opens_both_ways=True
        )

    def _relayed(self, tunnel: TunnelProtocol, stream: Stream, relayed: RelayPreamble) -> None:
        self.arrivals.take("edge-1", stream, relayed)

    async def stop(self) -> None:
        """Close everything."""
        for end in (self.link, self.far_link):
            end.close()
            await end.disconnected()
        await super().stop()

    @property
    def stub(self) -> StubAgent:
        """The first agent."""
        return self.tunnels[0].stub
