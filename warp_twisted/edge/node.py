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
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from warp_twisted.ca.issue import to_pem
from warp_twisted.configuration import changed_keys
from warp_twisted.edge.agents.admission import Admission, identify_peer
from warp_twisted.edge.agents.agent_expiry import AgentExpiry
from warp_twisted.edge.agents.enrollment import Enrollment, EnrollmentRate
from warp_twisted.edge.agents.expected_hostnames import ExpectedHostnames
from warp_twisted.edge.agents.listening import EdgeListener
from warp_twisted.edge.agents.tunnel_certificate import TunnelCertificate
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.check import load_authority
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.nameserver import make_nameserver, start_nameserver
from warp_twisted.edge.operators.admin import Admin
from warp_twisted.edge.operators.admin_socket import SOCKET_MODE, prepare_socket_path
from warp_twisted.edge.operators.control_metrics import ControlCollector
from warp_twisted.edge.operators.observation import Observation
from warp_twisted.edge.operators.operations import NodeOperations
from warp_twisted.edge.operators.sites import AdminFactory
from warp_twisted.edge.registry_entry import BoundPorts, RegistryEntry, nameservers
from warp_twisted.edge.settings import EdgeSettings, merge_reloaded, needs_restart
from warp_twisted.edge.visitors.serving import Serving
from warp_twisted.errors import InvalidSettings
from warp_twisted.listen_text import server_endpoint
from warp_twisted.registry.claims import Claims
from warp_twisted.registry.given_names import NameGiver
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Change
from warp_twisted.registry.publish import Publication
from warp_twisted.registry.sqlite import ThreadedSqliteStore
from warp_twisted.tunnel import TunnelProtocol, Turn
from warp_twisted.tunnel.protocol import EDGE_LIMITS

