"""
Whether each part of this edge serves: what `/ready`, the status and the metrics say of it.

It reads the other parts and keeps one fact of its own: whether visitors have been let in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from warp_dns.serve.server import DnsServer
from warp_twisted.ca.store import EdgeAuthority
from warp_twisted.edge.agents.tunnel_certificate import TunnelCertificate
from warp_twisted.edge.listeners import Listeners
from warp_twisted.edge.registry_entry import RegistryEntry
from warp_twisted.edge.stores.certificate import RegistryCertificate
from warp_twisted.edge.visitors.serving import Serving
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.store import LastingStore


@dataclass(slots=True, kw_only=True, eq=False)
class Readiness:
    """
    The state of one edge's parts.

    :ivar has_published: whether names are answered from: the registry, this edge and its hostnames of before are there.
    :ivar has_settled: whether visitors are let in: the agents of before a restart are back, or were waited for.
    """

    listeners: Listeners
    store: LastingStore
    mirror: Mirror
    claims: Claims
    entry: RegistryEntry
    publication: Publication
    nameserver: DnsServer | None
    authority: EdgeAuthority
    tunnel_certificate: TunnelCertificate
    registry_certificate: RegistryCertificate
    serving: Serving
    has_published: bool = field(default=False, init=False)
    has_settled: bool = field(default=False, init=False)

    def parts(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""
        parts = {
            "listeners": self.has_settled and not self.listeners.names.isdisjoint(("http", "https", "tunnel")),
            "registry": self.mirror.is_current and not self.claims.is_failing,
            "records": bool(self.publication.records_of(self.entry.hostname)),
            "accepting": not self.entry.is_draining,
            "policy": not self.serving.policy_follower.standing.closed,
        }
        if self.nameserver is not None:
            parts["dns"] = self.nameserver.is_ready and self.has_published
        return parts

    def problems(self) -> Mapping[str, str]:
        """Say of each part that serves, but not all that it should, why."""
        return self.store.problems()

    def unkept(self) -> str:
        """Say why what is revoked now would come back with the next start; empty if it would not."""
        return self.store.unkept

    @property
    def owed(self) -> int:
        """How many revocations and the like the registry has not got yet."""
        return self.store.owed

    def certificate_expiry(self) -> Mapping[str, float]:
        """Say when each of the edge's own certificates ends, in seconds since the epoch."""
        registry = self.registry_certificate.expires_at
        return {
            "root": self.authority.roots[0].not_valid_after_utc.timestamp(),
            "intermediate": self.authority.issuer.certificate.not_valid_after_utc.timestamp(),
            "tunnel": self.tunnel_certificate.expires_at,
            **({"registry": registry} if registry is not None else {}),
            **self.serving.certificate_expiry(),
        }
