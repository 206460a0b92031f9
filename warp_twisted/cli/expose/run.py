"""
`warp up` while it runs: one run of the reactor, with signals, log and terminal, from start to the end of the drain.

Imported only once there is something to run, as it brings Twisted and the agent along.
"""

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.task import LoopingCall
from twisted.names.client import lookupService
from twisted.python.failure import Failure

from warp_base.reactor import as_reactor
from warp_twisted.agent.identity.joining import ReadToken
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import AgentSettings
from warp_twisted.cli.expose.answered import answered_names
from warp_twisted.cli.expose.view import open_view
from warp_twisted.cli.main import INTERRUPTED
from warp_twisted.cli.running import begin_log, tell_failure
from warp_twisted.process import prepare

REDRAW_SECONDS = 0.5


class AgentRun:
    """
    One run.

    :param read_token: returns the join token, for an agent that has not enrolled yet, or was revoked.
    :param read_settings: reads the settings again on SIGHUP; None: there is no file to read.
    :param verbose: show information of the log too, not errors only.
    """

    def __init__(
        self,
        settings: AgentSettings,
        read_token: ReadToken,
        read_settings: Callable[[], AgentSettings] | None,
        *,
        as_json: bool,
        verbose: bool,
    ) -> None:
        self._reactor = as_reactor(installed)
        prepare(self._reactor)
        self._can_reload = read_settings is not None
        self._least_level = "info" if verbose else "error"
        self._status = 0
        self._is_stopping = False
        self._view = open_view(as_json)
        self._names = answered_names(self._reactor, self._view.tell)
        self._runner = AgentRunner(
            self._reactor,
            settings,
            read_token=read_token,
            read_settings=read_settings,
            observe=self._names.tell,
            lookup_service=lambda name: lookupService(name, timeout=(1, 2, 4)),
        )

    def run(self) -> int:
        """
        Run until stopped.

        :returns: the exit status.
        """
        begin_log(self._view.say, self._least_level)
        self._runner.ended.addCallbacks(self._ended, self._failed)
        redraw = LoopingCall(self._draw)
        redraw.clock = self._reactor
        self._reactor.callWhenRunning(self._begin)
        redraw.start(REDRAW_SECONDS).addErrback(self._failed)
        run: Any = self._reactor.run  # the interface does not name its argument
        run(installSignalHandlers=False)
        self._view.close()
        return self._status

    def _begin(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: self._reactor.callFromThread(self._signalled, number))
        self._runner.startService()

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and self._can_reload:
            self._runner.reload()
        elif not self._is_stopping:
            self._is_stopping = True
            self._names.stop()
            self._runner.stopService()
        else:
            self._status = INTERRUPTED
            self._runner.stop_now()
            self._reactor.stop()

    def _ended(self, _: None) -> None:
        if self._reactor.running:
            self._reactor.stop()

    def _failed(self, failure: Failure) -> None:
        self._view.close()
        self._status = tell_failure(failure, "the agent")
        self._reactor.callWhenRunning(self._reactor.stop)

    def _draw(self) -> None:
        if self._runner.agent is not None:
            self._view.draw(self._runner.agent)
