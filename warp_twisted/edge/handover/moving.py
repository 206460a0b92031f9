"""
Telling agents to open their tunnels to another process of this edge, some at a time.

Each agent dials the same address again and keeps the tunnel that it has until this edge closes it (spec.md §6, Drain),
so that requests find a tunnel at both processes. They are told slowly: each costs the other process a handshake, and
visitors should not notice that; and no more are told while many of those before wait to be let in, which the queue of
the socket shows that both processes have. It decides nothing about who may register, here or there.
"""

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from warp_twisted.edge.agents.registrations import Registrations
from warp_twisted.wire.control import Drain

HANDED_OVER = "another process of this edge takes over; dial it again"
MOVED_AT_ONCE, MOVE_SECONDS = 10, 0.025  # 400 a second, and some 2 ms of the other process for each
MAX_WAITING = 2 * MOVED_AT_ONCE  # connections that the other process has not taken yet


class Moving:
    """
    Moves the tunnels of one edge.

    :param registrations: those that there are.
    :param waiting: returns how many connections wait to be taken by the other process.
    """

    def __init__(self, clock: IReactorTime, registrations: Registrations, waiting: Callable[[], int]) -> None:
        self._clock = clock
        self._registrations = registrations
        self._waiting = waiting
        self._moving: Deferred[None] | None = None

    def start(self, deadline_seconds: float) -> None:
        """
        Begin to tell every agent that was not told yet.

        :param deadline_seconds: for which agents are asked to keep the tunnels that they have, at most.
        """
        if self._moving is None:
            self._moving = Deferred.fromCoroutine(self._move(deadline_seconds))
            self._moving.addErrback(lambda failure: failure.trap(CancelledError)).addCallback(self._moved)

    def stop(self) -> None:
        """Tell no more of them."""
        if self._moving is not None:
            self._moving.cancel()

    async def _move(self, deadline_seconds: float) -> None:
        drain = Drain(reason=HANDED_OVER, deadline_seconds=deadline_seconds, successor=True)
        tunnels = [tunnel for tunnel in self._registrations.by_id.values() if not tunnel.is_left]
        for at in range(0, len(tunnels), MOVED_AT_ONCE):
            for tunnel in tunnels[at : at + MOVED_AT_ONCE]:
                if tunnel.id in self._registrations.by_id:
                    tunnel.is_left = True
                    tunnel.protocol.send_control(drain)
            await deferLater(self._clock, MOVE_SECONDS)
            while self._waiting() > MAX_WAITING:
                await deferLater(self._clock, MOVE_SECONDS)

    def _moved(self, _: object) -> None:
        self._moving = None
