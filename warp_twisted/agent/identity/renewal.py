"""
Renewing the agent's certificate, over any tunnel that is up.

It decides when an edge is asked and what its answer changes. Which tunnel carries the request is the sender's; the
answer comes as a control message, on any of them.
"""

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from warp_base.wall_clock import WallClock
from warp_twisted.agent.errors import StateBroken
from warp_twisted.agent.identity.credentials import Credentials
from warp_twisted.agent.identity.edge_time import EdgeTime
from warp_twisted.ca.errors import BadCertificate
from warp_twisted.errors import InvalidSettings
from warp_twisted.wire.control import Renewed, RenewRequest

INTERVAL_SECONDS = 15.0  # between two looks, and `RETRY_SECONDS` between two requests: less for a short life
RETRY_SECONDS = 60.0
LEAST_SECONDS = 0.25
LOOKS_IN_A_LIFE, RETRIES_IN_A_LIFE = 20, 5


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

    :param wall: this machine's clock, which edges are told.
    :param edge_time: says how old the certificate is, by the clock of those who judge it.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        credentials: Credentials,
        tunnels: Tunnels,
        wall: WallClock,
        edge_time: EdgeTime,
    ) -> None:
        self._credentials = credentials
        self._tunnels = tunnels
        self._wall = wall
        self._edge_time = edge_time
        self._clock = clock
        self._next_look: IDelayedCall | None = None
        self._ask_after = 0.0
        self._requests = 0

    @property
    def is_asked(self) -> bool:
        """Whether an edge was asked and has not answered; an answer that nobody asked for is not looked at."""
        return self._requests > 0

    def start(self) -> None:
        """Begin to look, the more often the shorter the certificate lives."""
        self._next_look = self._clock.callLater(self._wait(INTERVAL_SECONDS, LOOKS_IN_A_LIFE), self._look_again)

    def stop(self) -> None:
        """Ask for nothing more."""
        call, self._next_look = self._next_look, None
        if call is not None:
            call.cancel()

    def _look_again(self) -> None:
        self.start()
        self.look()

    def _wait(self, most: float, parts: int) -> float:
        """Return how long to wait: a part of the certificate's life, if that is less."""
        return max(LEAST_SECONDS, min(most, self._credentials.lifetime_seconds / parts))

    def look(self) -> None:
        """Ask for a certificate if one is due, and no answer to an earlier request can still be expected."""
        if not self._credentials.should_renew(self._edge_time.now()):
            self._ask_after = 0.0  # what was asked for has come; the next time is a new one
        elif self._clock.seconds() >= self._ask_after:
            self._ask()

    def ask_now(self) -> None:
        """Ask for a certificate now, or with the next look after a tunnel is up."""
        self._ask_after = 0.0
        self._ask()

    def renewed(self, message: Renewed) -> Deferred[bool]:
        """Use the certificate that an edge has issued; returns whether it can be used. To be called if `is_asked`."""
        self._requests -= 1
        self._edge_time.heard(message.time)
        return self._credentials.renew(message.chain_pem).addCallbacks(self._used, self._not_used)

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
            self._ask_after = self._clock.seconds() + self._wait(RETRY_SECONDS, RETRIES_IN_A_LIFE)
            self._requests += 1
            self._tunnels.send_one(RenewRequest(csr_pem=self._credentials.request(), time=self._wall.now()))
