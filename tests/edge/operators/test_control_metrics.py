"""Tests of the metrics of the control side."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest

from tests.edge.agents.case import ControlTestCase
from warp_twisted.edge.operators.control_metrics import ControlCollector
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel
from warp_twisted.registry.published.publish import Publication


class FakeState:
    """The state of an edge that is not ready."""

    is_draining = True
    owed = 2

    def __init__(self, problems: Mapping[str, str]) -> None:
        self._problems = problems

    def problems(self) -> Mapping[str, str]:
        """Return what serves, but not all that it should."""
        return self._problems

    def parts(self) -> Mapping[str, bool]:
        """Say that DNS does not serve."""
        return {"dns": False, "registry": True}

    def certificate_expiry(self) -> Mapping[str, float]:
        """Say when one certificate ends."""
        return {"root": 2e9}


class ControlMetricsTests(ControlTestCase):
    """An edge in memory, read as Prometheus does."""

    def setUp(self) -> None:
        """Begin with nothing published."""
        super().setUp()
        self.publication = Publication("warp.example")
        self.problems: dict[str, str] = {}

    def lines(self) -> set[str]:
        """Return the lines of a scrape."""
        state = FakeState(self.problems)
        registry = CollectorRegistry()
        registry.register(
            ControlCollector(
                settings=lambda: self.control.settings,
                registrations=self.control.tunnels.registrations,
                enrollment=self.control.enrollment,
                returning=self.control.returning,
                mirror=self.control.mirror,
                claims=self.control.claims,
                grace=self.control.grace,
                publication=self.publication,
                entry=state,
                readiness=state,
                policy=lambda: Standing(wanted=12, version=11, error="a file is missing"),
            )
        )
        return set(generate_latest(registry).decode().splitlines())

    def test_registry_that_cannot_be_written(self) -> None:
        """A registry whose file takes no changes is not writable, while tunnels that are leased still are put."""
        self.assertIn("warp_edge_registry_writable 1.0", self.lines())
        self.problems["registry"] = "the disk is full"
        self.assertIn("warp_edge_registry_writable 0.0", self.lines())

    def test_policy(self) -> None:
        """Which version of the policy is in force, which should be, and whether that cannot be."""
        self.assertLessEqual(
            {"warp_edge_policy_version 11.0", "warp_edge_policy_version_wanted 12.0", "warp_edge_policy_failing 1.0"},
            self.lines(),
        )

    def test_what_happened_to_tunnels(self) -> None:
        """Tunnels are counted as they register, replace one another, end, and are refused by code."""
        for _ in range(2):
            self.control.connect().hello("app.warp.example")
        self.control.bury()
        self.control.pairs[0].pump()
        self.control.connect().hello("app.other.example")
        self.assertLessEqual(
            {
                "warp_edge_tunnels 1.0",
                "warp_edge_tunnels_limit 10000.0",
                "warp_edge_tunnels_registered_total 2.0",
                "warp_edge_tunnels_replaced_total 1.0",
                "warp_edge_tunnels_lost_total 1.0",
                'warp_edge_tunnels_refused_total{code="not_allowed"} 1.0',
                "warp_edge_agents 1.0",
            },
            self.lines(),
        )

    def test_unhealthy_routes(self) -> None:
        """Routes of tunnels whose probes fail are counted."""
        self.assertIn("warp_edge_unhealthy_routes 0.0", self.lines())

    def test_unlisted_applications(self) -> None:
        """Applications for which no list of DNS has room are counted."""
        self.assertIn("warp_edge_unlisted_applications 0.0", self.lines())
        hostnames = tuple(Hostname(f"h{number}.warp.example") for number in range(10_002))
        edge = Edge(name="edge1", addresses=("192.0.2.1",), http_port=80)
        tunnel = Tunnel(id="t", agent="a", slot=0, edge="edge1", hostnames=hostnames)
        self.publication.apply(Change(key=each.key, before=None, after=each) for each in (edge, tunnel))
        self.assertIn("warp_edge_unlisted_applications 2.0", self.lines())

    def test_state(self) -> None:
        """Parts, certificates, and whether the registry can be read and written are gauges."""
        self.assertLessEqual(
            {
                'warp_edge_ready{part="dns"} 0.0',
                'warp_edge_ready{part="registry"} 1.0',
                'warp_edge_certificate_expires_seconds{certificate="root"} 2e+09',
                "warp_edge_draining 1.0",
                "warp_edge_registry_current 1.0",
                "warp_edge_registry_writable 1.0",
                "warp_edge_registry_owed 2.0",
            },
            self.lines(),
        )

    async def test_enrollments(self) -> None:
        """Agents that were let in, and refusals by reason, are counted."""
        self.control.enrollment.enrolled = 2
        self.control.enrollment.refused["token_used_up"] = 3
        self.assertLessEqual(
            {"warp_edge_enrollments_total 2.0", 'warp_edge_enrollments_refused_total{code="token_used_up"} 3.0'},
            self.lines(),
        )
