"""
SIGHUP, by which operators and systemd ask a service to read its configuration again, from the start's first moments on.

Until a process says otherwise the signal kills it. `warp_hangup.pth`, which Python reads before anything else, has it
ignored in the processes of our services; from `note` on it is remembered, and `follow` hands it on. SIGUSR1 and
SIGUSR2, by which other programs open their logs again, would kill it as well: they are ignored.
"""

import signal
from collections.abc import Callable

from warp_base.reactor import Reactor


class Hangups:
    """
    The requests to reload of one process.

    :ivar is_noted: whether there was one that nobody has been told of yet.
    """

    def __init__(self) -> None:
        self.is_noted = False

    def note(self) -> None:
        """Remember requests from now on; called before the configuration is read, as one may follow its change."""
        signal.signal(signal.SIGHUP, self._noted)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def follow(self, reactor: Reactor, asked: Callable[[], None]) -> None:
        """
        Call a function in the reactor for each request, once for those that were noted before.

        :param asked: never called before the reactor runs.
        """
        signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(asked))
        if self.is_noted:
            self.is_noted = False
            reactor.callWhenRunning(asked)

    def ignore(self) -> None:
        """Let requests pass: the service ends."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _noted(self, number: int, frame: object) -> None:
        self.is_noted = True
