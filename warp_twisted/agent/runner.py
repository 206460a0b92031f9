"""
From settings to a running agent, as the programs `twistd warp-agent` and `warp up` run it.

It decides the order: state directory, identity (enrolling with the join token if there is none), agent, metrics; and
what a reload or a change of the settings file does. Options, environment and files are read by its callers, who hand
in functions.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import random

from cryptography import x509
from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_base.reactor import Reactor
from warp_base.slices import Slices
from warp_base.wall_clock import WallClock
from warp_twisted.agent.errors import NoEdge, NotEnrolled
from warp_twisted.agent.events import Delayed, Dialing, Enrolled, Event, Observer
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.agent.known_edges import edges_of
from warp_twisted.agent.links.edges import LookupService
from warp_twisted.agent.metrics import observation_site
from warp_twisted.agent.origins.routes import PreparedIngress
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.ca.issue import fingerprint
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.listen_text import server_endpoint

FIRST_ENROLL_DELAY_SECONDS = 1.0
MAX_ENROLL_DELAY_SECONDS = 30.0
TOKEN_SECONDS = 5.0  # how often a service looks whether there is a join token now


class AgentRunner(Service):
    """
    One agent as a program: started, reloaded, drained.

    :param settings: to begin with.
    :param read_token: returns the join token, None if there is none; called only when the agent must enroll.
    :param read_settings: reads the settings again, for a reload, in a thread; None if they cannot change.
    :param observe: hears of every event.
    :param lookup_service: asks DNS for SRV records.
    :param is_patient: whether to try again for ever when no edge answers the enrollment, and to wait for a join token.
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
        read_token: Callable[[], JoinTokenText | None],
        read_settings: Callable[[], AgentSettings] | None = None,
        observe: Observer | None = None,
        lookup_service: LookupService | None = None,
        is_patient: bool = False,
        metrics: Sequence[Collector] = (),
        wall: WallClock = MACHINE_WALL_CLOCK,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._read_token = read_token
        self._read_settings = read_settings
        self._observe = observe or _ignore
        self._lookup_service = lookup_service
        self._is_patient = is_patient
        self._process_metrics = metrics
        self._wall = wall
        self._reloads = DeferredLock()
        self._starting: Deferred[None] | None = None
        self._delayed = ""
        self._metrics: IListeningPort | None = None
        self.agent: AgentService | None = None
        self.ended: Deferred[None] = Deferred()

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
        if read_settings is None or agent is None:
            return False

        def read() -> tuple[AgentSettings, PreparedIngress]:
            settings = read_settings()
            return settings, agent.routes.prepare(settings.ingress)

        try:
            settings, prepared = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), read)
            if agent.is_stopping:
                return False
            waits = agent.reload(settings, prepared)
        except WarpError as error:
            agent.refuse_reload(str(error))
            return False
        if waits:
            self._log.warn("changed, but not before a restart: {keys}", keys=", ".join(waits))
        return True

    async def _start(self) -> None:
        state = StateDirectory(Path(self._settings.state))
        try:
            identity = await self._wait_for_identity(state)
            edges = edges_of(self._settings, identity)
            edges.lookup_service = self._lookup_service
            agent = AgentService(
                self._reactor, self._settings, state, identity, observe=self._observe, edges=edges, wall=self._wall
            )
            if self._settings.metrics is not None:
                endpoint = server_endpoint(self._reactor, self._settings.metrics, "metrics")
                try:
                    self._metrics = await endpoint.listen(
                        observation_site(agent, Slices(self._reactor), self._process_metrics)
                    )
                    self._log.info("metrics is open: {text}", text=self._settings.metrics)
                except CannotListenError as error:
                    raise InvalidSettings(f"metrics: {self._settings.metrics}: {error.socketError}") from error
        except BaseException:
            state.close()
            raise
        self.agent = agent
        agent.when_refused().addErrback(self._failed)
        self._observe(Dialing(agent_id=identity.agent_id))
        agent.startService()

    async def _wait_for_identity(self, state: StateDirectory) -> Identity:
        """As `_identify`; a service waits for a join token, which somebody will bring."""
        while True:
            try:
                return await self._identify(state)
            except NotEnrolled as error:
                if not self._is_patient:
                    raise
                await self._wait(error, TOKEN_SECONDS)

    async def _identify(self, state: StateDirectory) -> Identity:
        """Return who the agent is; enroll if it has no identity, or a token of another fleet."""
        try:
            identity = state.load()
        except NotEnrolled as error:
            token = self._read_token()
            if token is None:
                raise NotEnrolled(
                    f"{error}, and no join token was given; ask an operator to run: warp token create"
                ) from error
            return await self._enroll(state, token)
        token = self._read_token()
        if token is None or token.fingerprint in _roots_of(identity):
            return identity  # its certificate may have ended: the agent returns with its key
        self._log.info("the join token is of another fleet: enrolling again")
        return await self._enroll(state, token)

    async def _enroll(self, state: StateDirectory, token: JoinTokenText) -> Identity:
        delay = FIRST_ENROLL_DELAY_SECONDS
        settings = self._settings
        hostnames = [offer.hostname for offer in settings.ingress.offers]
        while True:
            try:
                identity = await enroll_agent(self._reactor, state, token, settings.labels, hostnames, wall=self._wall)
            except NoEdge as error:
                if not self._is_patient:
                    raise
                await self._wait(error, delay * (0.5 + random() / 2))  # noqa: S311 -- jitter
                delay = min(delay * 2, MAX_ENROLL_DELAY_SECONDS)
            else:
                self._log.info("enrolled as agent {agent}", agent=identity.agent_id)
                self._observe(Enrolled(agent_id=identity.agent_id, hostnames=list(identity.hostnames)))
                return identity

    async def _wait(self, error: WarpError, seconds: float) -> None:
        """Say why there is no identity yet, once for each reason, and wait."""
        delayed = Delayed(reason=str(error), retry_seconds=seconds)
        if delayed.reason != self._delayed:
            self._delayed = delayed.reason
            self._log.warn("{error}; again in {seconds:.0f} s", error=delayed.reason, seconds=seconds)
        self._observe(delayed)
        await deferLater(self._reactor, seconds)

    async def _stop(self) -> None:
        if self.agent is not None:
            await self.agent.stopService()
        if self._metrics is not None:
            metrics, self._metrics = self._metrics, None
            await maybeDeferred(metrics.stopListening)
        if not self.ended.called:
            self.ended.callback(None)

    def _failed(self, failure: Failure) -> None:
        if not self.ended.called and not failure.check(CancelledError):
            self.ended.errback(failure)


def _roots_of(identity: Identity) -> Collection[bytes]:
    return [fingerprint(root) for root in x509.load_pem_x509_certificates(identity.root_pem.encode())]


def _ignore(event: Event) -> None:
    """Default observer: does nothing."""
