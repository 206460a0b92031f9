"""
Noticing that the machine's wall clock was set: by its owner, by NTP, or because the machine slept.

The wall clock and the monotonic one are compared every second. What waits for a certificate to become valid need not
wait any longer then, and what was reckoned by the time of before may be wrong.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from warp_base.wall_clock import WallClock

LOOK_SECONDS = 1.0
STEP_SECONDS = 2.0  # NTP corrects by 0.5 ms a second without a step (adjtimex(2)); a busy machine looks late at both


class ClockSteps:
    """
    Watches the wall clock of one process.

    :param stepped: called after each step with its seconds, positive where the clock was set forward.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, wall: WallClock, stepped: Callable[[float], None]) -> None:
        self._clock = clock
        self._wall = wall
        self._stepped = stepped
        self._offset = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._offset = self._wall.now() - self._clock.seconds()
        self._looking.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        offset = self._wall.now() - self._clock.seconds()
        step, self._offset = offset - self._offset, offset
        if abs(step) >= STEP_SECONDS:
            self._log.info("this machine's clock was set {step:+.0f} s, or it slept", step=step)
            self._stepped(step)
