"""
The door of this room: one zone's numbering in a fleet, looked after twice a second.

Without a shared registry there is no such thing: the one edge numbers its zone, and keeps the serial in a file.
"""

from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_dns.zone.numbering import ZoneNumbering
from warp_twisted.edge.numbering.holding import Holding
from warp_twisted.edge.numbering.sharing import Links, ZoneSharing
from warp_twisted.registry.store import LastingStore

LOOK_SECONDS = 0.5
SLICE_SECONDS = 0.002  # of a turn, for what is told and heard


class FleetNumbering:
    """
    Who numbers the zone, and what this edge transfers.

    :param own: this edge's name.
    :param numbering: of the zone that this edge serves.
    :param first_serial: returns the serial to begin with, if all that were given before are older.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        own: str,
        zone: str,
        store: LastingStore,
        links: Links,
        numbering: ZoneNumbering,
        first_serial: Callable[[], int],
    ) -> None:
        self._numbering = numbering
        self._slices = Slices(reactor, SLICE_SECONDS)
        self._sharing = ZoneSharing(links, numbering, zone, self._slices, reactor)
        self._holding = Holding(store, reactor, own, zone, numbering, first_serial, lambda: bool(store.problem))
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    @property
    def holder(self) -> str:
        """The edge that numbers the zone, as far as this one knows; empty: none."""
        return self._holding.holder

    def start(self) -> None:
        """Begin to look who numbers the zone, and to take part in that, as this edge's zone is whole now."""
        if not self._looking.running:
            self._holding.begin()
            self._looking.start(LOOK_SECONDS).addErrback(self._failed)

    def stop(self) -> None:
        """Number no more: another process of this edge does, or the edge ends."""
        if self._looking.running:
            self._looking.stop()
        self._holding.leave()
        self._sharing.stop()

    async def give_up(self) -> None:
        """Let another edge number the zone from now on, and follow that one."""
        await self._holding.give_up()

    def end(self) -> None:
        """Stop for good."""
        self.stop()
        self._slices.stop()

    def collect(self) -> Iterable[Metric]:
        """Yield what a scrape reads."""
        held = GaugeMetricFamily("warp_edge_zone_numbered_here", "Whether this edge numbers the zone for the fleet.")
        held.add_metric([], float(self._numbering.is_own))
        serial = GaugeMetricFamily("warp_edge_zone_numbered_serial", "The zone's serial that all edges transfer.")
        serial.add_metric([], self._numbering.serial if self._numbering.zone is not None else 0)
        stuck = GaugeMetricFamily("warp_edge_zone_serials_used_up", "Whether this edge has no serial left to give.")
        stuck.add_metric([], float(self._numbering.is_stuck))
        holder = GaugeMetricFamily("warp_edge_zone_numbering_edge", "The edge that numbers the zone.", labels=["edge"])
        if self.holder:
            holder.add_metric([self.holder], 1.0)
        age = GaugeMetricFamily("warp_edge_zone_numbering_age_seconds", "Since when no sign of that edge was seen.")
        age.add_metric([], self._holding.unchanged_seconds)
        yield from (held, serial, stuck, holder, age)

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._look_once())

    async def _look_once(self) -> None:
        await self._holding.look()
        if self._looking.running:
            self._sharing.follow(self._holding.holder)

    def _failed(self, failure: object) -> None:
        self._log.failure("who numbers the zone is not looked after any more")
