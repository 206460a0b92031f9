"""
What monitoring sees of an agent: Prometheus metrics, `/ready` and `/live`.

The numbers are the plain counts that the agent keeps anyway; they are gathered when somebody asks. One series per
route, never per stream or visitor.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from warp_base.escaping import printable_lines
from warp_base.exposition import Exposition, MetricsResource
from warp_base.quiet_site import QuietSite
from warp_base.slices import Slices
from warp_twisted import __version__
from warp_twisted.agent.health.checks import Check
from warp_twisted.agent.origins.builtin import BodilessRequest
from warp_twisted.agent.origins.ingress import MAX_OFFERS
from warp_twisted.agent.origins.routes import OriginState, Route
from warp_twisted.agent.origins.splice import Traffic
from warp_twisted.agent.service import AgentService

ROUTES_IN_A_PART = 16
SHOWN = 10  # origins that /ready names

FindAgent = Callable[[], AgentService | None]


class AgentCollector(Collector):
    """
    The metrics of one agent.

    :param find: returns it, None while it is not enrolled.
    """

    def __init__(self, find: FindAgent) -> None:
        self._find = find

    def collect(self) -> Iterable[Metric]:
        """Gather every number now."""
        return self._collect(MAX_OFFERS)

    def collect_in_parts(self) -> Iterable[Metric]:
        """Gather the same, the families of many routes in parts that follow one another."""
        return self._collect(ROUTES_IN_A_PART)

    def _collect(self, size: int) -> Iterable[Metric]:
        agent = self._find()
        yield GaugeMetricFamily("warp_agent_enrolled", "Whether the agent has an identity.", value=agent is not None)
        if agent is not None:
            yield from _tunnels(agent)
            routes = agent.routes.offered
            for family in _ROUTE_FAMILIES:
                for at in range(0, max(1, len(routes)), size):
                    yield family(agent, routes[at : at + size])
            origins = agent.routes.origins
            for at in range(0, max(1, len(origins)), size):
                yield _health(origins[at : at + size])
            yield GaugeMetricFamily(
                "warp_agent_certificate_expiry_timestamp_seconds",
                "When the agent's certificate ends.",
                value=agent.identity.valid_until,
            )
        software = GaugeMetricFamily("warp_agent_build_info", "The program's version.", labels=["version"])
        software.add_metric([__version__], 1)
        yield software


def _tunnels(agent: AgentService) -> Iterable[Metric]:
    links = agent.links
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
    counts = agent.links.counts
    yield CounterMetricFamily("warp_agent_tunnels_registered", "Tunnels that an edge accepted.", counts.registered)
    yield CounterMetricFamily("warp_agent_tunnels_lost", "Tunnels and dials that failed.", counts.lost)


def _health(origins: Sequence[OriginState]) -> Metric:
    family = GaugeMetricFamily(
        "warp_agent_origin_healthy", "Whether the origin answered the last time.", labels=["origin"]
    )
    for origin in origins:
        family.add_metric([origin.text], float(origin.is_healthy))
    return family


def _labels(agent: AgentService, route: Route) -> list[str]:
    return [agent.hostname(route), route.offer.path, route.offer.service]


def _counter(name: str, documentation: str, value: Callable[[Traffic], float]) -> Callable[..., Metric]:
    def family(agent: AgentService, routes: Sequence[Route]) -> Metric:
        counter = CounterMetricFamily(name, documentation, labels=_ROUTE_LABELS)
        for route in routes:
            counter.add_metric(_labels(agent, route), value(route.traffic))
        return counter

    return family


def _open(agent: AgentService, routes: Sequence[Route]) -> Metric:
    gauge = GaugeMetricFamily("warp_agent_streams_open", "Streams that lead to an origin now.", labels=_ROUTE_LABELS)
    for route in routes:
        gauge.add_metric(_labels(agent, route), route.traffic.open)
    return gauge


def _healthy(agent: AgentService, routes: Sequence[Route]) -> Metric:
    gauge = GaugeMetricFamily(
        "warp_agent_route_healthy",
        "Whether a route's origin is healthy: by its probes, or by the last attempt to connect to it.",
        labels=_ROUTE_LABELS,
    )
    for route in routes:
        gauge.add_metric(_labels(agent, route), float(route.is_healthy))
    return gauge


def _probes(name: str, documentation: str, value: Callable[[Check], float]) -> Callable[..., Metric]:
    def family(agent: AgentService, routes: Sequence[Route]) -> Metric:
        counter = CounterMetricFamily(name, documentation, labels=_ROUTE_LABELS)
        for route in routes:
            if route.check is not None:
                counter.add_metric(_labels(agent, route), value(route.check))
        return counter

    return family


def _bytes(agent: AgentService, routes: Sequence[Route]) -> Metric:
    counter = CounterMetricFamily("warp_agent_bytes", "Bytes passed on.", labels=[*_ROUTE_LABELS, "direction"])
    for route in routes:
        labels = _labels(agent, route)
        counter.add_metric([*labels, "to_origin"], route.traffic.to_origin)
        counter.add_metric([*labels, "from_origin"], route.traffic.from_origin)
    return counter


_ROUTE_LABELS = ("hostname", "path", "origin")
_ROUTE_FAMILIES = (
    _counter("warp_agent_streams", "Streams that reached their origin.", lambda traffic: traffic.opened),
    _counter("warp_agent_origin_failures", "Streams whose origin failed.", lambda traffic: traffic.failed),
    _open,
    _counter(
        "warp_agent_requests",
        "Times that bytes went to the origin after it had answered.",
        lambda traffic: traffic.requests,
    ),
    _counter(
        "warp_agent_response_seconds",
        "Time to the first byte of the answer, summed over requests.",
        lambda traffic: traffic.response_seconds,
    ),
    _bytes,
    _healthy,
    _probes("warp_agent_probes", "Probes of the route's origin that have ended.", lambda check: check.probes),
    _probes("warp_agent_probe_failures", "Those that found it not well.", lambda check: check.failures),
)


class _Readiness(Resource):
    """Says 200 while at least one tunnel is up, else 503; how many are, and which origins are not healthy."""

    isLeaf = True

    def __init__(self, find: FindAgent) -> None:
        super().__init__()
        self._find = find

    def render_GET(self, request: Request) -> bytes:
        """Answer one request."""
        agent = self._find()
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        if agent is None or not agent.tunnels_up or agent.is_stopping:
            request.setResponseCode(503)
        if agent is None:
            return b"not enrolled yet\n"
        lines = [f"{agent.tunnels_up} of {len(agent.links)} tunnels are up", *_unhealthy(agent)]
        return printable_lines("\n".join(lines)).encode() + b"\n"


def _unhealthy(agent: AgentService) -> list[str]:
    """Return a line for each origin that is not healthy; of many for some."""
    reasons = {route.origin.text: route.detail for route in agent.routes.offered if not route.is_healthy}
    lines = [f"{origin} is not healthy: {reason}" for origin, reason in islice(reasons.items(), SHOWN)]
    return lines + [f"and {len(reasons) - SHOWN} more"] * (len(reasons) > SHOWN)


class _Life(Resource):
    """Says 200 as long as the reactor turns."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """Answer one request."""
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"alive\n"


def exposition_of(find: FindAgent, process: Iterable[Collector] = ()) -> Exposition:
    """Return the metrics of an agent and of the process that it runs in."""
    exposition = Exposition()
    for collector in (AgentCollector(find), *process):
        exposition.register(collector)
    return exposition


def observation_site(find: FindAgent, slices: Slices, process: Iterable[Collector] = ()) -> Site:
    """
    Return what to listen with: `/metrics`, `/ready` and `/live`.

    :param find: returns the agent, None while there is none.
    :param slices: make the metrics.
    :param process: further metrics, of the process that the agent runs in.
    """
    root = Resource()
    root.putChild(b"metrics", MetricsResource(exposition_of(find, process), slices))
    root.putChild(b"ready", _Readiness(find))
    root.putChild(b"live", _Life())
    return QuietSite(root, requestFactory=BodilessRequest)
