"""
Pacing: after how long the bytes of a request and of its answer may pass, by the limits of bytes that hold for it.

Each piece is paid for before it passes. It takes its place in the bucket of each limit, behind what others with the
same key took before, and waits for the last of them; so never more passes than burst and rate allow, however many
requests share a key, and they share it piece by piece. Nothing is refused, and what passes within the burst waits for
nothing.

Pure: instants are arguments, of a clock that only goes forward.
"""

from collections.abc import Iterable

from warp_twisted.policy.limiters import RateLimiter
from warp_twisted.policy.verdict import Held

PIECE_SECONDS = 0.5  # that a piece takes at the limit's rate: a thousand slow visitors are served 2,000 pieces a second
LEAST_SECONDS = 0.01  # however small the burst is: a timer for less costs more than it is worth
MIN_PIECE = 1_024  # bytes; so that a tiny rate costs no more pieces than that
MAX_PIECE = 65_536  # what one write to a socket takes
_NOTHING = 1e-6  # seconds: less than any timer can tell


class Pacer:
    """
    The limits of bytes that hold for one request.

    :ivar piece_bytes: as much is paid for at once at most.
    :ivar place: the rule and the limit that the last wait was for.
    """

    __slots__ = ("_buckets", "piece_bytes", "place")

    def __init__(self, held: Iterable[Held]) -> None:
        """
        Begin.

        :param held: of the verdict; those that are not of bytes are left out.
        """
        self._buckets: list[tuple[RateLimiter, Held]] = []
        self.piece_bytes = MAX_PIECE
        self.place = "", ""
        for each in held:
            limiter = each.limiter
            if each.limit.of == "bytes" and isinstance(limiter, RateLimiter):
                self._buckets.append((limiter, each))
                rate = limiter.per_second
                most = max(min(rate * PIECE_SECONDS, limiter.burst), rate * LEAST_SECONDS)
                self.piece_bytes = max(MIN_PIECE, min(self.piece_bytes, int(most)))

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def pay(self, count: int, now: float) -> float:
        """
        Pay for bytes that are to pass.

        :returns: the seconds after which they may; 0.0 for at once.
        """
        longest = _NOTHING
        for limiter, held in self._buckets:
            wait = limiter.charge(held.key, count, now)
            if wait > longest:
                longest = wait
                self.place = held.rule, held.limit.name
        return longest if longest > _NOTHING else 0.0

    def refund(self, count: int) -> None:
        """Take back what was paid for bytes that never passed."""
        for limiter, held in self._buckets:
            limiter.refund(held.key, count)
