"""
The visitors' side of one edge, put together from its settings.

It translates edge.yaml into the data path's own values; what is done with them is decided there.
"""

from typing import Any

from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory

from warp_twisted.edge.limits import VisitorLimits
from warp_twisted.edge.metrics import DataPathCollector, DataPathMetrics
from warp_twisted.edge.routing import RouteTable
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.http1.limits import HeadLimits


class Serving:
    """What visitors meet."""

    def __init__(self, reactor: Any, settings: EdgeSettings) -> None:
        self._metrics = DataPathMetrics()
        self.routes = RouteTable(self._metrics, visitor_limits(settings))
        self.http: IProtocolFactory | None = None
        self.https: IProtocolFactory | None = None
        self.collector: Collector = DataPathCollector(self._metrics, lambda: 0, lambda: self.routes.stream_counts)

    def reload(self, settings: EdgeSettings) -> None:
        """Apply new settings."""
        self.routes.limits = visitor_limits(settings)

    def drain(self, timeout: float) -> Deferred[None]:
        """Finish the requests there are."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Hang up on everybody."""
        return succeed(None)


def visitor_limits(settings: EdgeSettings) -> VisitorLimits:
    """Return the data path's limits as the settings have them."""
    limits = settings.limits
    return VisitorLimits(
        head=HeadLimits(head_bytes=limits.head_bytes, header_count=limits.header_count),
        idle_streams=limits.idle_streams_per_route,
        connections=limits.connections,
        connections_per_address=limits.connections_per_address,
    )
