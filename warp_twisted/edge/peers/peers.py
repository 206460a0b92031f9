"""
The door of this room: the links of one edge with what they need, their order of starting and stopping, and what
operators are shown of them.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from twisted.internet.defer import Deferred

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_twisted.edge.errors import EdgeAlive, EdgeUnknown
from warp_twisted.edge.peers.links import Links
from warp_twisted.edge.peers.live import Bans, LiveState
from warp_twisted.edge.peers.own_record import OwnRecord
from warp_twisted.edge.peers.renewals import Renewals
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change
from warp_twisted.registry.store import Store

SLICE_SECONDS = 0.002  # of a turn, for what is told and heard


class Peers:
    """
    Other edges.

    :param own: this edge's name.
    :param describe: returns what this edge's record should be now.
    :param context: returns what other edges are dialed with.
    :param refresh: puts this edge's own entry into the registry again, as what it reaches has changed.
    """

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        own: str,
        store: Store,
        mirror: Mirror,
        bans: Bans,
        describe: Callable[[], EdgeRecord],
        context: Callable[[], ssl.SSLContext],
        refresh: Callable[[], Deferred[None]],
        software: str,
        region: str = "",
    ) -> None:
        self._clock = reactor
        self._store = store
        self._own = own
        self._mirror = mirror
        self._refresh = refresh
        self._slices = Slices(reactor, SLICE_SECONDS)
        self._record = OwnRecord(store, mirror, reactor, describe)
        self.renewals = Renewals(store, mirror, reactor, wall)
        self.live = LiveState(own, store, mirror, bans, wall, self.renewals)
        self.links = Links(
            reactor, own, mirror.edge_records, context, self.live, self._slices, software=software, region=region
        )
        self.links.changed = self._links_changed
        mirror.subscribe(self._registry_changed)

    def start_writing(self) -> None:
        """Keep this edge's record true."""
        self._record.start()

    def stop_writing(self) -> None:
        """Keep it true no more."""
        self._record.stop()

    def start(self) -> None:
        """Begin to dial, as this edge serves."""
        self.links.start()

    def stop(self) -> None:
        """End all links."""
        self._record.stop()
        self.renewals.stop()
        self.links.stop()
        self._slices.stop()

    def relays_to(self) -> Sequence[str]:
        """Return the edges through which this one serves what they serve."""
        return self.links.names()

    def listed(self) -> Sequence[Mapping[str, object]]:
        """Return what operators are shown of each other edge."""
        now = self._clock.seconds()
        found = []
        for name, peer in sorted(self.links.peers.items()):
            link = peer.link
            tunnel = link.tunnel if link is not None else None
            greeting = link.hearing.greeting if link is not None else None
            entry = self._mirror.edges.get(name)
            found.append(
                {
                    "edge": name,
                    "state": peer.state.name.lower(),
                    "alive": peer.state.is_alive,
                    "draining": entry is not None and entry.draining,
                    "seconds": round(now - peer.since, 3),
                    "silent_seconds": round(now - tunnel.heard_at, 3) if tunnel is not None else None,
                    "round_trip_seconds": tunnel.round_trip_seconds if tunnel is not None else None,
                    "tunnels": link.hearing.tunnels if link is not None and peer.state.is_alive else 0,
                    "untold": len(link.teller) if link is not None else 0,
                    "losses": peer.losses,
                    "addresses": list(peer.record.addresses),
                    "software": greeting.software if greeting is not None else "",
                    "region": greeting.region if greeting is not None else "",
                    "problem": peer.problem,
                }
            )
        return found

    async def remove(self, edge: str) -> object:
        """
        Take the record of an edge that is gone out of the registry, so that it is no edge of the fleet any more.

        An edge that runs would put its record back at once, so one that this edge hears is not removed.

        :raises EdgeUnknown: if there is no such record.
        :raises EdgeAlive: if it is this edge, or one that is linked.
        """
        if edge == self._own:
            raise EdgeAlive(f"{edge} is this edge; stop it, and remove it at another one")
        record = self._mirror.edge_records.get(edge)
        if record is None:
            raise EdgeUnknown(f"the registry has no record of an edge {edge}; warp edge list shows those of the fleet")
        peer = self.links.peers.get(edge)
        if peer is not None and peer.state.is_connected:
            raise EdgeAlive(f"edge {edge} is linked and would put its record back at once; stop it first")
        await self._store.delete(record.key)
        return {"edge": edge, "addresses": list(record.addresses)}

    def collect(self) -> Iterable[Metric]:
        """Yield what a scrape reads."""
        alive = GaugeMetricFamily("warp_edge_peer_up", "Whether another edge is linked and alive.", labels=["edge"])
        tunnels = GaugeMetricFamily("warp_edge_peer_tunnels", "Tunnels that another edge told of.", labels=["edge"])
        losses = CounterMetricFamily(
            "warp_edge_peer_losses", "Links with another edge that were lost.", labels=["edge"]
        )
        trips = GaugeMetricFamily(
            "warp_edge_peer_round_trip_seconds", "How long the last ping to another edge took.", labels=["edge"]
        )
        for name, peer in self.links.peers.items():
            alive.add_metric([name], float(peer.state.is_alive))
            losses.add_metric([name], peer.losses)
            link = peer.link
            if link is not None and peer.state.is_alive:
                tunnels.add_metric([name], link.hearing.tunnels)
                if link.tunnel is not None and link.tunnel.round_trip_seconds is not None:
                    trips.add_metric([name], link.tunnel.round_trip_seconds)
        yield from (alive, tunnels, losses, trips)

    def _registry_changed(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.after or change.before, EdgeRecord) for change in changes):
            self.links.records_changed()

    def _links_changed(self) -> None:
        self._refresh()
