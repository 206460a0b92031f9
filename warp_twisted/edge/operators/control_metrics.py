"""
Metrics of the control side: tunnels, enrollment, the registry and certificates, read when Prometheus asks.

Requests and bytes are counted by the data path; nothing here is on it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from warp_twisted import __version__
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.registrations import Registrations
from warp_twisted.edge.agents.returning import Returning
from warp_twisted.edge.policy.delivery.following import Standing
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.published.grace import Grace
from warp_twisted.registry.published.publish import Publication


class EdgeState(Protocol):
    """Whether each part of the edge serves; see `edge.readiness`."""

    def parts(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""

    @property
    def owed(self) -> int:
        """How many revocations and the like the registry has not got yet."""

    def problems(self) -> Mapping[str, str]:
        """Say of each part that serves, but not all that it should, why."""

    def certificate_expiry(self) -> Mapping[str, float]:
        """Say when each of the edge's own certificates ends."""


class Entry(Protocol):
    """This edge in the registry; see `edge.registry_entry`."""

    @property
    def is_draining(self) -> bool:
        """Whether it takes nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlCollector(Collector):
    """
    Describes one edge's control side.

    :param settings: returns the settings as they are now.
    :param policy: returns how the edge stands to its policy.
    """

    settings: Callable[[], EdgeSettings]
    registrations: Registrations
    enrollment: Enrollment
    returning: Returning
    mirror: Mirror
    claims: Claims
    grace: Grace
    publication: Publication
    entry: Entry
    readiness: EdgeState
    policy: Callable[[], Standing]

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        settings = self.settings()
        registrations, counts = self.registrations, self.registrations.counts
        yield InfoMetricFamily("warp", "This program.", value={"version": __version__, "edge": settings.edge.name})
        yield GaugeMetricFamily("warp_edge_tunnels", "Registered tunnels.", value=len(registrations.by_id))
        yield GaugeMetricFamily("warp_edge_tunnels_limit", "Most tunnels at once.", value=settings.limits.tunnels)
        yield CounterMetricFamily("warp_edge_tunnels_registered", "Tunnels accepted.", value=counts.registered)
        yield CounterMetricFamily("warp_edge_tunnels_replaced", "Tunnels closed for newer ones.", value=counts.replaced)
        yield CounterMetricFamily("warp_edge_tunnels_lost", "Registered tunnels that ended.", value=counts.lost)
        yield GaugeMetricFamily(
            "warp_edge_tunnels_wrong_clock",
            "Tunnels of agents whose clock is a minute or more from this edge's.",
            value=registrations.wrong_clocks,
        )
        yield GaugeMetricFamily(
            "warp_edge_unhealthy_routes",
            "Routes of tunnels whose origin is not healthy by its agent's probes; each tunnel counts.",
            value=sum(len(tunnel.failing) for tunnel in registrations.by_id.values()),
        )
        yield _by_code("warp_edge_tunnels_refused", "Agents refused a tunnel.", counts.refused)
        yield CounterMetricFamily("warp_edge_enrollments", "Agents enrolled.", value=self.enrollment.enrolled)
        yield CounterMetricFamily(
            "warp_edge_returns", "Agents let back in after their certificate ended.", value=self.returning.returned
        )
        yield _by_code("warp_edge_enrollments_refused", "Enrollments and returns refused.", self.enrollment.refused)
        yield GaugeMetricFamily(
            "warp_edge_draining", "Whether the edge takes nothing new.", value=self.entry.is_draining
        )
        yield GaugeMetricFamily(
            "warp_edge_registry_current", "Whether changes of the registry arrive.", value=self.mirror.is_current
        )
        yield GaugeMetricFamily(
            "warp_edge_registry_writable",
            "Whether the registry takes changes.",
            value=not self.claims.is_failing and "registry" not in self.readiness.problems(),
        )
        yield GaugeMetricFamily(
            "warp_edge_registry_owed",
            "Keys of revocations and bans that hold at this edge, and that the registry has not got yet.",
            value=self.readiness.owed,
        )
        yield GaugeMetricFamily("warp_edge_agents", "Enrolled agents.", value=len(self.mirror.agents))
        yield GaugeMetricFamily(
            "warp_edge_names_kept",
            "Names that lost their last tunnel without a goodbye up to dns.grace ago.",
            value=self.grace.count,
        )
        yield GaugeMetricFamily(
            "warp_edge_unlisted_applications",
            "Applications that are in no list of DNS, as there are too many.",
            value=self.publication.unlisted,
        )
        policy = self.policy()
        yield GaugeMetricFamily(
            "warp_edge_policy_version",
            "Version of the fleet's policy that is in force on this edge; 0: none, or that of a file.",
            value=policy.version,
        )
        yield GaugeMetricFamily(
            "warp_edge_policy_version_wanted",
            "Version of the fleet's policy that edges are to have in force; 0: there is none.",
            value=policy.wanted,
        )
        yield GaugeMetricFamily(
            "warp_edge_policy_failing",
            "Whether this edge has not the policy in force that it is meant to have.",
            value=bool(policy.error),
        )
        expiry = GaugeMetricFamily(
            "warp_edge_certificate_expires_seconds", "When certificates end, since the epoch.", labels=["certificate"]
        )
        for name, expires_at in self.readiness.certificate_expiry().items():
            expiry.add_metric([name], expires_at)
        yield expiry
        parts = GaugeMetricFamily("warp_edge_ready", "Whether each part serves.", labels=["part"])
        for part, is_ready in self.readiness.parts().items():
            parts.add_metric([part], is_ready)
        yield parts


def _by_code(name: str, text: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=["code"])
    for code, count in counts.items():
        family.add_metric([code], count)
    return family
