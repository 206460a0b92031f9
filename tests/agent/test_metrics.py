"""Tests of `warp_twisted.agent.metrics`."""

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from tests.operations import count_operations
from warp_base.loop.turn_times import TurnCollector, TurnTimes
from warp_base.slices import Slices
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.link_set import LinkCounts
from warp_twisted.agent.metrics import SHOWN, AgentCollector, exposition_of, observation_site
from warp_twisted.agent.origins.splice import Traffic
from warp_twisted.agent.service import AgentService


class FakeLinks(list[SimpleNamespace]):
    """Links, and what happened to them."""

    counts = LinkCounts(registered=8, lost=9)


def agent(up: int = 1, is_stopping: bool = False) -> AgentService:
    """Return what looks to the metrics like an agent with two links and one route."""
    links = [
        SimpleNamespace(
            index=index,
            edge_name="edge1",
            edge=EdgeAddress("192.0.2.1", 7844),
            is_up=index < up,
            tunnel=SimpleNamespace(round_trip_seconds=0.25),
        )
        for index in range(2)
    ]
    origin = SimpleNamespace(text="http://localhost:3000", is_healthy=False)
    route = SimpleNamespace(
        offer=SimpleNamespace(id=1, path="^/x", service="http://localhost:3000"),
        traffic=Traffic(open=1, opened=2, failed=3, to_origin=4, from_origin=5, requests=6, response_seconds=7.5),
        origin=origin,
        is_healthy=False,
        detail="it answers 500",
        check=SimpleNamespace(probes=10, failures=8),
    )
    return cast(
        AgentService,
        SimpleNamespace(
            links=FakeLinks(links),
            tunnels_up=up,
            is_stopping=is_stopping,
            routes=SimpleNamespace(offered=[route], origins=[origin]),
            identity=SimpleNamespace(valid_until=1e9),
            hostname=lambda route: "app.warp.example",
        ),
    )


