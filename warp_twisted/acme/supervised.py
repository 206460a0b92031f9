"""
The issuing process as the edge keeps it: started, called when there may be something to do, and started again.

It inherits no socket. Its log goes where the edge's standard error goes, and it ends when the pipe to it is closed, so
an edge that dies leaves none behind.
"""

import sys
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger

from warp_base.reactor import Reactor

FIRST_PAUSE_SECONDS = 1.0  # before it is started again
LONGEST_PAUSE_SECONDS = 300.0
STEADY_SECONDS = 600.0  # one that has run for so long begins with the first pause again
_PROGRAM = "import sys; sys.path[:] = {path!r}; from warp_twisted.acme.__main__ import main; main()"  # as we were found


class IssuingProcess(ProcessProtocol):
    """
    The process, while the edge wants certificates.

    :param admin_socket: the path of the edge's admin socket.
    :param sealing_key: the path of the key that opens what is sealed for this edge.
    :param pauses: the first one before it is started again, doubled each time, and the longest, in seconds.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        admin_socket: str,
        sealing_key: str,
        pauses: tuple[float, float] = (FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS),
    ) -> None:
        self._reactor = reactor
        self._arguments = ["--admin", admin_socket, "--key", sealing_key]
        self._first_pause, self._longest_pause = pauses
        self._pause = self._first_pause
        self._started_at = 0.0
        self._restart: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        pid: int | None = getattr(self.transport, "pid", None)
        return pid

    def start(self) -> None:
        """Start it. The admin socket may come later: until then it asks again."""
        self._restart = None
        self._started_at = self._reactor.seconds()
        program = _PROGRAM.format(path=sys.path)
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-c", program, *self._arguments],
            env=None,  # ours
            childFDs={0: "w", 1: 2, 2: 2},
        )

    def look(self) -> None:
        """Say that there may be something to do: what is wanted has changed, or an operator wishes something."""
        if self.pid is not None:
            transport: Any = self.transport
            transport.write(b"\\n")

    def stop(self) -> Deferred[None]:
        """End it for good; fires when it is gone. It may be killed at any moment: nothing is lost."""
        done: Deferred[None] = Deferred()
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        if self.pid is None:
            done.callback(None)
            return done
        self._ended = done
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):  # then `processEnded` follows
            transport.signalProcess("KILL")
        return done

    def processEnded(self, reason: Any) -> None:
        """Start another one, unless this is the end."""
        done, self._ended = self._ended, None
        if done is not None:
            done.callback(None)
            return
        if self._reactor.seconds() - self._started_at >= STEADY_SECONDS:
            self._pause = self._first_pause
        self._log.error(
            "the issuing process ended, and is started again in {seconds} s: {reason}",
            seconds=self._pause,
            reason=reason.value,
        )
        self._restart = self._reactor.callLater(self._pause, self.start)
        self._pause = min(self._pause * 2, self._longest_pause)
