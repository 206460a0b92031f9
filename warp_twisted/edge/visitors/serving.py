"""
The visitors' side of one edge, put together from its settings: routes, listeners, metrics and the access log.

It translates edge.yaml into the data path's own values; what is done with them is decided there.
"""

import os
import time
from collections.abc import Callable, Mapping

from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from warp_base.nonblocking_writer import NonblockingWriter, descriptor_sink
from warp_base.reactor import InThread, Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_twisted.edge.certificates.directory import Certificate, CertificateDirectory
from warp_twisted.edge.exchange.access_log import AccessLog
from warp_twisted.edge.policy.asked import AskedPolicies
from warp_twisted.edge.policy.delivery.following import PolicyFollower
from warp_twisted.edge.policy.fetched_keys import FetchedKeys
from warp_twisted.edge.policy.in_force import PolicyInForce
from warp_twisted.edge.policy.passwords import Passwords
from warp_twisted.edge.proxies import AnnouncedFactory
from warp_twisted.edge.routes.counters import DataPathCollector, DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.routes.suspicion import Suspicion
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.edge.visitors.banned_connections import BannedConnections
from warp_twisted.edge.visitors.crowd import Visitors
from warp_twisted.edge.visitors.factories import SecureVisitorFactory, VisitorFactory
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.edge.visitors.left_open import count_left, say_left
from warp_twisted.errors import InvalidSettings
from warp_twisted.http1.forwarding import Statements, parse_statements
from warp_twisted.http1.limits import BodyLimits, HeadLimits, ResponseRules
from warp_twisted.http1.request_fields import FieldRules
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.routing.table import RoutingTable
from warp_twisted.web_client import make_agent

STANDARD_OUTPUT = 1
PASSWORDS_OF_AN_AGENT = 16  # that wait to be hashed of all users that one agent named
MAX_WAITING_BYTES = 4 * 1024 * 1024  # of the access log: a second of a busy edge


