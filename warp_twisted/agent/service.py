"""
The agent: its links to edges, its routes to origins, its identity, and what each of them means for the others.

`AgentService` is one agent, ready to run in any process that has a reactor. It is handed everything: settings that
were checked, an identity that was loaded, the clock. It decides what new settings change, what observers hear, and when
the agent has stopped; how tunnels live is `agent.links`, how a stream reaches its origin `agent.origins.routes`, and
when the certificate is renewed `agent.identity.renewal`.
"""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from ssl import SSLContext

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import Reactor
from warp_base.wall_clock import WallClock
from warp_twisted.agent.changes import changes
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.errors import AgentRefused, NotAdmitted, StateBroken
from warp_twisted.agent.events import (
    CertificateRenewed,
    ClockSuspected,
    Draining,
    Observer,
    OriginChanged,
    Published,
    Refused,
    Reloaded,
    ReloadRefused,
    Stopped,
    TunnelDown,
    TunnelUp,
)
from warp_twisted.agent.identity.agent_clock import AgentClock
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.enrollment import SOFTWARE
from warp_twisted.agent.identity.renewal import Renewal
from warp_twisted.agent.identity.returning import Returning
from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.agent.known_edges import edges_of, follow_settings
from warp_twisted.agent.links.edge_dialer import EdgeDialer
from warp_twisted.agent.links.edges import Edges
from warp_twisted.agent.links.link import Link
from warp_twisted.agent.links.link_set import LinkSet
from warp_twisted.agent.links.offering import Offering
from warp_twisted.agent.links.rebalancing import Rebalancing
from warp_twisted.agent.links.reporting import Reporting
from warp_twisted.agent.links.round_trips import RoundTrips
from warp_twisted.agent.origins.prepared import PreparedIngress
from warp_twisted.agent.origins.routes import Route, Routes
from warp_twisted.agent.protection import Protection
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.agent.sharing import Sharing
from warp_twisted.names import one_line
from warp_twisted.tunnel import TunnelTimes, Turn
from warp_twisted.wire import control
from warp_twisted.wire.limits import Limits
from warp_twisted.wire.streams import Stream

OVERTIME_SECONDS = 1.0  # for the last bytes after the deadline of a drain


