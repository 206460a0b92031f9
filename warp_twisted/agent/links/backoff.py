"""
How long to wait before the next attempt at a tunnel.

The delay doubles from half a second. For `PATIENCE_SECONDS` after the tunnel was last up it stays under
`QUICK_SECONDS`, so an edge that restarts has its agents back within five seconds; after that it grows to
`SLOW_SECONDS`. After a refusal it grows at once: the edge is up, and what has to change is somebody's work. Every
delay is cut by up to a half, by chance, so that a fleet does not come back in step. Pure: time and chance are handed
in.
"""

from random import Random

FIRST_SECONDS = 0.5
QUICK_SECONDS = 3.0
SLOW_SECONDS = 30.0
PATIENCE_SECONDS = 300.0
HASTEN_SECONDS = 0.5


class Backoff:
    """
    The delays of one link.

    :param now: when it began to try, in seconds of any clock.
    """

    def __init__(self, chance: Random, now: float) -> None:
        self._random = chance
        self._attempts = 0
        self._last_up_at = now

    def succeeded(self) -> None:
        """The attempt succeeded."""
        self._attempts = 0

    def lost(self, now: float) -> None:
        """What the attempt had brought was lost."""
        self._last_up_at = now

    def next_delay(self, now: float, *, is_refusal: bool = False) -> float:
        """
        Return how long to wait after an attempt that failed, or after a loss.

        :param is_refusal: whether the edge answered, and refused.
        """
        is_patient = now - self._last_up_at < PATIENCE_SECONDS and not is_refusal
        doubled: float = FIRST_SECONDS * 2.0 ** min(self._attempts, 16)
        self._attempts += 1
        return min(QUICK_SECONDS if is_patient else SLOW_SECONDS, doubled) * self._random.uniform(0.5, 1.0)

    def hasty_delay(self) -> float:
        """Return how long to wait when there is reason to believe that the next attempt will succeed."""
        return HASTEN_SECONDS * self._random.random()
