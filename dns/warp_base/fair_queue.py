"""
Work of peers that waits for its turn: what one peer causes costs the others little, however much it is.

A connection that has more to do than one small piece is queued. The queue is served piece by piece in rounds over the
networks of peers, so that a thousand connections of one network wait behind one another. One turn of the reactor
serves at most `SLICE_SECONDS` or `SLICE_PIECES`; then the queue rests for as long as it takes to keep its share of the
reactor's time to what it was given, and everything else that is ready is served.
"""

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

SLICE_SECONDS = 0.001
SLICE_PIECES = 16  # some pieces cause work that follows later, such as a read, so time alone is no measure
SHARE = 0.25
_PIECE_SECONDS = 0.00005  # which a piece is taken to cost at least


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
        self._networks: dict[str, deque[Waiting]] = {}  # the next to be served first
        self._count = 0
        self._call: IDelayedCall | None = None
        self._rests_until = 0.0

    def __len__(self) -> int:
        return self._count

    def add(self, who: Waiting) -> None:
        """Let someone wait who is not waiting yet."""
        self._append(who)
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

    def charge(self, seconds: float) -> None:
        """Note time that was spent for somebody who waits, outside of the queue; the queue rests for it."""
        self._rests_until = max(self._rests_until, self._clock.seconds()) + seconds * self._rest
        if self._call is not None:
            self._call.cancel()
            self._schedule()

    def stop(self) -> None:
        """Forget everybody."""
        self._networks.clear()
        self._count = 0
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self) -> None:
        self._call = self._clock.callLater(max(0.0, self._rests_until - self._clock.seconds()), self._serve)

    def _serve(self) -> None:
        """Serve one slice of the queue."""
        self._call = None
        networks = self._networks
        began = self._seconds()
        pieces, spent = 0, 0.0
        while networks and pieces < SLICE_PIECES and spent < SLICE_SECONDS:
            network, waiting = next(iter(networks.items()))
            del networks[network]
            who = waiting.popleft()
            self._count -= 1
            if waiting:
                networks[network] = waiting  # last in the next round
            if self._serve_one(who):
                self._append(who)
            pieces += 1
            spent = self._seconds() - began
        spent = max(spent, pieces * _PIECE_SECONDS)
        self._rests_until = self._clock.seconds() + spent * self._rest
        if networks and self._call is None:
            self._schedule()

    def _append(self, who: Waiting) -> None:
        self._networks.setdefault(who.network, deque()).append(who)
        self._count += 1

    def _serve_one(self, who: Waiting) -> bool:
        try:
            return who.take_turn()
        except Exception:
            self._log.failure("a connection of {address} failed in its turn", address=who.address)
            who.abort()
            return False
