"""
Which identity an agent has, and how it gets another: the state directory, the join token, and patience.

An agent that is enrolled needs no token, so one that cannot be read is named and left aside. A token counts as new if
it is of another fleet, or not the one that the identity came from: so a token that was left in its place does not undo
a revocation. What may pass is tried again at growing intervals, or when the edge says.
"""

from collections.abc import Callable
from random import Random

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from warp_base.reactor import Reactor
from warp_base.wall_clock import WallClock
from warp_twisted.agent.errors import EnrollmentRefused, NoEdge, NotEnrolled
from warp_twisted.agent.events import Delayed, Enrolled, Observer
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.ca.issue import fingerprint
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.clock_steps import ClockSteps
from warp_twisted.errors import WarpError

FIRST_SECONDS = 1.0
SLOW_SECONDS = 30.0
TOLD_SECONDS = 3600.0  # at most, whatever the edge says
TOKEN_SECONDS = 5.0  # how often a service looks whether there is a join token now

ReadToken = Callable[[AgentSettings], JoinTokenText | None]


class Joining:
    """
    How one agent becomes a member of a fleet.

    :param settings: returns the settings as they are now: what is going to be offered, and where a token may be.
    :param read_token: returns the join token that is there now, None if there is none; called in a thread.
    :param is_patient: whether to wait for a token, and for another one or other settings when the fleet refuses these.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        wall: WallClock,
        settings: Callable[[], AgentSettings],
        read_token: ReadToken,
        observe: Observer,
        *,
        is_patient: bool,
        chance: Random,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._settings = settings
        self._read_token = read_token
        self._observe = observe
        self._is_patient = is_patient
        self._chance = chance
        self._sleeping: Deferred[None] | None = None
        self._logged = ""

    async def identify(self, state: StateDirectory) -> Identity:
        """
        Return who the agent is: what it has, unless there is a token of another fleet; what it gets otherwise.

        :raises WarpError: if it can neither be nor become anybody.
        """
        try:
            identity = state.load()
        except NotEnrolled as error:
            return await self.enroll(state, str(error))
        token = await self.new_token(identity, is_revoked=False)
        if token is None:
            return identity  # its certificate may have ended: the agent returns with its key
        self._log.info("the join token is of another fleet: enrolling again")
        return await self.enroll(state, "")

    async def new_token(self, identity: Identity, *, is_revoked: bool) -> JoinTokenText | None:
        """
        Look for a token that lets the machine in under another identity; one that cannot be read is logged.

        :param is_revoked: whether the fleet takes the identity no more; else only a token of another fleet counts.
        """
        try:
            token = await self._token()
        except (WarpError, OSError) as error:
            self._log.warn("the join token is left aside, as this agent is enrolled: {error}", error=str(error))
            return None
        if token is None:
            return None
        is_of_another_fleet = token.fingerprint not in _roots_of(identity)
        return token if is_of_another_fleet or (is_revoked and token.id != identity.token_id) else None

    async def enroll(self, state: StateDirectory, why: str) -> Identity:
        """
        Get an identity with the token that is there, reading it again for each attempt.

        :param why: there is none, to say so if there is no token either.
        :raises NotEnrolled: if there is no token and we are not patient.
        :raises EnrollmentRefused: if the fleet does not take it and we are not patient.
        :raises WarpError: if the token cannot be read, or the identity not be stored.
        """
        delay = FIRST_SECONDS
        while True:
            token = await self._token()
            if token is None:
                file = self._settings().token_file
                lacking = f"there is no token_file {file}" if file else "no join token was given"
                reason = f"{why}, and {lacking}; ask an operator to run: warp token create"
                if not self._is_patient:
                    raise NotEnrolled(reason)
                await self._wait(reason, TOKEN_SECONDS)
                continue
            settings = self._settings()
            hostnames = [offer.hostname for offer in settings.ingress.offers]
            try:
                identity = await enroll_agent(self._reactor, state, token, settings.labels, hostnames, wall=self._wall)
            except NoEdge as error:
                reason, told_seconds = str(error), 0.0
            except EnrollmentRefused as error:
                reason, told_seconds = str(error), min(error.retry_seconds, TOLD_SECONDS)
                if not told_seconds and not self._is_patient:
                    raise
            else:
                self._log.info("enrolled as agent {agent}", agent=identity.agent_id)
                self._observe(Enrolled(agent_id=identity.agent_id, hostnames=list(identity.hostnames)))
                return identity
            if told_seconds:
                seconds = told_seconds * self._chance.uniform(1.0, 1.5)  # not all who were told the same at once
            else:
                seconds = delay * self._chance.uniform(0.5, 1.0)
                delay = min(delay * 2, SLOW_SECONDS)
            await self._wait(reason, seconds)

    def hasten(self) -> None:
        """Try again now: what may have been wrong was changed."""
        sleeping, self._sleeping = self._sleeping, None
        if sleeping is not None:
            sleeping.callback(None)

    def _token(self) -> Deferred[JoinTokenText | None]:
        settings = self._settings()
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read_token, settings)

    async def _wait(self, reason: str, seconds: float) -> None:
        """Say why there is no identity yet, in the log once for each reason, and wait; a clock that is set ends it."""
        if reason != self._logged:
            self._logged = reason
            self._log.warn("{error}; again in {seconds:.1f} s", error=reason, seconds=seconds)
        self._observe(Delayed(reason=reason, retry_seconds=seconds))
        waking = self._reactor.callLater(seconds, self.hasten)
        steps = ClockSteps(self._reactor, self._wall, lambda step: self.hasten())
        steps.start()
        self._sleeping = Deferred()
        try:
            await self._sleeping
        finally:
            self._sleeping = None
            steps.stop()
            if waking.active():
                waking.cancel()


def _roots_of(identity: Identity) -> list[bytes]:
    return [fingerprint(root) for root in x509.load_pem_x509_certificates(identity.root_pem.encode())]
