"""
Who asks to be let in over `warp-enroll/1`: what it pays, and who judges it.

A new agent is nobody yet, so its network pays: one unit for each request with a join token, whatever becomes of it, and
nothing for the connection that only asks for the root. An agent that returns pays for itself once it has proven who it
is, because two hundred behind one address come back in the same second after an outage (`edge.agents.returning`).
"""

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from warp_base.token_buckets import TokenBuckets
from warp_twisted.edge.agents.enrollment import Enrollment
from warp_twisted.edge.agents.returning import Returning
from warp_twisted.edge.routes.limits import network_of, plain_address
from warp_twisted.edge.settings import EdgeSettings
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.wire.control import Enrolled, EnrollRefused, EnrollRequest, ReturnRequest

TOLD_EVERY_SECONDS = 60.0  # one line of log for each network that asks too often, at most


class Entrance:
    """
    The door for agents without a certificate.

    :param clock: for rates.
    :param settings: returns the settings as they are now.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        settings: Callable[[], EdgeSettings],
        enrollment: Enrollment,
        returning: Returning,
    ) -> None:
        self._settings = settings
        self._enrollment = enrollment
        self._returning = returning
        self._clock = clock
        limits = settings().limits
        self._rate = TokenBuckets(limits.enrollments_per_second, limits.enrollment_burst)
        self._told = TokenBuckets(1 / TOLD_EVERY_SECONDS, 1.0)

    def ask(self, request: EnrollRequest | ReturnRequest, asker: Asker) -> Awaitable[Enrolled | EnrollRefused]:
        """Let somebody in, or say why not and when to ask again."""
        if isinstance(request, ReturnRequest):
            return self._returning.let_in(request, asker)
        return self._enroll(request, network_of(plain_address(asker.address)))

    async def _enroll(self, request: EnrollRequest, network: str) -> Enrolled | EnrollRefused:
        limits = self._settings().limits
        self._rate.per_second, self._rate.burst = limits.enrollments_per_second, limits.enrollment_burst
        now = self._clock.seconds()
        wait = self._rate.take(network, now)
        if not wait:
            return await self._enrollment.enroll(request)
        self._enrollment.count_refusal("too_many")
        if not self._told.take(network, now):
            self._log.warn(
                "more enrollments from {network} than limits.enrollments_per_second allows; each is told when to retry",
                network=network,
            )
        reason = f"too many enrollments from {network}; the next is possible {wait:.1f} s from now"
        return EnrollRefused(code="too_many", reason=reason, retry_seconds=wait)
