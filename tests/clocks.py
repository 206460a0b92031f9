"""A wall clock for tests, that can be set, as its owner can set that of a machine."""

from twisted.internet.interfaces import IReactorTime


class SettableWallClock:
    """
    A `warp_base.wall_clock.WallClock`.

    :param at: what it shows, in seconds since the epoch; more when time has passed on `clock`.
    :ivar offset: what it shows more than `clock`; setting the clock is changing this.
    """

    def __init__(self, at: float = 0.0, clock: IReactorTime | None = None) -> None:
        self.offset = at - (clock.seconds() if clock is not None else 0.0)
        self._clock = clock

    def now(self) -> float:
        """Return what it shows."""
        return self.offset + (self._clock.seconds() if self._clock is not None else 0.0)

    def set(self, at: float) -> None:
        """Set it, as somebody does who notices that it is wrong."""
        self.offset += at - self.now()
