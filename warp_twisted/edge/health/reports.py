"""
What agents' probes say of their origins, taken in a few at a time and put in force.

A report costs an agent little and the edge more: tunnels are grouped anew, a line is logged, DNS may change. So what
arrives is only noted, the newest of each route and tunnel, and some are put in force in a turn of the reactor. One that
comes within a second of the last for the same route and tunnel waits until that is over; any other holds at once.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_twisted.wire.control import OriginHealth, RouteOffer

REST_SECONDS = 1.0
IN_A_TURN = 16  # reports: some 0.5 ms


class ReportingTunnel(Protocol):
    """A tunnel whose agent reports; `edge.agents.registrations.EdgeTunnel` is one."""

    def note_health(self, message: OriginHealth) -> RouteOffer | None:
        """Note what the agent says of an origin, and return its route; None if nothing has changed."""


Reporting = TypeVar("Reporting", bound=ReportingTunnel)


class Reports(Generic[Reporting]):
    """
    Reports that wait, and when the next of each kind is due.

    :param in_force: called with a tunnel, the route that it reported of, and the report, when that holds from now on.
    :param turn_over: called when all that is put in force in one turn is.
    """

    def __init__(
        self,
        clock: IReactorTime,
        in_force: Callable[[Reporting, RouteOffer, OriginHealth], object],
        turn_over: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._in_force = in_force
        self._turn_over = turn_over
        self._said: dict[tuple[Reporting, int], OriginHealth] = {}
        self._due: OrderedDict[tuple[Reporting, int], None] = OrderedDict()
        self._resting: OrderedDict[tuple[Reporting, int], float] = OrderedDict()  # until when; the first ends first
        self._call: IDelayedCall | None = None
        self._call_at = 0.0

    def said(self, tunnel: Reporting, message: OriginHealth) -> None:
        """Take a report."""
        key = tunnel, message.route_id
        self._said[key] = message
        if key not in self._resting:
            self._due[key] = None
            self._wake(0)

    def stop(self) -> None:
        """Put nothing in force any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _wake(self, seconds: float) -> None:
        at = self._clock.seconds() + seconds
        if self._call is not None:
            if self._call_at <= at:
                return
            self._call.cancel()
        self._call_at = at
        self._call = self._clock.callLater(seconds, self._work)

    def _work(self) -> None:
        self._call = None
        now = self._clock.seconds()
        for key, until in list(islice(self._resting.items(), IN_A_TURN)):
            if until > now:
                break
            del self._resting[key]
            if key in self._said:
                self._due[key] = None
        for key in list(islice(self._due, IN_A_TURN)):
            del self._due[key]
            message = self._said.pop(key)
            route = key[0].note_health(message)
            if route is not None:
                self._resting[key] = now + REST_SECONDS
                self._in_force(key[0], route, message)
        self._turn_over()
        if self._due:
            self._wake(0)
        elif self._resting:
            self._wake(max(0.0, next(iter(self._resting.values())) - now))
