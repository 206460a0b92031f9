"""
The time by which edges judge our certificate, as far as an edge has told it.

An edge that was verified says what its clock shows with each acceptance and renewal; from then on the monotonic clock
counts. So an agent whose own clock is wrong still knows when to renew, and does not take a certificate for ended that
every edge accepts. It is used for nothing else: TLS judges an edge's certificate by this machine's clock.
"""

from twisted.internet.interfaces import IReactorTime

from warp_base.wall_clock import WallClock


class EdgeTime:
    """
    A `WallClock`: the edges' where it is known, this machine's where it is not.

    :param wall: this machine's.
    """

    def __init__(self, clock: IReactorTime, wall: WallClock) -> None:
        self._clock = clock
        self._wall = wall
        self._offset: float | None = None

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._wall.now() if self._offset is None else self._clock.seconds() + self._offset

    def heard(self, time: float | None) -> None:
        """Take what a verified edge's clock shows now; None: it did not say."""
        if time is not None:
            self._offset = time - self._clock.seconds()

    def forget(self) -> None:
        """
        Believe this machine's clock until an edge says more.

        To be called when that was set, or the monotonic clock may have stood still in sleep, and when no edge is left:
        its clock may have been the wrong one, and set since.
        """
        self._offset = None
