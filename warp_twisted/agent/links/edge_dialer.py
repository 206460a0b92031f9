"""
Dialing edges: choosing one, connecting with our certificate, and knowing which connections are still open.

What a tunnel is for is the delegate's business, when to dial is the link's, and whose certificate it is the caller's.
"""

from collections.abc import Awaitable, Callable, Sequence
from ssl import SSLContext

from twisted.internet.interfaces import IReactorTime

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.endpoints import tcp_endpoint
from warp_twisted.agent.links.edges import Edges
from warp_twisted.tunnel import TunnelDelegate, TunnelProtocol, TunnelTimes, Turn, dial
from warp_twisted.tunnel.errors import NoCertificate, NoCommonProtocol, PeerNotTrusted, TooBusy
from warp_twisted.wire.limits import Limits

CONNECT_SECONDS = 10.0
REFUSALS = (NoCertificate, NoCommonProtocol, PeerNotTrusted, TooBusy)  # of an edge that answers


class EdgeDialer:
    """
    Makes tunnels.

    :param tls_context: returns what to dial with, which changes when the certificate is renewed.
    :param turn: shared by all tunnels of the process.
    :param times: of tunnels, None for the usual ones; so for `limits`.
    :param closed: called when a connection is gone, after its delegate was told.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        edges: Edges,
        tls_context: Callable[[], SSLContext],
        turn: Turn,
        *,
        times: TunnelTimes | None,
        limits: Limits | None,
        closed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._edges = edges
        self._tls_context = tls_context
        self._turn = turn
        self._times = times
        self._limits = limits
        self._closed = closed
        self._open: set[TunnelProtocol] = set()

    @property
    def has_connections(self) -> bool:
        """Whether bytes of a tunnel may still be on their way, though the tunnel itself has ended."""
        return bool(self._open)

    async def choose(self, in_use: Sequence[EdgeAddress]) -> EdgeAddress:
        """
        Find out where edges are now, and choose one.

        :param in_use: the edge of each of our other tunnels.
        :raises NoEdge: if none is known.
        """
        return self._edges.choose(await self._edges.find(), in_use, self._reactor.seconds())

    async def prepare(self, edge: EdgeAddress, preparation: Callable[[EdgeAddress], Awaitable[None]]) -> None:
        """
        Do at an edge what has to be done before it is dialed; one where that fails counts as one that does not answer.

        :raises Exception: what the preparation raises.
        """
        try:
            await preparation(edge)
        except Exception:
            self._edges.failed(edge, self._reactor.seconds())
            raise

    async def dial(self, edge: EdgeAddress, delegate: TunnelDelegate) -> TunnelProtocol:
        """
        Connect to an edge.

        :raises TunnelError: if it is not the edge, or does not take us.
        :raises ConnectError: if it cannot be reached.
        """
        try:
            tunnel = await dial(
                tcp_endpoint(self._reactor, edge.host, edge.port, CONNECT_SECONDS),
                edge.host,
                context=self._tls_context(),
                delegate=delegate,
                reactor=self._reactor,
                turn=self._turn,
                limits=self._limits,
                times=self._times,
            )
        except Exception as error:
            self._edges.failed(edge, self._reactor.seconds(), refused=isinstance(error, REFUSALS))
            raise
        self._open.add(tunnel)
        tunnel.disconnected().addCallback(self._disconnected, tunnel)
        return tunnel

    def _disconnected(self, _: None, tunnel: TunnelProtocol) -> None:
        self._open.discard(tunnel)
        self._closed()
