"""
From settings to a running agent, as the programs `twistd warp-agent` and `warp up` run it.

It decides the order: state directory, what can be refused without an edge (rules, the listener of metrics), identity
(`agent.identity.joining`), agent; what a reload or a change of the settings file does; and when an agent that the fleet
does not take any more begins anew with another identity. Options, environment and files are read by its callers, who
hand in functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_twisted.agent.check import prepare_rules
from warp_twisted.agent.errors import AgentRefused
from warp_twisted.agent.events import Dialing, Event, Observer, Reloaded, ReloadRefused, Stopped, TunnelDown
from warp_twisted.agent.identity.joining import Joining, ReadToken
from warp_twisted.agent.identity.state import StateDirectory
from warp_twisted.agent.known_edges import edges_of
from warp_twisted.agent.links.edges import LookupService
from warp_twisted.agent.metrics import observation_site
from warp_twisted.agent.origins.prepared import PreparedIngress
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.listen_text import server_endpoint


class AgentRunner(Service):
    """
    One agent as a program: started, reloaded, drained.

    :param settings: to begin with.
    :param read_token: returns the join token that is there now, None if there is none; called in a thread.
    :param read_settings: reads the settings again, for a reload, in a thread; None if they cannot change.
    :param observe: hears of every event.
    :param lookup_service: asks DNS for SRV records.
    :param is_patient: whether to wait for a token, and for another one or other settings when the fleet refuses these.
    :param metrics: of the process, shown beside the agent's own.
    :ivar ended: fires when the agent has stopped as asked, fails when it cannot work.
    """

    name = "warp-agent"
    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: AgentSettings,
        *,
        read_token: ReadToken,
        read_settings: Callable[[], AgentSettings] | None = None,
        observe: Observer | None = None,
        lookup_service: LookupService | None = None,
        is_patient: bool = False,
        metrics: Sequence[Collector] = (),
        wall: WallClock = MACHINE_WALL_CLOCK,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._read_settings = read_settings
        self._observe = observe or _ignore
        self._lookup_service = lookup_service
        self._process_metrics = metrics
        self._wall = wall
        self._joining = Joining(
            reactor, wall, lambda: self._settings, read_token, self._observe,
            is_patient=is_patient, chance=Random(),  # noqa: S311 -- jitter
        )  # fmt: skip
        self._is_looking = False
        self._reloads = DeferredLock()
        self._starting: Deferred[None] | None = None
        self._metrics: IListeningPort | None = None
        self.agent: AgentService | None = None
        self.ended: Deferred[None] = Deferred()

    @property
    def settings(self) -> AgentSettings:
        """The settings that are in force."""
        return self._settings

    def startService(self) -> None:
        """Begin; what goes wrong is told by `ended`."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._failed)

    def stopService(self) -> Deferred[None]:
        """Drain the agent and stop; `ended` fires as well."""
        if self.running:
            super().stopService()
            if self._starting is not None:
                self._starting.cancel()
        return Deferred.fromCoroutine(self._stop())

    def stop_now(self) -> None:
        """Stop without finishing what is under way."""
        if self.agent is not None:
            self.agent.stop_now()

    def reload(self) -> Deferred[bool]:
        """
        Read the settings again and take what can be taken without dropping a tunnel.

        They are read in a thread: a thousand rules take the better part of a second. One reload follows the other.

        :returns: whether they were good; if not, the old ones stay, and log and observer say why.
        """
        reloading: Deferred[bool] = self._reloads.run(lambda: Deferred.fromCoroutine(self._reload()))
        return reloading

    async def _reload(self) -> bool:
        read_settings, agent = self._read_settings, self.agent
        if read_settings is None or not self.running:
            return False

        def read() -> tuple[AgentSettings, PreparedIngress]:
            settings = read_settings()
            if agent is not None:
                return settings, agent.routes.prepare(settings.ingress)
            return settings, prepare_rules(self._reactor, settings, is_start=True)

        try:
            settings, prepared = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), read)
            agent = self.agent
            if agent is None:
                waits = self._reload_before_start(settings)
            elif agent.is_stopping:
                return False
            else:
                waits = agent.reload(settings, prepared)
                self._settings = agent.settings
        except WarpError as error:
            if agent is not None:
                agent.refuse_reload(str(error))
            else:
                self._log.warn("the new settings are refused, the old ones stay: {reason}", reason=str(error))
                self._observe(ReloadRefused(reason=str(error)))
            return False
        if waits:
            self._log.warn("changed, but not before a restart: {keys}", keys=", ".join(waits))
        return True

    def _reload_before_start(self, settings: AgentSettings) -> Sequence[str]:
        """
        Take new settings while there is no identity yet, and try to get one with them now.

        :returns: the keys whose change waits for a restart, as what they name is in use already.
        """
        before = self._settings
        self._settings = replace(settings, state=before.state, metrics=before.metrics)
        self._observe(Reloaded(routes=len(settings.ingress.offers), needs_restart=[]))
        self._joining.hasten()
        return [key for key in ("state", "metrics") if getattr(settings, key) != getattr(before, key)]

    async def _start(self, why_anew: str = "") -> None:
        """
        Get an identity, and begin to serve.

        :param why_anew: why the identity that there is does not do, if it does not.
        """
        state = StateDirectory(Path(self._settings.state))
        try:
            prepare_rules(self._reactor, self._settings, is_start=True)
            await self._listen()
            identity = await (self._joining.enroll(state, why_anew) if why_anew else self._joining.identify(state))
            edges = edges_of(self._settings, identity)
            edges.lookup_service = self._lookup_service
            agent = AgentService(
                self._reactor,
                self._settings,
                state,
                identity,
                observe=self._agent_told,
                not_admitted=lambda: self._look_for_token(is_revoked=True),
                edges=edges,
                wall=self._wall,
            )
        except BaseException:
            state.close()
            raise
        self.agent = agent
        agent.when_refused().addErrback(self._refused, agent)
        self._observe(Dialing(agent_id=identity.agent_id))
        agent.startService()

    async def _listen(self) -> None:
        """Open the listener of metrics, unless it is open."""
        if self._settings.metrics is None or self._metrics is not None:
            return
        endpoint = server_endpoint(self._reactor, self._settings.metrics, "metrics")
        site = observation_site(lambda: self.agent, Slices(self._reactor), self._process_metrics)
        try:
            self._metrics = await endpoint.listen(site)
        except CannotListenError as error:
            raise InvalidSettings(f"metrics: {self._settings.metrics}: {error.socketError}") from error
        self._log.info("metrics is open: {text}", text=self._settings.metrics)

    # Another identity.

    def _agent_told(self, event: Event) -> None:
        """Pass an agent's events on; its end is not ours."""
        if isinstance(event, TunnelDown) and self.agent is not None and not self.agent.tunnels_up:
            self._look_for_token(is_revoked=False)
        if not isinstance(event, Stopped):
            self._observe(event)

    def _look_for_token(self, *, is_revoked: bool) -> None:
        """See whether somebody gave us a token that lets us in where our identity does not."""
        agent = self.agent
        if agent is None or agent.is_stopping or self._is_looking:
            return
        self._is_looking = True
        Deferred.fromCoroutine(self._begin_anew(agent, is_revoked)).addErrback(self._failed)

    def _refused(self, failure: Failure, agent: AgentService) -> None:
        """The agent was revoked: that is the end, unless there is a new token."""
        failure.trap(AgentRefused)
        Deferred.fromCoroutine(self._revoked(agent, failure.getErrorMessage())).addErrback(self._failed)

    async def _revoked(self, agent: AgentService, reason: str) -> None:
        if not await self._begin_anew(agent, is_revoked=True):
            self._observe(Stopped())
            raise AgentRefused(reason)

    async def _begin_anew(self, agent: AgentService, is_revoked: bool) -> bool:
        """Look for a token, and if there is one that lets us in, become another agent; says whether."""
        try:
            token = await self._joining.new_token(agent.identity, is_revoked=is_revoked)
        finally:
            self._is_looking = False
        if agent is not self.agent or not self.running:
            return True  # somebody was faster, or it does not matter any more
        if token is None:
            return False
        self._log.info("enrolling again, with the join token that is there now")
        agent.stop_now()
        await agent.when_stopped()
        if agent is self.agent and self.running:
            self.agent = None
            self._starting = Deferred.fromCoroutine(self._start("the fleet does not take this agent any more"))
            self._starting.addErrback(self._failed)
        return True

    async def _stop(self) -> None:
        if self.agent is not None:
            await self.agent.stopService()
        if self._metrics is not None:
            metrics, self._metrics = self._metrics, None
            await maybeDeferred(metrics.stopListening)
        if not self.ended.called:
            self._observe(Stopped())
            self.ended.callback(None)

    def _failed(self, failure: Failure) -> None:
        if not self.ended.called and not failure.check(CancelledError):
            self.ended.errback(failure)


def _ignore(event: Event) -> None:
    """Default observer: does nothing."""