class AgentService(Service):
    """
    One agent.

    :param reactor: the reactor, to dial with and as the clock.
    :param settings: what it was told.
    :param state: where its identity is kept; the service closes it when it has stopped.
    :param observe: hears of every event; must not raise.
    :param not_admitted: called when an edge does not let the agent return; it goes on trying.
    :param edges: where edges are; made from settings and identity unless given.
    :param wall: the time of day, for certificates.
    :param chance: for jitter and spreading.
    :ivar clock: what it knows of this machine's clock.
    :raises InvalidSettings: if a file that the rules name cannot be used.
    """

    name = "warp-agent"
    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: AgentSettings,
        state: StateDirectory,
        identity: Identity,
        *,
        observe: Observer | None = None,
        not_admitted: Callable[[], None] | None = None,
        edges: Edges | None = None,
        turn: Turn | None = None,
        times: TunnelTimes | None = None,
        limits: Limits | None = None,
        wall: WallClock = MACHINE_WALL_CLOCK,
        chance: random.Random | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._observe = observe or (lambda event: None)
        turn = turn or Turn(reactor)
        self._wall = wall
        chance = chance or random.Random()  # noqa: S311 -- for jitter, not for secrets
        self._edges = edges or edges_of(settings, identity)
        self._session = secrets.token_hex(8)
        self._credentials = Credentials(state, identity, partial(deferToThreadPool, reactor, reactor.getThreadPool()))
        dialer = EdgeDialer(
            reactor, self._edges, self._tls_context, turn, times=times, limits=limits, closed=self.link_ended
        )
        self.routes = Routes(reactor, turn, self._health_changed, chance)
        self._offering = Offering(self.routes, self.routes.prepare(settings.ingress, is_start=True))
        self.links = LinkSet(settings.tunnels, self, dialer, self._edges, reactor, chance)
        self._reporting = Reporting(reactor, self.links)
        round_trips = RoundTrips(reactor, self._tls_context)
        self._rebalancing = Rebalancing(reactor, self.links, self._edges, round_trips, chance)
        self.clock = AgentClock(
            reactor, wall, lambda text: self._observe(ClockSuspected(suspicion=text)), self._clock_stepped
        )
        self._renewal = Renewal(reactor, self._credentials, self.links, wall, self.clock.edge_time)
        self._returning = Returning(reactor, wall, self._credentials, self.clock.edge_time, self._returned)
        self._not_admitted = not_admitted or (lambda: None)
        self.urls: dict[int, str] = {}
        self.plain_urls: dict[int, str] = {}
        self._sharing = Sharing(self._observe)
        self._protection = Protection(self._observe)
        self._hostnames: dict[int, str] = {}
        self.is_stopping = False
        self._is_closing = False
        self._has_ended = False
        self._deadline: IDelayedCall | None = None
        self._stopped: list[Deferred[None]] = []
        self._refusal: AgentRefused | None = None
        self._refused: list[Deferred[None]] = []

    # What may be asked by those who run the agent.

    @property
    def identity(self) -> Identity:
        """Who the agent is."""
        return self._credentials.identity

    @property
    def tunnels_up(self) -> int:
        """Tunnels that an edge has accepted."""
        return self.links.up_count

    @property
    def settings(self) -> AgentSettings:
        """The settings that are in force."""
        return self._settings

    def hostname(self, route: Route) -> str:
        """Return the hostname under which a route is published, empty while it is not."""
        return self._hostnames.get(route.offer.id, route.offer.hostname)

    def startService(self) -> None:
        """Dial."""
        super().startService()
        self.routes.probe_all()
        self.links.start()
        self._renewal.start()
        self.clock.start()
        self._rebalancing.start()

    def stopService(self) -> Deferred[None]:
        """
        Drain: take nothing new, finish what is under way, then stop; at `settings.drain_seconds` stop in any case.

        :returns: fires when everything is closed.
        """
        if self.running and not self.is_stopping:
            self._begin_to_stop()
            deadline = self._settings.drain_seconds
            streams = sum(route.traffic.open for route in self.routes.offered)
            self._observe(Draining(streams=streams, deadline_seconds=deadline))
            self._deadline = self._reactor.callLater(deadline + OVERTIME_SECONDS, self.stop_now)
            self.links.drain("the agent stops", deadline)
            self.link_ended()
        super().stopService()
        return self.when_stopped()

    def stop_now(self) -> None:
        """Stop without waiting for what is under way; a drain that was begun ends at once."""
        self._begin_to_stop()
        self.links.stop()
        self.link_ended()

    def _tls_context(self) -> SSLContext:
        return self._credentials.context

    def _begin_to_stop(self) -> None:
        self._renewal.stop()
        self.clock.stop()
        self._rebalancing.stop()
        self._returning.stop()
        self.is_stopping = True

    def when_stopped(self) -> Deferred[None]:
        """Return a Deferred that fires when the agent was stopped and everything is closed."""
        deferred: Deferred[None] = Deferred()
        if self._has_ended:
            return succeed(None)
        self._stopped.append(deferred)
        return deferred

    def when_refused(self) -> Deferred[None]:
        """Return a Deferred that fails with `AgentRefused` if the fleet refuses this agent for good."""
        if self._refusal is not None:
            return fail(self._refusal)
        deferred: Deferred[None] = Deferred()
        self._refused.append(deferred)
        return deferred

    def reload(self, settings: AgentSettings, prepared: PreparedIngress) -> Sequence[str]:
        """
        Take new settings without dropping a tunnel, and the roots that the state directory has now.

        :param settings: for other labels, edges or policies each tunnel is dialed anew; the old one serves until then.
        :param prepared: what `Routes.prepare` made of their rules.
        :returns: the keys whose change waits for a restart.
        :raises StateBroken: if the roots cannot be read; then nothing has changed.
        """
        if self._credentials.reread_roots():
            self._log.info("the roots have changed: asking for a new certificate")
            self._renewal.ask_now()
        needs_tunnels = self._offering.change(prepared, self.links)
        found = changes(self._settings, settings)
        follow_settings(self._edges, found.settings)
        if found.needs_tunnels or needs_tunnels:
            self.links.move_all()
        self._settings = found.settings
        self._log.info("settings read again: {taken}", taken=", ".join(found.taken) or "nothing new")
        self._observe(Reloaded(routes=len(self.routes.offered), needs_restart=list(found.waits)))
        return list(found.waits)

    def refuse_reload(self, reason: str) -> None:
        """Tell observers that new settings could not be taken."""
        self._log.warn("the new settings are refused, the old ones stay: {reason}", reason=reason)
        self._observe(ReloadRefused(reason=reason))

    async def before_dial(self, edge: EdgeAddress) -> None:
        """
        Return first if the certificate has ended, or was issued by a clock that was ahead.

        :raises AgentRefused: if the agent was revoked.
        :raises NotAdmitted: if it may not return as things are.
        """
        if self._credentials.is_valid_at(self.clock.edge_time.now()):
            return
        try:
            await self._returning.come_back(edge)
        except AgentRefused as refusal:
            self._log.error("edge {edge} refuses this agent: {reason}", edge=str(edge), reason=str(refusal))
            self._give_up(refusal)
            raise
        except NotAdmitted:
            self._not_admitted()
            raise

    def edge_not_valid(self, edge: EdgeAddress) -> None:
        """Suspect this machine's clock, as one of the two must be wrong."""
        self.clock.edge_not_valid(edge)

    def hello(self, link: Link) -> control.Hello:
        """Introduce the agent as it is now."""
        rules = self._offering.rules
        return control.Hello(
            version=control.CONTROL_VERSION,
            software=SOFTWARE,
            agent_id=self.identity.agent_id,
            session=self._session,
            slot=link.slot,
            labels=dict(self._settings.labels),
            routes=self._offering.introduce(link),
            requires=[*self._settings.require, *rules.requires],
            policy=rules.policy,
            time=self._wall.now(),
        )

    def stream_opened(self, stream: Stream, route_id: int) -> None:
        """Connect a stream to its origin."""
        self.routes.stream_opened(stream, route_id)

    def control_received(self, link: Link, message: control.ControlMessage) -> None:
        """Act on what the edge of a tunnel says."""
        if isinstance(message, control.Accepted):
            self._offering.accepted()
            self._accepted(message)
        elif isinstance(message, control.Refused):
            if message.code != "revoked":  # else the edge hangs up now, and says the same at the next dial
                self._routes_refused(message)
        elif isinstance(message, control.Renewed) and self._renewal.is_asked:
            self._renewal.renewed(message).addCallbacks(self._renewed, self._failed)
        elif isinstance(message, control.RenewRefused) and self._renewal.is_asked:
            self._renewal.refused(link.edge_name, message.reason)
        else:
            self._log.warn("edge {edge} sent {message}", edge=link.edge_name, message=type(message).__name__)

    def link_up(self, link: Link, accepted: control.Accepted) -> None:
        """Take what the edge said, and tell it what has changed since the hello."""
        self._observe(TunnelUp(tunnel=link.index, edge=accepted.edge, address=str(link.edge)))
        self._accepted(accepted)
        self._offering.link_up(link)
        self._reporting.link_up(link, self.routes.offered)

    def link_down(self, link: Link, reason: str, retry_seconds: float | None) -> None:
        """Tell observers that a tunnel is gone."""
        if not self.links.up_count:
            self.clock.edge_time.forget()
        self._observe(TunnelDown(tunnel=link.index, address=str(link.edge), reason=reason, retry_seconds=retry_seconds))

    def link_refused(self, link: Link, refused: control.Refused) -> None:
        """Give up: the fleet has cut this agent off."""
        reason = one_line(refused.reason, control.MAX_REASON_CHARACTERS)
        self._log.error("edge {edge} refuses this agent: {reason}", edge=str(link.edge), reason=reason)
        self._give_up(AgentRefused(f"{reason} ({refused.code})"))

    def link_ended(self) -> None:
        """Note the end of the agent when it stops and nothing of its tunnels is left."""
        if self.is_stopping and not self._is_closing and self.links.has_finished:
            self._is_closing = True
            if self._deadline is not None and self._deadline.active():
                self._deadline.cancel()
            self.routes.stop()
            self._reporting.stop()
            self._credentials.close().addCallback(self._ended)

    def _ended(self, _: None) -> None:
        self._has_ended = True
        self._observe(Stopped())
        stopped, self._stopped = self._stopped, []
        for deferred in stopped:
            deferred.callback(None)

    def _routes_refused(self, message: control.Refused) -> None:
        """The edge does not take new routes: those that it took before are offered again."""
        before = self._offering.refused(message.reason, self.links)
        if before is not None:
            self._settings = replace(self._settings, ingress=before.ingress)
            self.refuse_reload(f"the edge does not take the new routes: {message.reason}")

    def _accepted(self, message: control.Accepted) -> None:
        self.clock.edge_accepted(message.time)
        if message.edges:
            self._credentials.remember_edges(self._edges.told(message.edges)).addErrback(self._not_remembered)
        self._hostnames = dict(message.hostnames)
        offered = {route.offer.id for route in self.routes.offered}
        urls, plain = (
            {key: url for key, url in found.items() if key in offered} for found in (message.urls, message.plain_urls)
        )
        if (urls, plain) != (self.urls, self.plain_urls):
            self.urls, self.plain_urls = urls, plain
            at, zone, servers = self.routes.services_at, message.zone, message.name_servers
            self._observe(Published(urls=at(urls), plain_urls=at(plain), zone=zone, name_servers=servers))
        self._sharing.accepted(message)
        self._protection.accepted(message, self._offering.rules.ingress, self.routes.offers)

    def _not_remembered(self, failure: Failure) -> None:
        failure.trap(StateBroken)
        self._log.warn("{error}", error=failure.getErrorMessage())

    def _returned(self) -> None:
        self._observe(CertificateRenewed(valid_until=self.identity.valid_until))

    def _renewed(self, is_used: bool) -> None:
        if is_used:
            self._observe(CertificateRenewed(valid_until=self.identity.valid_until))

    def _clock_stepped(self) -> None:
        """The clock was set: what could not be verified may be good now."""
        self.links.hasten()
        self._renewal.look()

    def _failed(self, failure: Failure) -> None:
        self._log.failure("using a renewed certificate failed", failure)

    def _health_changed(self, route: Route) -> None:
        self._reporting.changed(route)
        self._observe(OriginChanged(origin=route.origin.text, healthy=route.is_healthy, detail=route.detail))

    def _give_up(self, refusal: AgentRefused) -> None:
        if self.is_stopping:
            return
        self._observe(Refused(reason=str(refusal)))
        self._refusal = refusal
        self.stop_now()
        refused, self._refused = self._refused, []
        for deferred in refused:
            deferred.errback(self._refusal)
