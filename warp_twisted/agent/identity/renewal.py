"""
Renewing the agent's certificate, over any tunnel that is up.

It decides when an edge is asked and what its answer changes. Which tunnel carries the request is the sender's; the
answer comes as a control message, on any of them.
"""

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.agent.errors import StateBroken
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.control import RenewRequest

INTERVAL_SECONDS = 15.0
RETRY_SECONDS = 60.0


class Tunnels(Protocol):
    """What carries a request: the agent's tunnels."""

    @property
    def up_count(self) -> int:
        """How many are up."""

    def send_one(self, message: RenewRequest) -> bool:
        """Send to the edge of any that is up; returns whether one is."""


class Renewal:
    """
    Keeps one agent's certificate fresh.

    :param wall: says how old the certificate is.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        credentials: Credentials,
        tunnels: Tunnels,
        wall: WallClock,
    ) -> None:
        self._credentials = credentials
        self._tunnels = tunnels
        self._wall = wall
        self._loop = LoopingCall(self.look)
        self._loop.clock = self._clock = clock
        self._ask_after = 0.0
        self._requests = 0

    @property
    def is_asked(self) -> bool:
        """Whether an edge was asked and has not answered; an answer that nobody asked for is not looked at."""
        return self._requests > 0

    def start(self) -> None:
        """Begin to look every `INTERVAL_SECONDS`."""
        self._loop.start(INTERVAL_SECONDS, now=False)

    def stop(self) -> None:
        """Ask for nothing more."""
        if self._loop.running:
            self._loop.stop()

    def look(self) -> None:
        """Ask for a certificate if one is due, and no answer to an earlier request can still be expected."""
        if not self._credentials.should_renew(self._wall.now()):
            self._ask_after = 0.0  # what was asked for has come; the next time is a new one
        elif self._clock.seconds() >= self._ask_after:
            self._ask()

    def ask_now(self) -> None:
        """Ask for a certificate now, or with the next look after a tunnel is up."""
        self._ask_after = 0.0
        self._ask()

    def renewed(self, chain_pem: str) -> Deferred[bool]:
        """Use the certificate that an edge has issued; returns whether it can be used. To be called if `is_asked`."""
        self._requests -= 1
        return self._credentials.renew(chain_pem).addCallbacks(self._used, self._not_used)

    def _used(self, _: None) -> bool:
        self._log.info("the certificate was renewed")
        return True

    def _not_used(self, failure: Failure) -> bool:
        failure.trap(BadCertificate, StateBroken, InvalidSettings)
        self._log.error("the renewed certificate cannot be used: {error}", error=failure.getErrorMessage())
        return False

    def refused(self, edge: str, reason: str) -> None:
        """An edge does not renew; another is asked later. To be called if `is_asked`."""
        self._requests -= 1
        self._log.warn("edge {edge} does not renew our certificate: {reason}", edge=edge, reason=reason)

    def _ask(self) -> None:
        if self._tunnels.up_count:
            self._ask_after = self._clock.seconds() + RETRY_SECONDS
            self._requests += 1
            self._tunnels.send_one(RenewRequest(csr_pem=self._credentials.request(), time=self._wall.now()))
