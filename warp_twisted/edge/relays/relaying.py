"""
The door of this room: what joins links, the registry of live tunnels and the table of routes.

What other edges tell of their tunnels is in the registry's mirror, as this edge's own is; each change of theirs goes to
`remote_agents`. What they relay comes from their links and goes to `arrivals`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from warp_twisted.edge.relays.arrivals import Arrivals
from warp_twisted.edge.relays.counters import RelayCounters
from warp_twisted.edge.relays.remote_agents import RemoteAgents
from warp_twisted.edge.relays.remote_tunnel import Link
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Tunnel
from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.relayed import RelayPreamble
from warp_twisted.wire.streams import Stream


class Links(Protocol):
    """
    The links with other edges.

    :ivar relayed: called with each stream that an edge opens for a visitor: first its name and the link.
    """

    relayed: Callable[[str, TunnelProtocol, Stream, RelayPreamble], None]

    def tunnel_to(self, edge: str) -> Link | None:
        """Return the link with an edge; None if there is none now."""


class Relaying:
    """
    Serves what other edges have, and lets them have what this one serves.

    :param own: this edge's name.
    :param start: runs a job in slices.
    :ivar counters: of relayed streams, for a scrape.
    :ivar remote: what other edges have.
    """

    def __init__(
        self,
        own: str,
        routes: RouteTable,
        mirror: Mirror,
        links: Links,
        start: Callable[[Iterator[None]], object],
    ) -> None:
        self._own = own
        self.counters = RelayCounters()
        self.remote = RemoteAgents(routes, links.tunnel_to, self.counters, start)
        self._arrivals = Arrivals(routes.route_of, self.counters)
        links.relayed = self._take
        mirror.subscribe(self._changed)

    def _take(self, edge: str, tunnel: TunnelProtocol, stream: Stream, relayed: RelayPreamble) -> None:
        """Take a stream of another edge."""
        self._arrivals.take(edge, stream, relayed)

    def _changed(self, changes: Sequence[Change]) -> None:
        """Hear of what changed in the registry."""
        told = [(self._remote(change.before), self._remote(change.after)) for change in changes]
        self.remote.changed([each for each in told if each != (None, None)])

    def _remote(self, value: object) -> Tunnel | None:
        return value if isinstance(value, Tunnel) and value.edge != self._own else None