CLOSE_SECONDS = 5.0  # for the last bytes of tunnels when the edge stops


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
    :ivar has_settled: whether visitors are let in.
    :ivar started: fires when everything listens and is published; fails if it cannot, and nothing is left then.
    :ivar ports: where it listens, once started.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, settings: EdgeSettings, *, read_settings: Callable[[], EdgeSettings] | None = None
    ) -> None:
        self._reactor = reactor
        self._read_settings = read_settings
        self.settings = settings
        self.started: Deferred[None] = Deferred()
        self.metrics = CollectorRegistry()
        self._listening: list[IListeningPort] = []  # to visitors and agents; closed when the edge drains
        self._doors: list[IListeningPort] = []  # to operators, until the end
        self._sites: list[AdminFactory] = []
        self.has_settled = False
        self._starting: Deferred[None] | None = None
        self._start_error: Exception | None = None
        self._drained: Deferred[None] | None = None
        self._reloaded: list[Callable[[EdgeSettings], None]] = []
        self.authority = load_authority(settings, reactor.seconds())
        self.serving = Serving(reactor, settings)
        self.publication = Publication(
            settings.zone, ttl=settings.dns.ttl, reserved=nameservers(settings), https=settings.dns.https_records
        )
        state = _make_directory(settings.state)
        self.dns = make_nameserver(reactor, settings, self.publication)
        self.store = ThreadedSqliteStore(state, reactor)  # last of what may fail, as it locks its file
        self.mirror = Mirror(self.store, reactor)
        self.mirror.subscribe(self._publish)
        self.claims = Claims(self.store, reactor, settings.timeouts.lease)
        self.enrollment = Enrollment(
            self.store, self.mirror, self.authority, reactor, lambda: self.settings.ca.agent_lifetime
        )
        self._retirement = AgentExpiry(self.store, self.mirror, reactor, lambda: self.settings.ca.agent_lifetime)
        self.presence = RegistryEntry(reactor, lambda: self.settings, self.mirror, self.claims, self.serving)
        self.serving.routes.is_reserved = self.presence.has_owner
        names = NameGiver(self.store, self.mirror, settings.zone, self.presence.is_reserved)
        self.tunnels = EdgeTunnels(
            reactor,
            lambda: self.settings,
            routes=self.serving.routes,
            mirror=self.mirror,
            claims=self.claims,
            admission=Admission(self.mirror, names, identify_peer, self.presence.is_reserved),
            authority=self.enrollment,
            edges=self.presence.tunnel_addresses,
            urls=self.presence.urls,
        )
        self._comeback = ExpectedHostnames(state / "served.json", self.mirror, settings.edge.name, reactor)
        self._rate = EnrollmentRate(reactor)
        self._listener: EdgeListener | None = None
        self._certificate = TunnelCertificate(self.authority, settings, state, reactor, self._certificate_changed)
        observation = Observation(self.readiness, self.metrics)
        self._admin = Admin(NodeOperations(self), observation, reactor)
        self._observation = observation
        self.metrics.register(ControlCollector(self))
        self.metrics.register(self.serving.collector)
        if self.dns is not None:
            self.metrics.register(self.dns.collector)

    # Starting.

    @property
    def ports(self) -> BoundPorts:
        """Where the node listens, once it does."""
        return self.presence.ports

    @property
    def is_draining(self) -> bool:
        """Whether the node takes nothing new."""
        return self.presence.is_draining

    def startService(self) -> None:
        """Begin; `started` says how it went. What is wrong at once is raised instead, and then taken down."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        if self._start_error is not None:
            self.running = False
            raise self._start_error

    async def _start(self) -> None:
        try:
            await self._start_parts()
        except Exception as error:
            self._start_error = error
            await self._stop_parts()
            if self.running and not isinstance(error, CancelledError):  # else it was raised, or nobody waits
                self.started.errback(error)
            return
        self._log.info("edge {edge} of {zone} serves", edge=self.settings.edge.name, zone=self.settings.zone)
        self.started.callback(None)

    async def _start_parts(self) -> None:
        listen = self.settings.listen
        await self.mirror.start()
        self.claims.start()
        self.serving.start()
        self.tunnels.start()
        self._retirement.start()
        self._certificate.start()
        await self._open_doors()
        tunnel = await self._listen_all("tunnel", listen.tunnel, self._listener)
        http = await self._listen_all("http", listen.http, self.serving.http)
        https = await self._listen_all("https", listen.https, self.serving.https)
        visitors: list[Any] = self._listening[len(tunnel) :]
        for port in visitors:  # they wait in the queue of the socket, rather than being refused
            port.stopReading()
        self.presence.ports = replace(self.ports, http=tuple(http), https=tuple(https), tunnel=tuple(tunnel))
        await self.presence.announce()
        await self._comeback.wait(self.settings.timeouts.settle)
        if self.dns is not None:
            self.presence.ports = replace(self.ports, dns=start_nameserver(self.dns, self.settings))
        for port in visitors:
            port.startReading()
        self.has_settled = True
        self._comeback.start_keeping()

    async def _open_doors(self) -> None:
        listen = self.settings.listen
        if listen.metrics is not None:
            site = self._site(self._observation.site())
            port = await self._listen("listen.metrics", listen.metrics, site, self._doors)
            self.presence.ports = replace(self.ports, metrics=port)
        if listen.admin is not None:
            prepare_socket_path(listen.admin)
            site = self._site(self._admin.site())
            try:
                self._doors.append(self._reactor.listenUNIX(listen.admin, site, mode=SOCKET_MODE))
            except CannotListenError as error:
                site.doStop()  # Twisted starts the factory of a unix socket before it binds
                raise InvalidSettings(f"listen.admin: {listen.admin}: {error.socketError}") from error

    async def _listen_all(self, key: str, texts: Sequence[str] | None, factory: Any) -> list[int]:
        return [await self._listen(f"listen.{key}[{at}]", text, factory) for at, text in enumerate(texts or ())]

    async def _listen(self, key: str, text: str, factory: Any, ports: list[IListeningPort] | None = None) -> int:
        try:
            port = await server_endpoint(self._reactor, text, key).listen(factory)
        except (ValueError, CannotListenError) as error:
            raise InvalidSettings(f"{key}: {text}: {getattr(error, 'socketError', error)}") from error
        (self._listening if ports is None else ports).append(port)
        number = int(getattr(port.getHost(), "port", 0))
        self._log.info("{key} is open: {text}, port {port}", key=key, text=text, port=number)
        return number

    def _site(self, site: AdminFactory) -> AdminFactory:
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
        self._listener.proven = self

    # What the tunnel port asks (`ProvenPeers`).

    def tunnel_proven(self, protocol: TunnelProtocol) -> None:
        """Expect a hello."""
        self.tunnels.tunnel_proven(protocol)

    def enrollment_begun(self, address: str) -> None:
        """Hold each address to the rate of enrollments."""
        limits = self.settings.limits
        self._rate.take(address, limits.enrollments_per_second, limits.enrollment_burst)

    # What the parts ask.

    def readiness(self) -> Mapping[str, bool]:
        """Say of each part whether it serves."""
        parts = {
            "listeners": bool(self._listening) and self.has_settled,
            "registry": self.mirror.is_current and not self.claims.is_failing,
            "records": bool(self.publication.records_of(self.presence.hostname)),
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
        taken, self.settings = changed_keys(self.settings, settings), settings
        self.presence.refresh()
        self.claims.ttl_seconds = settings.timeouts.lease
        if self._listener is not None:
            self._listener.max_handshakes = settings.limits.handshakes
            self._listener.handshake_seconds = settings.timeouts.hello
            self._listener.limits = replace(EDGE_LIMITS, max_streams=settings.limits.streams_per_tunnel)
        for applied in self._reloaded:
            applied(settings)
        self._log.info(
            "configuration read again: {taken}; after a restart: {later}",
            taken=", ".join(taken) or "nothing new", later=", ".join(later) or "nothing",
        )  # fmt: skip
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
        return self._drained

    async def _drain(self) -> None:
        timeout = self.settings.timeouts.drain
        self._log.info("draining, for at most {seconds} s", seconds=timeout)
        self.presence.is_draining = True
        await self.presence.refresh()
        await _close(self._listening)
        self.tunnels.drain(timeout)
        await self.serving.drain(timeout)
        self._log.info("drained")

    def stopService(self) -> Deferred[None]:
        """Drain, then stop everything; fires when nothing is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._comeback.stop_keeping()
        starting, self._starting = self._starting, None
        if starting is not None and not self.has_settled:
            if self._start_error is None:
                starting.cancel()
            await starting  # it takes down what is up
            return
        await self.drain()
        await self._stop_parts()

    async def _stop_parts(self) -> None:
        await _close(self._listening)
        self.presence.stop()
        self.serving.stop()
        self._certificate.stop()
        self._retirement.stop()
        await self.tunnels.stop(CLOSE_SECONDS)
        await self.claims.stop()
        if self.dns is not None:
            await self.dns.stop()
        self._admin.close()
        await _close(self._doors)
        for site in self._sites:
            site.disconnect()
        self.mirror.stop()
        await self.store.close()


def _make_directory(name: str) -> Path:
    directory = Path(name)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"state: {name}: {error.strerror}") from error
    return directory


async def _close(ports: list[IListeningPort]) -> None:
    while ports:
        await maybeDeferred(ports.pop().stopListening)
