"""
One write per reactor turn: tunnels and streams that have something to do ask to be called when the turn is over.

All of a process share one `Turn`, so a turn costs one delayed call, however many tunnels have frames to send.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime


class Turn:
    """
    Calls each function it was given once, after the events that the reactor is now delivering.

    :param clock: the reactor.
    """

    __slots__ = ("_call_later", "_due")

    def __init__(self, clock: IReactorTime) -> None:
        self._call_later = clock.callLater
        self._due: list[Callable[[], None]] = []

    def at_end(self, function: Callable[[], None]) -> None:
        """Call a function, which must not raise, at the end of this turn; in order of asking."""
        if not self._due:
            self._call_later(0, self._run)
        self._due.append(function)

    def _run(self) -> None:
        due, self._due = self._due, []
        for function in due:
            function()
