"""
Letting operators in at the control socket, and letting those go who do not say what for.

Without a descriptor for one more it rests: who waits stays in the queue of the socket, which would be heard of in every
turn. What is asked is `loop`'s, how it is read `control`'s.
"""

import time
from collections.abc import Callable

from warp_twisted.keeper.children import Log, Unwatch, Watch
from warp_twisted.keeper.control import ControlSocket, Operator

REST_SECONDS = 1.0


class Admitting:
    """
    The door of one control socket.

    :param watch: has a function called when a descriptor is readable; `unwatch` ends that.
    :param said: called when an operator has said something, or has gone.
    """

    def __init__(
        self, control: ControlSocket, log: Log, watch: Watch, unwatch: Unwatch, said: Callable[[Operator], None]
    ) -> None:
        self._control = control
        self._log = log
        self._watch = watch
        self._unwatch = unwatch
        self._said = said
        self._rests_until: float | None = None
        self._has_complained = False

    def begin(self) -> None:
        """Let operators in from now on."""
        if self._control.socket is not None:
            self._watch(self._control.socket.fileno(), self._admit)

    def dismiss(self, operator: Operator) -> None:
        """Let one go."""
        self._unwatch(operator.connection.fileno())
        self._control.let_go(operator)

    def next_instant(self) -> float | None:
        """Return when there is something to do."""
        instants = (self._rests_until, self._control.next_silent())
        return min((instant for instant in instants if instant is not None), default=None)

    def look_at_time(self, now: float) -> None:
        """Let operators in again after a rest, and those go who say nothing."""
        if self._rests_until is not None and self._rests_until <= now:
            self._rests_until = None
            self.begin()
        for operator in self._control.silent(now):
            self.dismiss(operator)

    def _admit(self) -> None:
        now = time.monotonic()
        try:
            operator = self._control.accept(now)
        except OSError as error:
            self._rest(now, error)
            return
        if operator is not None:
            self._has_complained = False
            self._watch(operator.connection.fileno(), lambda: self._said(operator))

    def _rest(self, now: float, error: OSError) -> None:
        if self._control.socket is not None:
            self._unwatch(self._control.socket.fileno())
        self._rests_until = now + REST_SECONDS
        if not self._has_complained:
            self._has_complained = True
            self._log("error", f"nobody can ask now, and it is tried again every {REST_SECONDS:g} s: {error.strerror}")
