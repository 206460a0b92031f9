"""
The pace of one request and its answer: which bytes pass now, and which wait because a limit of bytes says so.

Bytes of the answer that may not pass yet wait here, without credit for the origin, so that there is one window of them
at most; those of the request are left with who has them, who reads no more meanwhile. Who passes bytes on is a
`Paced`, an exchange or the splice that follows it; how much passes when is `policy.pacing`'s.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from warp_twisted.edge.exchange.schedule import Schedule, Wait
from warp_twisted.policy.pacing import Pacer

Count = Callable[[tuple[str, str], float, bool], None]


class Paced(Protocol):
    """Who passes the bytes on."""

    def request_due(self) -> None:
        """More of the request may pass; `Pacing.admit` says how much."""

    def answer_due(self) -> None:
        """More of the answer may pass; `Pacing.take` returns it."""


class Pacing:
    """
    What waits of one request and its answer.

    :ivar paced: who is told that a wait is over.
    :ivar waiting_bytes: of the answer, that wait here.
    :ivar seconds: for which request or answer have waited so far.
    """

    __slots__ = (
        "_answer",
        "_count",
        "_held",
        "_pacer",
        "_request",
        "_schedule",
        "_seconds",
        "paced",
        "seconds",
        "waiting_bytes",
    )

    def __init__(
        self, pacer: Pacer, schedule: Schedule, seconds: Callable[[], float], count: Count, paced: Paced
    ) -> None:
        """
        Begin.

        :param count: told of each wait that is over: its rule and limit, how long it was, and whether it was the first.
        """
        self._pacer = pacer
        self._schedule = schedule
        self._seconds = seconds
        self._count = count
        self.paced = paced
        self._held = bytearray()
        self.waiting_bytes = 0
        self.seconds = 0.0
        self._request = _Direction()
        self._answer = _Direction()

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits."""
        return self._request.held_back is not None or self._answer.held_back is not None

    @property
    def is_request_waiting(self) -> bool:
        """Whether nothing of the request passes now."""
        return self._request.held_back is not None

    def may_begin(self, count: int) -> bool:
        """
        Pay for what has come of a request before anything is passed on.

        :returns: whether it may go on; if not, `request_due` follows.
        """
        wait = self._pacer.pay(count, self._seconds())
        if not wait:
            return True
        self._hold_back(self._request, count, wait, self._begin_due)
        return False

    def admit(self, count: int) -> int:
        """
        Pay for bytes of the request that have come.

        :param count: 1 or more; those that were not admitted before are among them.
        :returns: how many may pass now; if not all, `request_due` follows.
        """
        if self._request.held_back is not None:
            return 0
        return self._pay(self._request, count, self._request_due)

    def give_back(self, count: int) -> None:
        """Note that bytes which were admitted did not pass yet: they are admitted again without pay."""
        self._request.paid += count

    def take(self, data: bytes) -> bytes:
        """
        Take bytes of the answer.

        :param data: what has come; empty for more of what waits.
        :returns: what may pass now; if something is left, `answer_due` follows.
        """
        held = self._held
        if self._answer.held_back is not None:
            held += data
            self.waiting_bytes = len(held)
            return b""
        passing = self._pay(self._answer, len(held) + len(data), self._answer_due)
        if passing == len(data) and not held:
            return data
        held += data
        passed = bytes(held[:passing])
        del held[:passing]
        self.waiting_bytes = len(held)
        return passed

    def close(self) -> bool:
        """
        End: nothing waits any more, and what was paid for and did not pass is given back.

        :returns: whether bytes of the answer are left.
        """
        unused = 0
        for direction in (self._request, self._answer):
            if direction.held_back is not None:
                direction.held_back.wait.cancel()
                self._waited(direction, direction.held_back)
            unused += direction.paid
            direction.paid = 0
        if unused:
            self._pacer.refund(unused)
        is_left = bool(self._held)
        self._held.clear()
        self.waiting_bytes = 0
        return is_left

    def _pay(self, direction: "_Direction", count: int, go_on: Callable[[], None]) -> int:
        """Pay for bytes piece by piece; return how many may pass now. If not all, what goes on is called later."""
        passing = min(count, direction.paid)
        direction.paid -= passing
        while passing < count:
            piece = min(count - passing, self._pacer.piece_bytes)
            wait = self._pacer.pay(piece, self._seconds())
            if wait:
                self._hold_back(direction, piece, wait, go_on)
                break
            passing += piece
        return passing

    def _hold_back(self, direction: "_Direction", paid: int, seconds: float, go_on: Callable[[], None]) -> None:
        now = self._seconds()
        direction.paid = paid
        direction.held_back = _HeldBack(self._schedule.call_at(now + seconds, go_on), now, self._pacer.place)

    def _waited(self, direction: "_Direction", held_back: "_HeldBack") -> None:
        direction.held_back = None
        seconds = self._seconds() - held_back.began_at
        self._count(held_back.place, seconds, not self.seconds)
        self.seconds += seconds

    def _begin_due(self) -> None:
        self._request.paid = 0  # it passes now
        self._request_due()

    def _request_due(self) -> None:
        if self._request.held_back is not None:
            self._waited(self._request, self._request.held_back)
            self.paced.request_due()

    def _answer_due(self) -> None:
        if self._answer.held_back is not None:
            self._waited(self._answer, self._answer.held_back)
            self.paced.answer_due()


class _Direction:
    """
    The request, or its answer.

    :ivar paid: bytes that were paid for and have not passed.
    :ivar held_back: its wait; None if it does not wait.
    """

    __slots__ = ("held_back", "paid")

    def __init__(self) -> None:
        self.paid = 0
        self.held_back: _HeldBack | None = None


class _HeldBack(NamedTuple):
    """A wait of one direction, since when, and for which rule and limit."""

    wait: Wait
    began_at: float
    place: tuple[str, str]