class Serving:
    """
    What visitors meet.

    :ivar policy: which judges requests.
    :ivar policy_follower: which keeps to the policy that the edge is meant to have.
    :ivar when_routed: called after each policy, when it is known how requests are split.
    :ivar banned_connections: cuts what networks have open that an operator bans.
    :ivar suspicion: which tunnels are suspected of being dead.
    :ivar http: what plain listeners run.
    :ivar https: what TLS listeners run, if there are any.
    :raises InvalidSettings: if the access log or the certificates cannot be used.
    """

    _log = Logger()

    def __init__(
        self, reactor: Reactor, wall: WallClock, settings: EdgeSettings, in_thread: InThread = execute
    ) -> None:
        self._clock = reactor
        self._in_thread = in_thread
        self._wall = wall
        metrics = DataPathMetrics()
        limits = visitor_limits(settings)
        self._file = AccessFile(open_access_log(settings.log.access))
        self.routes = RouteTable(metrics, limits)
        self._passwords = Passwords(reactor, time.monotonic)
        self._passwords_of_agents = Passwords(reactor, time.monotonic, threads=1, of_asker=PASSWORDS_OF_AN_AGENT)
        self._passwords_aside = Passwords(reactor, time.monotonic, threads=1)
        self.policy = PolicyInForce(
            self._passwords, self._passwords_of_agents, AskedPolicies(in_thread), self._passwords_aside
        )
        self._fetched_keys = FetchedKeys(lambda: make_agent(reactor), reactor, in_thread)
        self.policy.fetched_keys = self._fetched_keys
        self._following = Slices(reactor)
        self.when_routed: Callable[[], object] = lambda: None
        self.policy.follow_routing = self._follow_routing
        self.policy_follower = PolicyFollower(self.policy, reactor, in_thread)
        self.policy_follower.begin(settings.policy, settings.policy_files)
        self.visitors = Visitors(
            self.routes,
            metrics,
            reactor,
            access_log=AccessLog(self._file.write, wall) if settings.log.access is not None else None,
            limits=limits,
            timeouts=visitor_timeouts(settings),
            rules=field_rules(settings),
            statements=statements(settings),
            upgrades=upgrades(settings),
            policy=self.policy,
            wall=wall,
        )
        self._looking = Slices(reactor)
        self.banned_connections = BannedConnections(self.visitors.connections, self.policy.banning, self._looking)
        self.suspicion = Suspicion(reactor, self.routes, lambda: self.visitors.timeouts.suspicion)
        self.routes.watch = self.suspicion.watch
        self._announced = [AnnouncedFactory(VisitorFactory(self.visitors).buildProtocol, reactor)]
        self.http: IProtocolFactory | None = self._announced[0]
        self.https: IProtocolFactory | None = None
        self._certificates: CertificateDirectory | None = None
        if settings.listen.https:
            self._certificates = open_certificates(settings, reactor, in_thread)
            self.policy.ask_by(self._certificates)
            secure = SecureVisitorFactory(self.visitors, self._certificates.context)
            self._announced.append(AnnouncedFactory(secure.buildProtocol, reactor))
            self.https = self._announced[1]
        self._use_proxies(settings)
        self.collector: Collector = DataPathCollector(
            metrics,
            lambda: len(self.visitors.connections),
            lambda: self.routes.stream_counts,
            lambda: (self.suspicion.total, len(self.suspicion.suspected)),
            lambda: self.routes.ejection.count,
        )

    def _follow_routing(self, routing: RoutingTable) -> None:
        """Split requests as a policy says, a slice of the routes at a time."""
        self._following.start(self.routes.splitting.follow(routing, self.routes.routes))
        self.when_routed()

    def start(self) -> None:
        """Begin to watch the time-outs and the certificates' files."""
        self.visitors.start()
        self._passwords.start()
        self._passwords_of_agents.start()
        self._passwords_aside.start()
        self._fetched_keys.start()
        self.policy_follower.start()
        if self._certificates is not None:
            for complaint in self._certificates.complaints:
                self._log.warn("a certificate is not used: {complaint}", complaint=complaint)
            self._certificates.start()

    def has_certificate(self, hostname: str) -> bool:
        """Whether a visitor of a hostname is shown a certificate."""
        return self._certificates is not None and self._certificates.has_certificate(hostname)

    def use_ordered(self, certificates: Mapping[str, Certificate]) -> None:
        """Show certificates that were ordered where the directory has none."""
        if self._certificates is not None:
            self._certificates.use_ordered(certificates)

    def certificate_names(self) -> tuple[str, ...]:
        """Return the hostnames and `*.` patterns that there are certificates for."""
        if self._certificates is None:
            return ()
        certificates = (*self._certificates.certificates, *self._certificates.ordered)
        return tuple(sorted({name for certificate in certificates for name in certificate.hostnames}))

    def certificate_expiry(self) -> dict[str, float]:
        """Say when each visitors' certificate ends, by file, or by name if it was ordered."""
        if self._certificates is None:
            return {}
        return {f"visitors/{each.name}": each.expires_at for each in self._certificates.certificates} | {
            f"ordered/{each.name}": each.expires_at for each in self._certificates.ordered
        }

    async def reload(self, settings: EdgeSettings) -> list[str]:
        """
        Apply new settings, read the certificates, and open the access log again, as it may have been moved away.

        Files are read and opened in a thread; one reload must end before the next begins.

        :returns: a sentence for each certificate that cannot be used; what it was before stays in use.
        :raises InvalidSettings: if something cannot be applied; nothing is then.
        """
        file = AccessFile(await self._in_thread(lambda: open_access_log(settings.log.access)))
        complaints: list[str] = []
        if self._certificates is not None:
            try:
                await self._certificates.refresh()
            except InvalidSettings:
                file.close()
                raise
            complaints = self._certificates.complaints
        try:
            await self.policy_follower.reload(settings.policy, settings.policy_files)
        except InvalidSettings:
            file.close()
            raise
        log = self.visitors.access_log
        if log is not None:
            log.flush()
        self._file.close()
        self._file = file
        self.visitors.access_log = AccessLog(file.write, self._wall) if settings.log.access is not None else None
        self._use_proxies(settings)
        self.visitors.apply(
            visitor_limits(settings),
            visitor_timeouts(settings),
            field_rules(settings),
            statements(settings),
            upgrades(settings),
        )
        return complaints

    def _use_proxies(self, settings: EdgeSettings) -> None:
        """Let these proxies say whom they speak for, and ban none of them."""
        forwarding = settings.forwarding
        proxies = PrefixSet.of(forwarding.proxy_protocol)
        for factory in self._announced:
            factory.proxies = proxies
        self.visitors.http_proxies = HttpProxies(
            PrefixSet.of(forwarding.x_forwarded_for), say_scheme=forwarding.x_forwarded_proto
        )
        self.policy.banning.proxies = PrefixSet.of([*forwarding.proxy_protocol, *forwarding.x_forwarded_for])

    async def drain(self, timeout: float, *, keeps_idle: bool = False) -> None:
        """Finish the requests there are, for at most the time given; see `Visitors.drain`."""
        ended: Deferred[None] = Deferred()  # of this wait alone: another may last longer
        self.visitors.drain(keeps_idle=keeps_idle).addCallback(lambda _: None if ended.called else ended.callback(None))
        await ended.addTimeout(timeout, self._clock, onTimeoutCancel=lambda result, seconds: None)

    async def what_is_left(self) -> str:
        """Say what is not finished, in a few words; nothing if everything is."""
        return say_left(*await self._looking.result_of(count_left(self.visitors.connections)))

    def stop(self) -> None:
        """Hang up on everybody, and write the rest of the access log."""
        if self._certificates is not None:
            self._certificates.stop()
        self.policy_follower.stop()
        self._following.stop()
        self._looking.stop()
        self._fetched_keys.stop()
        self.visitors.stop()
        self._passwords.stop()
        self._passwords_of_agents.stop()
        self._passwords_aside.stop()
        self.suspicion.stop()
        self._file.close()


