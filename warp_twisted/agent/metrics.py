"""
What monitoring sees of an agent: Prometheus metrics, `/ready` and `/live`.

The numbers are the plain counts that the agent keeps anyway; they are gathered when somebody asks. One series per
route, never per stream or visitor.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.twisted import MetricsResource
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from warp_base.quiet_site import QuietSite
from warp_twisted import __version__
from warp_twisted.agent.origins.builtin import BodilessRequest
from warp_twisted.agent.service import AgentService


class AgentCollector(Collector):
    """The metrics of one agent."""

    def __init__(self, agent: AgentService) -> None:
        self._agent = agent

    def collect(self) -> Iterable[Metric]:
        """Gather every number now."""
        yield from self._tunnels()
        yield from self._routes()
        origins = GaugeMetricFamily(
            "warp_agent_origin_healthy", "Whether the origin answered the last time.", labels=["origin"]
        )
        for origin in self._agent.routes.origins:
            origins.add_metric([origin.text], float(origin.is_healthy))
        yield origins
        yield GaugeMetricFamily(
            "warp_agent_certificate_expiry_timestamp_seconds",
            "When the agent's certificate ends.",
            value=self._agent.identity.valid_until,
        )
        software = GaugeMetricFamily("warp_agent_build_info", "The program's version.", labels=["version"])
        software.add_metric([__version__], 1)
        yield software

    def _tunnels(self) -> Iterable[Metric]:
        links = self._agent.links
        yield GaugeMetricFamily("warp_agent_tunnels_wanted", "Tunnels that the agent keeps.", value=len(links))
        up = GaugeMetricFamily("warp_agent_tunnel_up", "Whether a tunnel is up.", labels=["tunnel", "edge"])
        ping = GaugeMetricFamily(
            "warp_agent_tunnel_round_trip_seconds", "How long the last ping took.", labels=["tunnel", "edge"]
        )
        for link in links:
            labels = [str(link.index), link.edge_name]
            up.add_metric(labels, float(link.is_up))
            if link.is_up and link.tunnel is not None and link.tunnel.round_trip_seconds is not None:
                ping.add_metric(labels, link.tunnel.round_trip_seconds)
        yield up
        yield ping
        counts = self._agent.links.counts
        yield CounterMetricFamily("warp_agent_tunnels_registered", "Tunnels that an edge accepted.", counts.registered)
        yield CounterMetricFamily("warp_agent_tunnels_lost", "Tunnels and dials that failed.", counts.lost)

    def _routes(self) -> Iterable[Metric]:
        names = ["hostname", "path", "origin"]
        opened = CounterMetricFamily("warp_agent_streams", "Streams that reached their origin.", labels=names)
        failed = CounterMetricFamily("warp_agent_origin_failures", "Streams whose origin failed.", labels=names)
        is_open = GaugeMetricFamily("warp_agent_streams_open", "Streams that lead to an origin now.", labels=names)
        requests = CounterMetricFamily(
            "warp_agent_requests", "Times that bytes went to the origin after it had answered.", labels=names
        )
        waited = CounterMetricFamily(
            "warp_agent_response_seconds", "Time to the first byte of the answer, summed over requests.", labels=names
        )
        sizes = CounterMetricFamily("warp_agent_bytes", "Bytes passed on.", labels=[*names, "direction"])
        for route in self._agent.routes.offered:
            traffic = route.traffic
            labels = [self._agent.hostname(route), route.offer.path, route.offer.service]
            opened.add_metric(labels, traffic.opened)
            failed.add_metric(labels, traffic.failed)
            is_open.add_metric(labels, traffic.open)
            requests.add_metric(labels, traffic.requests)
            waited.add_metric(labels, traffic.response_seconds)
            sizes.add_metric([*labels, "to_origin"], traffic.to_origin)
            sizes.add_metric([*labels, "from_origin"], traffic.from_origin)
        yield from (opened, failed, is_open, requests, waited, sizes)


class _Readiness(Resource):
    """Says 200 while at least one tunnel is up, else 503; and how many are."""

    isLeaf = True

    def __init__(self, agent: AgentService) -> None:
        super().__init__()
        self._agent = agent

    def render_GET(self, request: Request) -> bytes:
        """Answer one request."""
        up = self._agent.tunnels_up
        if not up or self._agent.is_stopping:
            request.setResponseCode(503)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"%d of %d tunnels are up\n" % (up, len(self._agent.links))


class _Life(Resource):
    """Says 200 as long as the reactor turns."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """Answer one request."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"alive\n"


def registry_of(agent: AgentService, process: Iterable[Collector] = ()) -> CollectorRegistry:
    """Return the metrics of an agent and of the process that it runs in."""
    registry = CollectorRegistry()
    for collector in (AgentCollector(agent), *process):
        registry.register(collector)
    return registry


def observation_site(agent: AgentService, process: Iterable[Collector] = ()) -> Site:
    """
    Return what to listen with: `/metrics`, `/ready` and `/live`.

    :param process: further metrics, of the process that the agent runs in.
    """
    root = Resource()
    root.putChild(b"metrics", MetricsResource(registry=registry_of(agent, process)))
    root.putChild(b"ready", _Readiness(agent))
    root.putChild(b"live", _Life())
    return QuietSite(root, requestFactory=BodilessRequest)
