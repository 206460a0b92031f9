"""
One write per reactor turn: tunnels and streams that have something to do ask to be called when the turn is over.

All of a process share one `Turn`, so a turn costs the reactor one call, however many tunnels have frames to send. They
share its slices too: a tunnel whose peer sent more than is obeyed at once goes on in turns with the others.
"""

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorTime

from warp_base.loop.event_loop import at_turn_end
from warp_base.slices import Slices
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.tunnel.watch import Watch

SLICE_SECONDS = 0.001  # of each reactor turn, for all tunnels together that are behind


class Turn:
    """
    Calls each function it was given once, after the events that the reactor is now delivering.

    :param clock: the reactor.
    :ivar watch: the tunnels' timer.
    :ivar handshakes: those that agents begin.
    """

    __slots__ = ("_clock", "_due", "_slices", "handshakes", "watch")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due: list[Callable[[], None]] = []
        self._slices = Slices(clock, SLICE_SECONDS)
        self.watch = Watch(clock, self.share)
        self.handshakes = StepQueue(clock)

    def at_end(self, function: Callable[[], None]) -> None:
        """Call a function, which must not raise, at the end of this turn; in order of asking."""
        if not self._due:
            at_turn_end(self._clock, self._run)
        self._due.append(function)

    def share(self, steps: Iterable[object]) -> None:
        """
        Take the steps of something long, none of which may raise, in this and later turns.

        Whoever shares gets one step after the other's, so that many short ones do not wait for a long one.
        """
        self._slices.run(steps)

    def _run(self) -> None:
        due, self._due = self._due, []
        for function in due:
            function()
