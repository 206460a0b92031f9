"""
Whether a request that got no answer is sent again, and to whom.

A request that the origin never saw may go to other agents, whatever its method. One that may have been worked on is
sent once more, to another agent if one serves it, within the hostname's budget (`routing.retry_budget`); the load of a
tunnel that is lost moves rather than grows, so that is free. Which methods may be repeated, and what is kept of the
request, is `exchange`'s; an answer of the origin is never replaced, whatever its status.
"""

from contextlib import suppress
from enum import Enum

from warp_twisted.edge.exchange.steering import Steering
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.members import AtLimit, NoTunnel
from warp_twisted.edge.routes.pool import Borrower, OriginStream
from warp_twisted.edge.routes.route import Route

MAX_SENT = 3  # times in all; an origin may have seen two of them
_NEW_STREAM = float("inf")


class Cause(Enum):
    """Why a request is to be sent again."""

    REFUSED = "the agent said that it did not reach the origin, which never saw the request"
    CUT = "the origin ended its connection, or the agent the stream, without an answer"
    TUNNEL_LOST = "the tunnel was lost, and with it all its requests"
    SUSPECTED = "the tunnel is suspected of being dead; its stream is still there"


class Repeating:
    """What is known of one request that was sent in vain."""

    __slots__ = ("_avoid", "_metrics", "_rather_not", "_route", "_sent", "_steering", "_was_repeated")

    def __init__(self, route: Route, steering: Steering | None, metrics: DataPathMetrics) -> None:
        self._route = route
        self._steering = steering
        self._metrics = metrics
        self._sent = 1
        self._was_repeated = False
        self._avoid: frozenset[object] = frozenset()  # tunnels, and agents by id
        self._rather_not: frozenset[object] = frozenset()  # agents, which are better than none

    def borrow(self, receiver: Borrower, left: OriginStream, cause: Cause) -> OriginStream | None:
        """
        Lend a new stream to send the request on again.

        :param left: the stream that it was sent on.
        :returns: None if it may not be sent again, or if there is nobody to send it to.
        :raises AtLimit: if there is, but with as many requests as it takes at once; then this may be asked again.
        """
        counters = self._route.counters
        is_free = cause is Cause.REFUSED or cause is Cause.TUNNEL_LOST
        if self._sent >= MAX_SENT or (self._was_repeated and cause is not Cause.REFUSED):
            return None
        if not is_free and not counters.retry_budget.allows(counters.sent):
            self._metrics.retries_over_budget += 1
            return None
        self._learn(left, cause)
        try:
            origin = self._lend(receiver, only_trusted=cause is Cause.SUSPECTED)
        except AtLimit:
            raise
        except NoTunnel:
            return None
        if not is_free:
            counters.retry_budget.spend()
        self._sent += 1
        self._was_repeated = self._was_repeated or cause is not Cause.REFUSED
        self._metrics.retries += 1
        return origin

    def _learn(self, left: OriginStream, cause: Cause) -> None:
        """Note where the request should not go."""
        tunnel = left.member.load.tunnel
        if cause is Cause.REFUSED:
            self._avoid |= {tunnel.agent}
        elif cause is Cause.TUNNEL_LOST:
            # An agent that was killed loses its tunnels one after the other. At another edge it may have more of them.
            if not left.member.load.is_remote:
                self._avoid |= {tunnel}
            self._rather_not |= {tunnel.agent}
        elif cause is Cause.SUSPECTED:
            self._rather_not |= {tunnel.agent}
        elif not left.was_used:
            self._avoid |= {tunnel.agent}
        else:
            # An origin may close an idle connection at any moment: a new one is worth a try before leaving the share.
            share = self._steering.share if self._steering is not None else None
            if (share or self._route).has_besides(tunnel.agent):
                self._rather_not |= {tunnel.agent}

    def _lend(self, receiver: Borrower, *, only_trusted: bool) -> OriginStream:
        source = self._steering or self._route
        if self._rather_not:
            with suppress(NoTunnel):
                avoid = self._avoid | self._rather_not
                return source.borrow(receiver, avoid, used_after=_NEW_STREAM, only_trusted=True)
        return source.borrow(receiver, self._avoid, used_after=_NEW_STREAM, only_trusted=only_trusted)
