"""
One run of the reactor by the demo, from its start to an empty temporary directory.

Ctrl-C, SIGTERM and a closed terminal all stop the fleet in order and remove what it made; so does an error.
"""

import shlex
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from warp_base.reactor import Reactor
from warp_twisted.cli.output import say_lines
from warp_twisted.cli.running import begin_log, tell_failure

KEPT_LINES = 50  # of the log, while a check runs


class Shown(Protocol):
    """What is on the screen, as far as a run has to do with it."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Show nothing more."""


class DemoRun:
    """
    Begins, goes on until it is ended, and stops.

    :param stop: stops and removes everything that was made, however far the start has come.
    :param is_check: a check provokes warnings, so it keeps them for the case that it fails.
    :ivar status: the exit status.
    :ivar shown: takes the log's lines; without it they go to standard error.
    """

    def __init__(self, reactor: Reactor, stop: Callable[[], Awaitable[None]], *, is_check: bool = False) -> None:
        self._reactor = reactor
        self._stop_everything = stop
        self._kept: deque[str] | None = deque(maxlen=KEPT_LINES) if is_check else None
        self.status = 1
        self.shown: Shown | None = None
        self.is_stopping = False

    def run(self, begin: Callable[[], Coroutine[Deferred[object], object, None]]) -> int:
        """
        Run until ended.

        :param begin: what is done first.
        :returns: the exit status.
        """
        begin_log(self._say, "warn")
        reactor = self._reactor
        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(self._stop()))
        # The reactor stops on SIGINT and SIGTERM by itself; a closed terminal should not leave files either.
        reactor.callWhenRunning(signal.signal, signal.SIGHUP, lambda number, frame: reactor.callFromThread(self.end))
        # Not before: until the reactor has its handlers, Ctrl-C would break into the start anywhere.
        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()).addErrback(self._failed))
        reactor.run()
        return self.status

    def every(self, seconds: float, look: Callable[[], Coroutine[Deferred[object], object, None]]) -> None:
        """Do something at once, and again and again until the end; what goes wrong then ends the run."""
        looking = LoopingCall(lambda: Deferred.fromCoroutine(look()) if not self.is_stopping else None)
        looking.clock = self._reactor
        looking.start(seconds).addErrback(self._failed)

    def begin(self, doing: Coroutine[Deferred[object], object, None]) -> None:
        """Do something beside the rest; what goes wrong ends the run, unless it is ending."""
        Deferred.fromCoroutine(doing).addErrback(self._failed)

    def end(self) -> None:
        """End the run."""
        if not self.is_stopping:
            self.is_stopping = True
            self._reactor.callWhenRunning(self._reactor.stop)

    def say_kept(self) -> None:
        """Say what the log said during a check."""
        for line in self._kept or ():
            say_lines(line, err=True)

    def _failed(self, failure: Failure) -> None:
        if self.is_stopping:
            return  # what was under way had to fail
        self.status = tell_failure(failure, "the demo")
        self.end()

    async def _stop(self) -> None:
        self.is_stopping = True
        if self.shown is not None:
            self.shown.close()
        await self._stop_everything()

    def _say(self, line: str) -> None:
        """Show a warning or worse; a demo has nothing else to say in a log."""
        if self._kept is not None:
            self._kept.append(line)
        elif self.shown is not None:
            self.shown.say(line)
        else:
            say_lines(line, err=True)


def this_command() -> str:
    """Return how this program can be called from another terminal."""
    program = Path(sys.argv[0])
    if program.name == "warp":
        return "warp"
    beside = Path(sys.executable).with_name("warp")
    return shlex.quote(str(beside)) if beside.exists() else f"{shlex.quote(sys.executable)} -m warp_twisted.cli"
