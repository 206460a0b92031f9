"""
One edge node, put together: registry, identity, tunnels, visitors, DNS, and the doors for operators.

It decides the order of starting, draining, reloading and stopping; each part decides everything else. Settings,
reactor and the way to read settings again come in as arguments, so that twistd, `warp demo` and tests build the same.

    node = EdgeNode(reactor, settings)
    node.startService()
    await node.started
    node.ports.tunnel
    await node.stopService()
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_dns.server import DnsServer, ServedZone
from warp_dns.settings import ZoneSettings
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.ca.issue import AgentIdentity, agent_identity, to_pem
from warp_twisted.ca.store import load_edge
from warp_twisted.edge.admin import SOCKET_MODE, Admin, AdminSite, Observation, clear_stale_socket, observation_site
from warp_twisted.edge.comeback import Comeback
from warp_twisted.edge.control_metrics import ControlCollector
from warp_twisted.edge.enrollment import Enrollment, EnrollmentRate
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.listening import EdgeListener
from warp_twisted.edge.operations import NodeOperations
from warp_twisted.edge.serving import Serving
from warp_twisted.edge.settings import EdgeSettings, merge_reloaded, needs_restart
from warp_twisted.edge.tunnel_certificate import TunnelCertificate
from warp_twisted.edge.tunnels import EdgeTunnels
from warp_twisted.errors import InvalidSettings
from warp_twisted.registry.claims import Claim, Claims
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change, Edge
from warp_twisted.registry.publish import Publication, is_reserved
from warp_twisted.registry.sqlite import ThreadedSqliteStore
from warp_twisted.tunnel import TunnelProtocol, Turn
from warp_twisted.tunnel.protocol import EDGE_LIMITS

CLOSE_SECONDS = 5.0  # for the last bytes of tunnels when the edge stops
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """
    What came of a reload.

    :param needs_restart: sections that differ and that only a restart applies.
    :param complaints: a sentence for each certificate that is not used.
    """

    needs_restart: tuple[str, ...]
    complaints: tuple[str, ...]


class EdgeNode(Service):
    """
    One edge.

    :param reactor: to listen and to tell the time.
    :param read_settings: reads the configuration again for a reload; without it there is no reload.
    :ivar started: fires when everything listens and is published; fails if it cannot, and nothing is left then.
    :ivar ports: where it listens, once started.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: EdgeSettings,
        *,
        read_settings: Callable[[], EdgeSettings] | None = None,
    ) -> None:
        self._reactor = reactor
        self._read_settings = read_settings
        self.settings = settings
        self.started: Deferred[None] = Deferred()
        self.ports = BoundPorts()
        self.is_draining = False
        self._started_at = reactor.seconds()
        self.metrics = CollectorRegistry()
        self._listening: list[IListeningPort] = []
        self._sites: list[AdminSite] = []
        self._edge_claim: Claim | None = None
        self._drained: Deferred[None] | None = None
        self._reloaded: list[Callable[[EdgeSettings], None]] = []
        self.authority = load_edge(Path(settings.ca.root), Path(settings.ca.certificate), Path(settings.ca.key))
        self.store = ThreadedSqliteStore(Path(settings.state), reactor)
        self.mirror = Mirror(self.store, reactor)
        self.claims = Claims(self.store, reactor, settings.timeouts.lease)
        self.publication = Publication(
            settings.zone, ttl=settings.dns.ttl, reserved=self._nameservers(), https=settings.dns.https_records
        )
        self.mirror.subscribe(self._publish)
        self.enrollment = Enrollment(
            self.store, self.mirror, self.authority, reactor, lambda: self.settings.ca.agent_lifetime
        )
        self.serving = Serving(reactor, settings)
        self.tunnels = EdgeTunnels(
            reactor,
            lambda: self.settings,
            routes=self.serving.routes,
            mirror=self.mirror,
            claims=self.claims,
            names=NameGiver(self.store, self.mirror, settings.zone, self.is_reserved),
            authority=self.enrollment,
            identify=_identify,
            is_reserved=self.is_reserved,
            edges=self.tunnel_addresses,
            url=self.url,
        )
        self._comeback = Comeback(Path(settings.state) / "served.json", self.mirror, settings.edge.name, reactor)
        self._rate = EnrollmentRate(reactor)
        self._listener: EdgeListener | None = None
        self._checking = LoopingCall(self._edge_may_have_changed)  # certificates come and go with their files
        self._checking.clock = reactor
        self._certificate = TunnelCertificate(
            self.authority, settings, Path(settings.state), reactor, self._certificate_changed
        )
        self.dns: DnsServer | None = self._make_dns() if settings.listen.dns else None
        observation = Observation(self.readiness, self.metrics)
        self._admin = Admin(NodeOperations(self), observation, reactor)
        self._observation = observation
        self.metrics.register(ControlCollector(self))
        self.metrics.register(self.serving.collector)
        if self.dns is not None:
            self.metrics.register(self.dns.collector)

    # Starting.

    def startService(self) -> None:
        """Begin; `started` says how it went. What fails at once is raised as well."""
        super().startService()
        starting = Deferred.fromCoroutine(self._start())
        starting.chainDeferred(self.started)
        if isinstance(self.started.result if self.started.called else None, Failure):
            failure: Any = self.started.result
            self.started.addErrback(lambda _: None)
            self.running = False
            raise failure.value

    async def _start(self) -> None:
        try:
            await self._start_parts()
        except BaseException:
            await self._stop_parts()
            raise
        self._log.info("edge {edge} of {zone} serves", edge=self.settings.edge.name, zone=self.settings.zone)

    async def _start_parts(self) -> None:
        listen = self.settings.listen
        await self.mirror.start()
        self.claims.start()
        self.serving.start()
        self.tunnels.start()
        self._certificate.start()
        tunnel = [await self._listen(text, self._listener) for text in listen.tunnel or ()]
        await self._comeback.wait(self.settings.timeouts.settle)
        http = [await self._listen(text, self.serving.http) for text in listen.http or () if self.serving.http]
        https = [await self._listen(text, self.serving.https) for text in listen.https or () if self.serving.https]
        dns = self.dns.start(listen.dns or ()) if self.dns is not None else []
        metrics = None
        if listen.metrics is not None:
            metrics = await self._listen(listen.metrics, self._site(observation_site(self._observation)))
        self.ports = BoundPorts(
            http=tuple(http), https=tuple(https), tunnel=tuple(tunnel), dns=tuple(dns), metrics=metrics
        )
        self._edge_claim, settled = self.claims.put(self._describe_edge())
        await settled
        self._checking.start(CHECK_SECONDS, now=False)
        if listen.admin is not None:
            clear_stale_socket(listen.admin)
            site = self._site(self._admin.site())
            self._listening.append(self._reactor.listenUNIX(listen.admin, site, mode=SOCKET_MODE))
        self._comeback.start_keeping()

    async def _listen(self, text: str, factory: IProtocolFactory | None) -> int:
        try:
            port = await serverFromString(self._reactor, text).listen(factory)
        except (ValueError, CannotListenError) as error:
            raise InvalidSettings(f"listen: {text}: {error}") from error
        self._listening.append(port)
        return int(getattr(port.getHost(), "port", 0))

    def _site(self, site: AdminSite) -> AdminSite:
        self._sites.append(site)
        return site

    def _certificate_changed(self, context: ssl.SSLContext) -> None:
        if self._listener is not None:
            self._listener.context = context
            return
        self._listener = EdgeListener(
            context=context,
            delegate=self.tunnels,
            reactor=self._reactor,
            turn=Turn(self._reactor),
            root_pem=to_pem(self.authority.roots[0]),
            enroll=self.enrollment.enroll,
            limits=replace(EDGE_LIMITS, max_streams=self.settings.limits.streams_per_tunnel),
            max_handshakes=self.settings.limits.handshakes,
            handshake_seconds=self.settings.timeouts.hello,
        )
        self._listener.admission = self

    # What the tunnel port asks (`Admission`).

    def tunnel_proven(self, protocol: TunnelProtocol) -> None:
        """Expect a hello."""
        self.tunnels.tunnel_proven(protocol)

    def enrollment_begun(self, address: str) -> None:
        """Hold each address to the rate of enrollments."""
        limits = self.settings.limits
        self._rate.take(address, limits.enrollments_per_second, limits.enrollment_burst)

    # What the parts ask.

    def is_reserved(self, hostname: str) -> bool:
        """Whether a hostname belongs to the zone itself: an edge's, a name server's, or a service's name."""
        return is_reserved(hostname, self.settings.zone, (*self._nameservers(), *self.mirror.edges))

    def tunnel_addresses(self) -> list[str]:
        """Return `host:port` of every edge that takes tunnels; this one first."""
        edges = sorted(self.mirror.edges.values(), key=lambda edge: (edge.name != self.settings.edge.name, edge.name))
        return [
            f"[{address}]:{edge.tunnel_port}" if ":" in address else f"{address}:{edge.tunnel_port}"
            for edge in edges
            if edge.tunnel_port and not edge.draining
            for address in edge.addresses
        ][:MAX_ADDRESSES]

    def url(self, hostname: str) -> str:
        """Return the URL at which visitors find a hostname."""
        edge = self._describe_edge()
        if edge.https_port and self.serving.has_certificate(hostname):
            return f"https://{hostname}" + ("" if edge.https_port == 443 else f":{edge.https_port}")
        return f"http://{hostname}" + ("" if edge.http_port in (80, None) else f":{edge.http_port}")

    def readiness(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""
        own = f"{self.settings.edge.name}.{self.settings.zone}"
        parts = {
            "listeners": bool(self._listening),
            "registry": self.mirror.is_current and not self.claims.is_failing,
            "records": bool(self.publication.records_of(own)),
            "accepting": not self.is_draining,
        }
        if self.dns is not None:
            parts["dns"] = self.dns.is_ready
        return parts

    def certificate_expiry(self) -> Mapping[str, float]:
        """Say when each of the edge's own certificates ends."""
        return {
            "root": self.authority.roots[0].not_valid_after_utc.timestamp(),
            "intermediate": self.authority.issuer.certificate.not_valid_after_utc.timestamp(),
            "tunnel": self._certificate.expires_at,
            **self.serving.certificate_expiry(),
        }

    def _publish(self, changes: Sequence[Change]) -> None:
        self.publication.apply(changes)

    def _describe_edge(self) -> Edge:
        edge = self.settings.edge
        return Edge(
            name=edge.name,
            addresses=edge.addresses,
            http_port=edge.http_port or _first(self.ports.http),
            https_port=edge.https_port or _first(self.ports.https),
            https_names=self.serving.certificate_names(),
            tunnel_port=edge.tunnel_port or _first(self.ports.tunnel),
            weight=edge.weight,
            draining=self.is_draining,
            started_at=self._started_at,
        )

    def _edge_may_have_changed(self) -> Deferred[None]:
        """Put what this edge is into the registry, if that is not what is there."""
        claim, now = self._edge_claim, self._describe_edge()
        if claim is None or claim.value is None or claim.value == now:
            return succeed(None)
        return claim.update(now)

    def _nameservers(self) -> dict[str, list[str]]:
        """Return label → addresses; without any in the settings, this edge is `ns1`."""
        named = {server.name: list(server.addresses) for server in self.settings.dns.nameservers}
        return named or {"ns1": list(self.settings.edge.addresses)}

    def _make_dns(self) -> DnsServer:
        zone = self.settings.zone
        servers = {f"{name}.{zone}": addresses for name, addresses in self._nameservers().items()}
        master = self.settings.dns.master_file or ""
        served = ServedZone(ZoneSettings(name=zone, nameservers=servers, master_file=master), self.publication)
        return DnsServer(self._reactor, [served])

    # Reloading.

    def on_reload(self, applied: Callable[[EdgeSettings], None]) -> None:
        """Call a function with the settings of each reload that succeeds."""
        self._reloaded.append(applied)

    async def reload(self) -> Reloaded:
        """
        Read the configuration again and apply what can be applied.

        :raises InvalidSettings: if it is refused; nothing of it is applied.
        """
        if self._read_settings is None:
            raise EdgeError("this edge was started without a configuration file")
        wanted = self._read_settings()
        later = needs_restart(self.settings, wanted)
        settings = merge_reloaded(self.settings, wanted)
        complaints = self.serving.reload(settings)
        self.settings = settings
        self._edge_may_have_changed()
        self.claims.ttl_seconds = settings.timeouts.lease
        if self._listener is not None:
            self._listener.max_handshakes = settings.limits.handshakes
            self._listener.handshake_seconds = settings.timeouts.hello
            self._listener.limits = replace(EDGE_LIMITS, max_streams=settings.limits.streams_per_tunnel)
        for applied in self._reloaded:
            applied(settings)
        self._log.info("the configuration was reloaded; after a restart: {later}", later=", ".join(later) or "nothing")
        for complaint in complaints:
            self._log.warn("a certificate is not used: {complaint}", complaint=complaint)
        return Reloaded(needs_restart=tuple(later), complaints=tuple(complaints))

    # Stopping.

    def drain(self) -> Deferred[None]:
        """
        Take nothing new: names go, agents are told to move, requests that are under way finish.

        :returns: fires when they are done, or `timeouts.drain` is over.
        """
        if self._drained is None:
            self._drained = Deferred.fromCoroutine(self._drain())
        done: Deferred[None] = Deferred()
        self._drained.addBoth(_also, done)
        return done

    async def _drain(self) -> None:
        timeout = self.settings.timeouts.drain
        self._log.info("draining, for at most {seconds} s", seconds=timeout)
        self.is_draining = True
        await self._edge_may_have_changed()
        self.tunnels.drain(timeout)
        await self.serving.drain(timeout)
        self._log.info("drained")

    def stopService(self) -> Deferred[None]:
        """Drain, then stop everything; fires when nothing is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._comeback.stop_keeping()
        if self._edge_claim is not None:
            await self._close_listeners()
            await self.drain()
        await self._stop_parts()

    async def _close_listeners(self) -> None:
        listening, self._listening = self._listening, []
        for port in listening:
            await maybeDeferred(port.stopListening)

    async def _stop_parts(self) -> None:
        await self._close_listeners()
        if self._checking.running:
            self._checking.stop()
        self.serving.stop()
        self._certificate.stop()
        await self.tunnels.stop(CLOSE_SECONDS)
        await self.claims.stop()
        if self.dns is not None:
            await self.dns.stop()
        self._admin.close()
        for site in self._sites:
            site.disconnect()
        self.mirror.stop()
        await self.store.close()


def _identify(protocol: TunnelProtocol) -> AgentIdentity:
    transport = protocol.transport
    certificate = getattr(transport, "peer_certificate", None)
    if certificate is None:
        raise BadCertificate("the agent showed no certificate")
    return agent_identity(certificate)


def _also(result: object, done: Deferred[None]) -> object:
    done.callback(None)
    return result


def _first(ports: tuple[int, ...]) -> int | None:
    return ports[0] if ports else None