class AccessFile:
    """
    Where access lines go.

    A full disk, or a reader that has stopped, loses lines, never a request: a thread writes them.

    :param descriptor: what `open_access_log` returned; it is closed with this.
    """

    _log = Logger()

    def __init__(self, descriptor: int | None) -> None:
        self._writer: NonblockingWriter | None = None
        if descriptor is not None:
            self._writer = NonblockingWriter(
                descriptor_sink(descriptor),
                resumed=self._say_dropped,
                closed=lambda: os.close(descriptor),
                max_bytes=MAX_WAITING_BYTES,
            )

    def write(self, lines: bytes) -> None:
        """Append whole lines, without waiting."""
        if self._writer is not None:
            self._writer.write(lines)

    def close(self) -> None:
        """Take no more lines; those that wait are still written."""
        if self._writer is not None:
            self._writer.close()

    def _say_dropped(self, lines: int) -> None:
        self._log.warn(
            "{lines} lines of the access log were dropped, as its reader was too slow or had stopped", lines=lines
        )


def open_access_log(name: str | None) -> int | None:
    """
    Open where access lines go; runs in any thread.

    :param name: of a file that is appended to; `-` for standard output, None for nowhere.
    :raises InvalidSettings: if it cannot be opened.
    """
    if name is None:
        return None
    if name == "-":
        return os.dup(STANDARD_OUTPUT)  # not sys.stdout, which the log may have taken over
    try:
        # Nonblocking only to open it: a pipe that nobody reads yet would hold us up, and is refused instead.
        descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
    except OSError as error:
        raise InvalidSettings(f"log.access: {name}: {error.strerror}") from error
    os.set_blocking(descriptor, True)
    return descriptor


def open_certificates(settings: EdgeSettings, reactor: Reactor, in_thread: InThread = execute) -> CertificateDirectory:
    """
    Read the certificates that visitors are shown.

    :param in_thread: reads them again.

    :raises InvalidSettings: if there is no directory of them, and none are ordered.
    """
    if settings.certificates is None and settings.acme is None:
        raise InvalidSettings("certificates: listen.https needs a directory, or acme; or set listen.https to []")
    return CertificateDirectory(settings.certificates, reactor, in_thread)


def field_rules(settings: EdgeSettings) -> FieldRules:
    """Compile which fields of requests are passed on."""
    return FieldRules(settings.forwarding.strip, settings.forwarding.set)


def statements(settings: EdgeSettings) -> Statements:
    """Compile which fields the edge sets beside X-Forwarded-*."""
    public = (("http", settings.edge.http_port), ("https", settings.edge.https_port))
    return Statements(
        parse_statements(settings.forwarding.set), tuple((scheme, port) for scheme, port in public if port is not None)
    )


def upgrades(settings: EdgeSettings) -> frozenset[bytes]:
    """Return the protocols that visitors may switch to, in lower case."""
    return frozenset(each.lower().encode("ascii") for each in settings.upgrades)


def visitor_limits(settings: EdgeSettings) -> VisitorLimits:
    """Return the data path's limits as the settings have them."""
    limits, responses = settings.limits, settings.responses
    return VisitorLimits(
        head=HeadLimits(
            head_bytes=limits.head_bytes, header_count=limits.header_count, target_bytes=limits.target_bytes
        ),
        response=ResponseRules(
            head_bytes=responses.head_bytes, header_count=responses.header_count, bare_lf=responses.bare_lf
        ),
        body=BodyLimits(body_bytes=limits.body_bytes),
        idle_streams=limits.idle_streams_per_route,
        queued_requests=limits.queued_requests,
        connections=limits.connections,
        connections_per_address=limits.connections_per_address,
        unread_bytes=limits.unread_bytes,
        body_bytes_per_second=limits.body_bytes_per_second,
        requests_per_second=limits.requests_per_second,
        request_burst=limits.request_burst,
        handshakes_per_second=limits.visitor_handshakes_per_second,
        handshake_burst=limits.visitor_handshake_burst,
    )


def visitor_timeouts(settings: EdgeSettings) -> VisitorTimeouts:
    """Return the data path's time-outs as the settings have them."""
    timeouts = settings.timeouts
    return VisitorTimeouts(
        header=timeouts.header,
        idle=timeouts.idle,
        visitor_stall=timeouts.visitor_stall,
        origin_connect=timeouts.origin_connect,
        origin_response=timeouts.origin_response,
        origin_stall=timeouts.origin_stall,
        queued=timeouts.queued,
        upgraded=timeouts.upgraded,
        half_closed=timeouts.half_closed,
        idle_stream=timeouts.idle_stream,
        suspicion=timeouts.suspicion,
    )
