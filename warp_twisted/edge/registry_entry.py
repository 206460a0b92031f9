"""
How this edge appears to the fleet: its entry in the registry, and the names, addresses and URLs that follow from it.

It knows settings and bound ports, and reads the registry's mirror; it starts and stops nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.edge.visitors.serving import Serving
from warp_twisted.registry.claims import Claim, Claims
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge
from warp_twisted.registry.publish import is_reserved

CHECK_SECONDS = 5.0  # between two looks at what this edge can show to visitors
MAX_ADDRESSES = 32  # of edges, told to agents


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPorts:
    """Where the node listens, port 0 resolved."""

    http: tuple[int, ...] = ()
    https: tuple[int, ...] = ()
    tunnel: tuple[int, ...] = ()
    dns: tuple[tuple[str, int], ...] = ()
    metrics: int | None = None


class RegistryEntry:
    """
    This edge in the registry.

    :param settings: returns the settings as they are now.
    :ivar ports: where the edge listens, once it does.
    :ivar is_draining: whether it takes nothing new; `refresh` after changing it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: Callable[[], EdgeSettings],
        mirror: Mirror,
        claims: Claims,
        serving: Serving,
    ) -> None:
        self._settings = settings
        self._mirror = mirror
        self._claims = claims
        self._serving = serving
        self._claim: Claim | None = None
        self._started_at = clock.seconds()
        self._checking = LoopingCall(self.refresh)  # certificates come and go with their files
        self._checking.clock = clock
        self.ports = BoundPorts()
        self.is_draining = False

    async def announce(self) -> None:
        """Put this edge into the registry, and keep what is there true."""
        self._claim, settled = self._claims.put(self.describe())
        await settled
        self._checking.start(CHECK_SECONDS, now=False)

    def refresh(self) -> Deferred[None]:
        """Put what this edge is into the registry, if that is not what is there."""
        claim, now = self._claim, self.describe()
        if claim is None or claim.value is None or claim.value == now:
            return succeed(None)
        return claim.update(now)

    def stop(self) -> None:
        """Look no more; the claim goes with all others."""
        if self._checking.running:
            self._checking.stop()

    def describe(self) -> Edge:
        """Return what the registry is to hold of this edge."""
        settings = self._settings().edge
        return Edge(
            name=settings.name,
            addresses=settings.addresses,
            http_port=settings.http_port or _first(self.ports.http),
            https_port=settings.https_port or _first(self.ports.https),
            https_names=self._serving.certificate_names(),
            tunnel_port=settings.tunnel_port or _first(self.ports.tunnel),
            weight=settings.weight,
            draining=self.is_draining,
            started_at=self._started_at,
        )

    @property
    def hostname(self) -> str:
        """This edge's own name."""
        settings = self._settings()
        return f"{settings.edge.name}.{settings.zone}"

    def is_reserved(self, hostname: str) -> bool:
        """Whether a hostname belongs to the zone itself: an edge's, a name server's, or a service's name."""
        settings = self._settings()
        return is_reserved(hostname, settings.zone, (*nameservers(settings), *self._mirror.edges))

    def has_owner(self, hostname: str) -> bool:
        """Whether no pattern stands for a hostname: it belongs to the zone, or is the name given to one agent."""
        return hostname in self._mirror.given_names or self.is_reserved(hostname)

    def tunnel_addresses(self) -> list[str]:
        """Return `host:port` of every edge that takes tunnels; this one first."""
        own = self._settings().edge.name
        edges = sorted(self._mirror.edges.values(), key=lambda edge: (edge.name != own, edge.name))
        return [
            f"[{address}]:{edge.tunnel_port}" if ":" in address else f"{address}:{edge.tunnel_port}"
            for edge in edges
            if edge.tunnel_port and not edge.draining
            for address in edge.addresses
        ][:MAX_ADDRESSES]

    def url(self, hostname: str) -> str:
        """Return the URL to show people for a hostname."""
        return self.urls(hostname)[0]

    def urls(self, hostname: str) -> list[str]:
        """Return the URLs at which visitors find a hostname, one or two; the one with TLS first."""
        edge = self.describe()
        urls: list[str] = []
        if edge.https_port and self._serving.has_certificate(hostname):
            urls.append(f"https://{hostname}" + ("" if edge.https_port == 443 else f":{edge.https_port}"))
        if edge.http_port or not urls:
            urls.append(f"http://{hostname}" + ("" if edge.http_port in (80, None) else f":{edge.http_port}"))
        return urls


def nameservers(settings: EdgeSettings) -> dict[str, list[str]]:
    """Return label → addresses of the zone's name servers; without any in the settings, this edge is `ns1`."""
    named = {server.name: list(server.addresses) for server in settings.dns.nameservers}
    return named or {"ns1": list(settings.edge.addresses)}


def _first(ports: tuple[int, ...]) -> int | None:
    return ports[0] if ports else None
