"""
This edge's entry in the registry, and the names, addresses and URLs that follow from the entries of all edges.

It knows settings and bound ports, and reads the registry's mirror; it starts and stops nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from warp_base.host_port import join_host_port
from warp_base.wall_clock import WallClock
from warp_twisted.coverage import is_reserved
from warp_twisted.edge.listeners import BoundPorts
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.registry.claims import Claim, Claims
from warp_twisted.registry.edge_records import EdgeRecord
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge

REFRESH_SECONDS = 5.0  # certificates come and go with their files
MAX_ADDRESSES = 32  # of edges, told to agents
MAX_SERVER_ADDRESSES = 16  # of one name server
DNS_PORT = 53


class VisitorCertificates(Protocol):
    """Which hostnames visitors are shown a certificate for; see `edge.visitors.serving`."""

    def has_certificate(self, hostname: str) -> bool:
        """Whether a visitor of a hostname is shown a certificate."""

    def certificate_names(self) -> tuple[str, ...]:
        """Return the hostnames and `*.` patterns that there are certificates for."""


class RegistryEntry:
    """
    What the fleet knows of this edge.

    :param settings: returns the settings as they are now.
    :param ports: returns where the edge listens now.
    :param assertion_keys: returns the public halves of the keys for assertions.
    :param relays_to: returns the edges through which this one serves what they serve.
    :ivar is_draining: whether it takes nothing new.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wall: WallClock,
        settings: Callable[[], EdgeSettings],
        mirror: Mirror,
        claims: Claims,
        certificates: VisitorCertificates,
        ports: Callable[[], BoundPorts],
        assertion_keys: Callable[[], tuple[Mapping[str, str], ...]] = lambda: (),
        relays_to: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._settings = settings
        self._mirror = mirror
        self._claims = claims
        self._certificates = certificates
        self._ports = ports
        self._assertion_keys = assertion_keys
        self._relays_to = relays_to
        self._claim: Claim | None = None
        self._started_at = wall.now()
        self._refreshing = LoopingCall(self.refresh)
        self._refreshing.clock = clock
        self.is_draining = False

    async def announce(self) -> None:
        """Put this edge into the registry, and keep what is there true."""
        self._claim, settled = self._claims.put(self.describe())
        await settled
        self._refreshing.start(REFRESH_SECONDS, now=False)

    def refresh(self) -> Deferred[None]:
        """Put what this edge is into the registry, if that is not what is there."""
        return self._claim.keep_to(self.describe()) if self._claim is not None else succeed(None)

    def drain(self) -> Deferred[None]:
        """Say that this edge takes nothing new, from now on."""
        self.is_draining = True
        return self.refresh()

    @property
    def is_alone(self) -> bool:
        """Whether no other edge takes tunnels, so that neither agents nor visitors have anywhere else to go."""
        own = self._settings().edge.name
        return not any(
            edge.name != own and edge.tunnel_port and not edge.draining for edge in self._mirror.edges.values()
        )

    def stop(self) -> None:
        """Refresh no more; the claim is released with all others."""
        if self._refreshing.running:
            self._refreshing.stop()

    def describe(self) -> Edge:
        """Return what the registry is to hold of this edge."""
        settings, ports = self._settings().edge, self._ports()
        return Edge(
            name=settings.name,
            addresses=settings.addresses,
            http_port=settings.http_port or _first(ports.http),
            https_port=settings.https_port or _first(ports.https),
            https_names=self._certificates.certificate_names(),
            tunnel_port=settings.tunnel_port or _first(ports.tunnel),
            weight=settings.weight,
            coordinates=self._settings().coordinates,
            draining=self.is_draining,
            started_at=self._started_at,
            assertion_keys=self._assertion_keys(),
            relays_to=tuple(self._relays_to()),
        )

    def record(self, authority_key: str, sealing_key: str = "") -> EdgeRecord:
        """
        Return what the registry is to keep of this edge.

        :param authority_key: of its intermediate (`ca.edge_identity`).
        :param sealing_key: as in `EdgeRecord`.
        """
        settings, ports = self._settings().edge, self._ports()
        port = settings.tunnel_port or _first(ports.tunnel)
        addresses = [join_host_port(address, port) for address in settings.addresses] if port else []
        return EdgeRecord(
            name=settings.name,
            addresses=settings.peer_addresses or tuple(addresses),
            authority_key=authority_key,
            sealing_key=sealing_key,
        )

    @property
    def hostname(self) -> str:
        """This edge's own name."""
        return self._settings().hostname

    def is_reserved(self, hostname: str) -> bool:
        """Whether a hostname belongs to the zone itself: an edge's, a name server's, or a service's name."""
        settings = self._settings()
        return is_reserved(hostname, settings.zone, (*settings.nameservers, *self._mirror.edges))

    def has_owner(self, hostname: str) -> bool:
        """Whether no pattern stands for a hostname: it belongs to the zone, or is the name given to one agent."""
        return hostname in self._mirror.given_names or self.is_reserved(hostname)

    def is_edge(self, address: str) -> bool:
        """Whether an address is that of an edge; costs some microseconds, by the number of edges."""
        return any(address in edge.addresses for edge in self._mirror.edges.values())

    def edge_addresses(self) -> Iterator[str]:
        """Yield the addresses of all edges."""
        return (address for edge in self._mirror.edges.values() for address in edge.addresses)

    def tunnel_addresses(self) -> list[str]:
        """Return `host:port` of every edge that takes tunnels; this one first."""
        own = self._settings().edge.name
        edges = sorted(self._mirror.edges.values(), key=lambda edge: (edge.name != own, edge.name))
        return [
            join_host_port(address, edge.tunnel_port)
            for edge in edges
            if edge.tunnel_port and not edge.draining
            for address in edge.addresses
        ][:MAX_ADDRESSES]

    def name_servers(self) -> dict[str, list[str]]:
        """
        Return the zone's name servers, and at which `host:port` each answers: port 53, but for this edge's own.

        None where edge.yaml names none and this edge answers no DNS: then nobody may serve the zone.
        """
        settings, ports = self._settings(), dict(self._ports().dns)
        if not settings.dns.nameservers and not ports:
            return {}
        return {
            f"{name}.{settings.zone}": [
                join_host_port(address, ports.get(address, DNS_PORT)) for address in addresses[:MAX_SERVER_ADDRESSES]
            ]
            for name, addresses in settings.nameservers.items()
        }

    def url(self, hostname: str) -> str:
        """Return the URL to show people for a hostname."""
        return self.urls(hostname)[0]

    def urls(self, hostname: str) -> list[str]:
        """Return the URLs at which visitors find a hostname, one or two; the one with TLS first."""
        settings, ports = self._settings().edge, self._ports()
        http_port = settings.http_port or _first(ports.http)
        https_port = settings.https_port or _first(ports.https)
        urls: list[str] = []
        if https_port and self._certificates.has_certificate(hostname):
            urls.append(f"https://{hostname}" + ("" if https_port == 443 else f":{https_port}"))
        if http_port or not urls:
            urls.append(f"http://{hostname}" + ("" if http_port in (80, None) else f":{http_port}"))
        return urls


def _first(ports: tuple[int, ...]) -> int | None:
    return ports[0] if ports else None
