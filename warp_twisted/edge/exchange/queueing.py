"""
One request in the queue of its route: how it is sent when an origin has a place for it, and how long it has waited.

The queue decides who is next (`edge.routes.queue`), the exchange what becomes of a request that has waited too long.
"""

from collections.abc import Callable
from typing import Protocol

from warp_twisted.edge.exchange.interfaces import Shared
from warp_twisted.edge.routes.members import AtLimit
from warp_twisted.edge.routes.queue import RequestQueue
from warp_twisted.edge.routes.route import Route


class Queued(Protocol):
    """The exchange, as far as its place in a queue uses it."""

    @property
    def network(self) -> str:
        """What counts as one visitor."""

    def place_due(self) -> None:
        """An origin may take the request now."""

    def turned_away(self) -> None:
        """The request must make room in the queue."""


class Queueing:
    """
    What waits.

    :ivar route: to which the request goes.
    :ivar send: sends it, or raises nothing and has it wait again.
    :ivar unsent: what has come of its body, if nothing was sent to anybody; None: it is to be sent again.
    """

    __slots__ = ("_began_at", "_exchange", "_queue", "_visitors", "_was_here", "route", "send", "unsent")

    def __init__(
        self, exchange: Queued, visitors: Shared, route: Route, send: Callable[[], None], unsent: bytes | None
    ) -> None:
        self._exchange = exchange
        self._visitors = visitors
        self.route = route
        self.send = send
        self.unsent = unsent
        self._began_at = visitors.seconds()
        self._queue: RequestQueue | None = None
        self._was_here = False

    @property
    def network(self) -> str:
        """What counts as one visitor."""
        return self._exchange.network

    @property
    def seconds(self) -> float:
        """For how long it has waited."""
        return self._visitors.seconds() - self._began_at

    def wait(self, limit: AtLimit) -> bool:
        """Wait, or wait on where it was; return False if the queue is full."""
        queue = self._queue = self.route.queue
        if queue is None or not queue.add(self, limit.members, is_first=self._was_here):
            return False
        if not self._was_here:
            self._visitors.metrics.queued += 1
        self._was_here = True
        return True

    def leave(self) -> float:
        """Wait no longer; return for how long it has waited."""
        if self._queue is not None:
            self._queue.discard(self)
        seconds = self.seconds if self._was_here else 0.0
        self._visitors.metrics.queued_seconds += seconds
        return seconds

    def place_due(self) -> None:
        """See `edge.routes.queue`."""
        self._exchange.place_due()

    def turned_away(self) -> None:
        """See `edge.routes.queue`."""
        self._exchange.turned_away()