class MetricsTests(SynchronousTestCase):
    """What monitoring sees."""

    def test_every_number(self) -> None:
        """Each count of the agent is there, with the route's labels."""
        registry = CollectorRegistry()
        registry.register(AgentCollector(agent))
        text = generate_latest(registry).decode()
        route = 'hostname="app.warp.example",origin="http://localhost:3000",path="^/x"'
        for line in (
            "warp_agent_tunnels_wanted 2.0",
            'warp_agent_tunnel_up{edge="edge1",tunnel="0"} 1.0',
            'warp_agent_tunnel_up{edge="edge1",tunnel="1"} 0.0',
            'warp_agent_tunnel_round_trip_seconds{edge="edge1",tunnel="0"} 0.25',
            "warp_agent_tunnels_registered_total 8.0",
            "warp_agent_tunnels_lost_total 9.0",
            f"warp_agent_streams_total{{{route}}} 2.0",
            f"warp_agent_origin_failures_total{{{route}}} 3.0",
            f"warp_agent_streams_open{{{route}}} 1.0",
            f"warp_agent_requests_total{{{route}}} 6.0",
            f"warp_agent_response_seconds_total{{{route}}} 7.5",
            'warp_agent_origin_healthy{origin="http://localhost:3000"} 0.0',
            f"warp_agent_route_healthy{{{route}}} 0.0",
            f"warp_agent_probes_total{{{route}}} 10.0",
            f"warp_agent_probe_failures_total{{{route}}} 8.0",
            "warp_agent_certificate_expiry_timestamp_seconds 1e+09",
        ):
            self.assertIn(line + "\n", text)
        self.assertNotIn('round_trip_seconds{edge="edge1",tunnel="1"}', text)

    def test_ready(self) -> None:
        """The agent is ready while a tunnel is up and it is not stopping; it lives as long as it answers."""
        for up, is_stopping, code in ((1, False, None), (0, False, 503), (2, True, 503)):
            request = DummyRequest([b"ready"])
            site = observation_site(partial(agent, up, is_stopping), Slices(Clock()))
            resource = site.resource.getChildWithDefault(b"ready", request)
            lines = resource.render(request).split(b"\n", 1)
            self.assertEqual(lines[0], b"%d of 2 tunnels are up" % up)
            self.assertEqual(lines[1], b"http://localhost:3000 is not healthy: it answers 500\n")
            self.assertEqual(request.responseCode, code)
        request = DummyRequest([b"live"])
        site = observation_site(partial(agent, 0), Slices(Clock()))
        self.assertEqual(site.resource.getChildWithDefault(b"live", request).render(request), b"alive\n")

    def test_many_unhealthy(self) -> None:
        """Of many origins that are not healthy some are named; control characters in a reason are not obeyed."""
        fake = agent()
        (route,) = fake.routes.offered
        cast(Any, fake.routes).offered = [
            SimpleNamespace(origin=SimpleNamespace(text=f"o{number}"), is_healthy=number < 5, detail="\x1b[2J")
            for number in range(5 + SHOWN + 2)
        ]
        request = DummyRequest([b"ready"])
        site = observation_site(lambda: fake, Slices(Clock()))
        text = site.resource.getChildWithDefault(b"ready", request).render(request)
        lines = text.decode().splitlines()
        self.assertEqual(lines[1], "o5 is not healthy: \\x1b[2J")
        self.assertEqual((len(lines), lines[-1]), (1 + SHOWN + 1, "and 2 more"))
        self.assertEqual(route.detail, "it answers 500")

    def test_not_enrolled(self) -> None:
        """While there is no agent yet, it says so, is not ready, and has the metrics of the process."""
        site = observation_site(lambda: None, Slices(Clock()))
        request = DummyRequest([b"ready"])
        self.assertEqual(site.resource.getChildWithDefault(b"ready", request).render(request), b"not enrolled yet\n")
        self.assertEqual(request.responseCode, 503)
        text = b"".join(exposition_of(lambda: None, [TurnCollector("warp_agent", TurnTimes())]).pieces())
        self.assertIn(b"warp_agent_enrolled 0.0\n", text)
        self.assertIn(b"warp_agent_turn_seconds", text)
        self.assertNotIn(b"warp_agent_tunnels_wanted", text)

    def test_metrics_of_the_process(self) -> None:
        """What the process measures stands beside what the agent counts."""
        text = b"".join(exposition_of(lambda: agent(1), [TurnCollector("warp_agent", TurnTimes())]).pieces())
        self.assertIn(b'warp_agent_turn_seconds_bucket{le="0.1"} 0.0\n', text)
        self.assertIn(b"warp_agent_tunnels_wanted 2.0\n", text)

    def test_many_routes(self) -> None:
        """A scrape of a thousand routes is the text of Prometheus' own client, made in small steps."""
        fake = agent()
        (route,) = fake.routes.offered
        cast(Any, fake.routes).offered = [route] * 1000
        cast(Any, fake.routes).origins = [route.origin] * 1000
        registry = CollectorRegistry()
        registry.register(AgentCollector(lambda: fake))
        pieces = list(exposition_of(lambda: fake).pieces())
        self.assertEqual(b"".join(pieces), generate_latest(registry))
        self.assertLess(max(piece.count(b"\n") for piece in pieces), 100)
        steps = exposition_of(lambda: fake).pieces()
        self.assertLess(max(count_operations(lambda: next(steps, b"")) for _ in pieces), 25_000)

    def test_answer(self) -> None:
        """The metrics are served a slice at a time, as text that Prometheus knows."""
        clock = Clock()
        http = RequestTraversalAgent(observation_site(agent, Slices(clock)).resource)

        async def get() -> tuple[str, str]:
            response = await HTTPClient(http).get("http://localhost/metrics")
            return response.headers.getRawHeaders("content-type")[0], await response.text()

        asking = Deferred.fromCoroutine(get())
        http.flush()
        self.assertNoResult(asking)
        clock.pump([0] * 100)
        http.flush()
        kind, text = self.successResultOf(asking)
        self.assertTrue(kind.startswith("text/plain; version=0.0.4"), kind)
        self.assertIn("warp_agent_tunnels_lost_total 9.0\n", text)
