"""
Visitors that have closed their sending side and wait for what they asked for: how long, and who goes first.

Most visitors that close their sending side have left altogether; TCP tells one from the other only by answering what
is written to who has left (RST). So each may wait, but one that is reset, or for which nothing moves for
`timeouts.half_closed`, ends as if it had left, and where there is no room for a new connection, these go first.
"""

from itertools import islice
from typing import Protocol

LOOKED_AT = 1_000  # in one sweep, 1 to 4 ms; where more wait, the others are looked at in the next ones


class WaitingVisitor(Protocol):
    """A connection whose visitor sends no more."""

    deadline: float

    def is_reset(self) -> bool:
        """Whether the visitor has said that it knows the connection no more."""

    def give_up(self) -> None:
        """Have it ended as one whose visitor has left, with those whose time-outs have passed."""

    def abort(self) -> None:
        """Close now."""


class HalfClosed:
    """All of them, those first that have waited for the longest time."""

    def __init__(self) -> None:
        # Its deadline as it was seen last, and when it will have waited for too long. Whatever moves sets a deadline
        # anew, so one that has changed says that something has moved, and a write need not say it.
        self._waiting: dict[WaitingVisitor, tuple[float, float]] = {}
        self._at = 0  # of those waiting, where the next look begins

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: WaitingVisitor, until: float) -> None:
        """
        Note that a visitor sends no more.

        :param until: an instant of the visitors' clock: how long it may wait if nothing moves.
        """
        self._waiting[connection] = (connection.deadline, until)

    def discard(self, connection: WaitingVisitor) -> None:
        """A connection is gone."""
        self._waiting.pop(connection, None)

    def look(self, present: float, seconds: float) -> None:
        """
        Give up those that have left, as far as it shows.

        :param present: an instant of the visitors' clock.
        :param seconds: how long each may wait from the last time that something moved.
        """
        if self._at >= len(self._waiting):
            self._at = 0
        looked_at = list(islice(self._waiting.items(), self._at, self._at + LOOKED_AT))
        self._at += LOOKED_AT
        for connection, (deadline, until) in looked_at:
            if connection.is_reset():
                connection.give_up()
            elif connection.deadline != deadline:
                self._waiting[connection] = (connection.deadline, present + seconds)
            elif until <= present:
                connection.give_up()

    def make_room(self) -> bool:
        """Let the one go that has waited for the longest time; return whether there was one."""
        connection = next(iter(self._waiting), None)
        if connection is None:
            return False
        connection.abort()
        self.discard(connection)
        return True
