"""
Ending a tunnel without losing a request: ours when the agent stops, and those that a link has left for another edge.

The edge is told first, and only a moment later new streams are refused, because it may have opened some that are
still on their way. A tunnel whose edge is draining serves on until the edge closes it: visitors may still be there.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from warp_twisted.tunnel import TunnelProtocol
from warp_twisted.wire.control import Drain

NOTICE_SECONDS = 0.2  # and two round trips, between telling the edge that we leave and refusing new streams
LEAVE_SECONDS = 60.0  # for the last streams of a tunnel that was left
MAX_LEFT_SECONDS = 7 * 86_400.0  # for which an edge may ask at most that a tunnel be kept while it drains


def finish_tunnel(clock: IReactorTime, tunnel: TunnelProtocol, reason: str, deadline_seconds: float) -> IDelayedCall:
    """
    Let a tunnel finish what is on it and then close; at the deadline it closes in any case.

    :returns: the call that will refuse new streams; cancel it if the tunnel is lost before.
    """
    tunnel.send_control(Drain(reason=reason, deadline_seconds=deadline_seconds))
    notice = min(NOTICE_SECONDS + 2 * (tunnel.round_trip_seconds or 0.0), deadline_seconds)
    return clock.callLater(notice, tunnel.drain, reason, deadline_seconds - notice)


class LeftTunnels:
    """
    The tunnels that one link has left and that serve on.

    :param lost: called when one of them has ended.
    """

    def __init__(self, clock: IReactorTime, lost: Callable[[], None]) -> None:
        self._clock = clock
        self._lost = lost
        self._moved: set[TunnelProtocol] = set()
        self._calls: dict[TunnelProtocol, IDelayedCall | None] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._calls)

    def add(self, tunnel: TunnelProtocol) -> None:
        """Leave a tunnel of our own will: it serves until `finish_moved`."""
        self._calls[tunnel] = None
        self._moved.add(tunnel)

    def add_drained(self, tunnel: TunnelProtocol, deadline_seconds: float) -> None:
        """
        Leave a tunnel whose edge drains: it serves until the edge closes it.

        :param deadline_seconds: when that will be, as the edge says.
        """
        seconds = max(LEAVE_SECONDS, min(deadline_seconds, MAX_LEFT_SECONDS))  # for an edge that never closes it
        self._calls[tunnel] = self._clock.callLater(seconds, tunnel.drain, "the edge drained")

    def finish_moved(self) -> None:
        """There is a tunnel instead of those that we left of our own will: finish them."""
        for tunnel in list(self._moved):
            self._finish(tunnel, "moved to another edge", LEAVE_SECONDS)

    def finish_all(self, reason: str, deadline_seconds: float) -> None:
        """Finish every one by the deadline."""
        for tunnel in list(self._calls):
            self._finish(tunnel, reason, deadline_seconds)

    def close_all(self, reason: str) -> None:
        """Close every one now."""
        for tunnel in list(self._calls):
            tunnel.close(reason=reason)

    def lost(self, tunnel: TunnelProtocol) -> None:
        """Note that a tunnel has ended, if it is one of these."""
        if tunnel in self._calls:
            self._cancel(tunnel)
            del self._calls[tunnel]
            self._moved.discard(tunnel)
            self._lost()

    def _finish(self, tunnel: TunnelProtocol, reason: str, deadline_seconds: float) -> None:
        self._cancel(tunnel)
        self._moved.discard(tunnel)
        self._calls[tunnel] = finish_tunnel(self._clock, tunnel, reason, deadline_seconds)

    def _cancel(self, tunnel: TunnelProtocol) -> None:
        call = self._calls[tunnel]
        if call is not None and call.active():
            call.cancel()
