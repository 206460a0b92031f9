"""
Work of peers that waits for its turn: what one peer causes costs the others little, however much it is.

A connection that has more to do than one small piece is queued. The queue is served piece by piece, always the network
that has had the least time (start-time fair queueing, Goyal, Vin and Cheng 1996). So a thousand connections of one
network wait behind one another, and large pieces behind the small ones of others. A network is remembered for a while
when nobody of it waits any more: new connections for each piece gain nothing.

One turn of the reactor serves at most `SLICE_SECONDS` or `SLICE_PIECES`; then the queue rests for as long as it takes
to keep its share of the reactor's time to what it was given, and everything else that is ready is served.
"""

from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import perf_counter
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

SLICE_SECONDS = 0.001
SLICE_PIECES = 16  # some pieces cause work that follows later, such as a read, so time alone is no measure
SHARE = 0.25
_PIECE_SECONDS = 0.00005  # which a piece is taken to cost at least
REMEMBERED_NETWORKS = 1_000  # of which nobody waits


class Waiting(Protocol):
    """Who waits for a turn; a queue knows it once at most."""

    address: str
    network: str

    def take_turn(self) -> bool:
        """Do one small piece of work; return whether more is left, to wait again."""

    def abort(self) -> None:
        """Give up: the turn failed."""


class FairQueue:
    """
    The queue of all peers of one kind.

    :param clock: the reactor.
    :param seconds: a clock of real time, for the slices.
    :param share: how much of the reactor's time it may have, more than 0 and up to 1.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, seconds: Callable[[], float] = perf_counter, *, share: float = SHARE
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._rest = 1 / share - 1  # seconds for each second of work
        self._waiting: dict[str, OrderedDict[Waiting, None]] = {}  # by network; the next to be served first
        # One entry for each network that waits: the time it has had, the order of asking, and its name.
        self._order: list[tuple[float, int, str]] = []
        self._numbers = count()
        self._present = 0.0  # the time that the network served last has had
        self._had: OrderedDict[str, float] = OrderedDict()  # the time that networks had of which nobody waits
        self._count = 0
        self._call: IDelayedCall | None = None
        self._rests_until = 0.0

    def __len__(self) -> int:
        return self._count

    def add(self, who: Waiting) -> None:
        """Let someone wait who is not waiting yet."""
        network = who.network
        waiting = self._waiting.get(network)
        if waiting is None:
            waiting = self._waiting[network] = OrderedDict()
            self._put(network, max(self._present, self._had.pop(network, 0.0)))
        waiting[who] = None
        self._count += 1
        if self._call is None:
            self._schedule()

    def serve(self, who: Waiting) -> None:
        """Serve someone who is not waiting yet: at once if nobody waits and the queue does not rest, else in turn."""
        now = self._clock.seconds()
        if self._call is not None or now < self._rests_until:
            self.add(who)
            return
        began = self._seconds()
        has_more = self._serve_one(who)
        self._rests_until = now + max(self._seconds() - began, _PIECE_SECONDS) * self._rest
        if has_more:
            self.add(who)

    def discard(self, who: Waiting) -> None:
        """Let someone wait no longer, if it does."""
        waiting = self._waiting.get(who.network)
        if waiting is not None and who in waiting:
            del waiting[who]
            self._count -= 1

    def charge(self, seconds: float) -> None:
        """Note time that was spent for somebody who waits, outside of the queue; the queue rests for it."""
        self._rests_until = max(self._rests_until, self._clock.seconds()) + seconds * self._rest
        if self._call is not None:
            self._call.cancel()
            self._schedule()

    def stop(self) -> None:
        """Forget everybody."""
        self._waiting.clear()
        self._order.clear()
        self._count = 0
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self) -> None:
        self._call = self._clock.callLater(max(0.0, self._rests_until - self._clock.seconds()), self._serve)

    def _serve(self) -> None:
        """Serve one slice of the queue."""
        self._call = None
        began = self._seconds()
        pieces, spent = 0, 0.0
        while self._order and pieces < SLICE_PIECES and spent < SLICE_SECONDS:
            had, _, network = heappop(self._order)
            waiting = self._waiting[network]
            before = spent
            if waiting:  # else those who waited have left
                self._present = had
                who, _ = waiting.popitem(last=False)
                self._count -= 1
                has_more = self._serve_one(who)
                if network not in self._waiting:
                    return  # the queue was stopped
                if has_more:
                    waiting[who] = None
                    self._count += 1
                pieces += 1
                had += _PIECE_SECONDS
            spent = self._seconds() - began
            had += max(0.0, spent - before - _PIECE_SECONDS)
            if waiting:
                self._put(network, had)
            else:
                self._forget(network, had)
        self._rests_until = self._clock.seconds() + max(spent, pieces * _PIECE_SECONDS) * self._rest
        if self._order and self._call is None:
            self._schedule()

    def _put(self, network: str, had: float) -> None:
        """Let a network wait that has had so much time."""
        heappush(self._order, (had, next(self._numbers), network))

    def _forget(self, network: str, had: float) -> None:
        """Nobody of a network waits any more; what it had is remembered for a while."""
        self._waiting.pop(network, None)
        self._had[network] = had
        if len(self._had) > REMEMBERED_NETWORKS:
            self._had.popitem(last=False)

    def _serve_one(self, who: Waiting) -> bool:
        try:
            return who.take_turn()
        except Exception:
            self._log.failure("a connection of {address} failed in its turn", address=who.address)
            who.abort()
            return False
