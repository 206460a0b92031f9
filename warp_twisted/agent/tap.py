"""`twistd warp-agent`: options, the configuration file, the log, signals and systemd; the rest is `agent.runner`."""

import os
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger
from twisted.names.client import lookupService
from twisted.python.failure import Failure

from warp_base.hangup import Hangups
from warp_base.loop.process_metrics import ProcessCollector
from warp_base.loop.turn_times import TurnCollector, TurnTimes
from warp_base.nonblocking_writer import DroppedLinesCollector
from warp_base.reactor import Reactor, as_reactor
from warp_twisted.agent.check import check_agent, find_token
from warp_twisted.agent.events import Event
from warp_twisted.agent.readiness import Readiness
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import AgentSettings, read_agent_settings
from warp_twisted.ca.tokens import JoinTokenText
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.log_output import LogOutput
from warp_twisted.process import prepare
from warp_twisted.service_options import ServiceOptions, exit_at_end, open_log
from warp_twisted.systemd import STOP_MARGIN_SECONDS, Systemd

WATCH_SECONDS = 2.0
EXTEND_SECONDS = 10.0  # how often systemd is asked for more time, while the agent has never been enrolled


class Options(ServiceOptions[AgentSettings]):
    """Options of `twistd warp-agent`."""

    longdesc = """
Run a Warp agent beside an origin: it dials the edges, and listens on no network port.

Everything is in one YAML file; docs/configuration.md explains its keys. A change of the file, or SIGHUP, is taken
without dropping a tunnel; a file that is wrong is refused whole, and what needs a restart is logged. SIGTERM drains:
requests that are under way finish. The join token comes from token_file or $WARP_TOKEN, and is needed once.
"""
    examples = (
        "twistd -n warp-agent --config /etc/warp/agent.yaml",
        "twistd -n warp-agent --config agent.yaml --check",
    )
    optParameters = [
        ["config", "c", "/etc/warp/agent.yaml", "The configuration file."],
    ]

    def read_settings(self, path: str) -> AgentSettings:
        """Read agent.yaml."""
        return read_agent_settings(path)

    def check_settings(self, settings: AgentSettings, source: str) -> str:
        """Look at what the settings point to (`agent.check`)."""
        from twisted.internet import reactor as installed

        environment = os.environ
        try:
            return check_agent(
                as_reactor(installed),
                settings,
                environment.get("WARP_TOKEN", ""),
                has_systemd_sockets="LISTEN_FDS" in environment,
            )
        except WarpError as error:
            raise InvalidSettings(f"{source}: {error}") from error


class TwistdAgent(MultiService):
    """The agent as a program: its log, signals, its settings file, and systemd."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        path: str,
        settings: AgentSettings,
        output: LogOutput | None,
        times: TurnTimes,
        hangups: Hangups,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._path = Path(path)
        self._settings = settings
        self._output = output
        self._hangups = hangups
        self._systemd = Systemd(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))
        self._runner = AgentRunner(
            reactor,
            settings,
            read_token=self._read_token,
            read_settings=self._read_settings,
            observe=self._observe,
            lookup_service=lambda name: lookupService(name, timeout=(1, 2, 4)),
            is_patient=True,
            metrics=(TurnCollector("warp_agent", times), DroppedLinesCollector("warp_agent"), ProcessCollector()),
        )
        self._runner.setServiceParent(self)
        self._seen = _signature(self._path)
        self._watch = LoopingCall(self._look_at_file)
        self._watch.clock = reactor
        self._readiness = Readiness()
        self._told = ""
        self._extending = LoopingCall(self._systemd.extend_timeout, EXTEND_SECONDS + STOP_MARGIN_SECONDS)
        self._extending.clock = reactor
        self._is_stopping = False

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, whose log goes where the settings say unless twistd was told otherwise."""
        if self._output is not None:
            parent.setComponent(ILogObserver, self._output)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start the agent, and follow its settings file."""
        self._hangups.follow(self._reactor, self._reload)
        self._extending.start(EXTEND_SECONDS)
        super().startService()
        self._runner.ended.addErrback(self._ended)
        self._systemd.start_watchdog(self._reactor)
        self._watch.start(WATCH_SECONDS, now=False)

    def stopService(self) -> Any:
        """Drain and stop."""
        self._is_stopping = True
        self._hangups.ignore()
        for call in (self._watch, self._extending):
            if call.running:
                call.stop()
        self._systemd.stopping("draining")
        self._systemd.extend_timeout(self._settings.drain_seconds + STOP_MARGIN_SECONDS)
        stopped: Deferred[Any] = super().stopService()
        return stopped.addBoth(self._stopped)

    def _stopped(self, result: object) -> object:
        self._systemd.stop_watchdog()
        return result

    def _ended(self, failure: Failure) -> None:
        """Say why the agent cannot work, and end with a status that tells it too."""
        if failure.check(WarpError):
            self._log.critical("the agent cannot work: {error}", error=str(failure.value))
        else:
            self._log.failure("the agent failed", failure=failure)
        self._systemd.status(f"cannot work: {failure.getErrorMessage()}")
        exit_at_end(getattr(failure.value, "exit_code", 1))
        if not self._is_stopping:
            self._reactor.callWhenRunning(self._reactor.stop)

    def _read_token(self, settings: AgentSettings) -> JoinTokenText | None:
        return find_token(settings.token_file, os.environ.get("WARP_TOKEN", ""))

    def _read_settings(self) -> AgentSettings:
        return read_agent_settings(str(self._path))

    def _look_at_file(self) -> None:
        signature = _signature(self._path)
        if signature is not None and signature != self._seen:
            self._reload()

    def _reload(self) -> None:
        self._seen = _signature(self._path)
        if self._readiness.is_ready:  # else nobody waits for the `ready` that would have to follow
            self._systemd.reloading()
        self._runner.reload().addCallbacks(self._reloaded, self._not_reloaded)

    def _reloaded(self, is_good: bool) -> None:
        if is_good:
            self._settings = self._runner.settings
            if self._output is not None:
                self._output.configure(self._settings.log_format, self._settings.log_level)
        self._tell_reloaded(self._status() if is_good else "the configuration was refused, the old one stays")

    def _not_reloaded(self, failure: Failure) -> None:
        self._log.failure("the reload failed", failure)
        self._tell_reloaded("the reload failed, the old configuration stays")

    def _tell_reloaded(self, status: str) -> None:
        if self._readiness.is_ready:
            self._systemd.ready(status)
        else:
            self._systemd.status(status)

    def _observe(self, event: Event) -> None:
        was_ready = self._readiness.is_ready
        self._readiness.heard(event)
        if self._is_stopping:
            return
        status = self._status()
        if self._readiness.is_ready and not was_ready:
            self._extending.stop()
            self._systemd.ready(status)
        elif status != self._told:
            self._systemd.status(status)
        self._told = status

    def _status(self) -> str:
        agent = self._runner.agent
        return self._readiness.status(self._settings.tunnels if agent is None else len(agent.links))


def makeService(options: Options) -> TwistdAgent:
    """Build the agent that the options describe."""
    from twisted.internet import reactor as installed

    reactor = as_reactor(installed)
    times = prepare(reactor)
    settings = options.settings
    output = open_log(options.parent or {}, settings.log_format, settings.log_level)
    return TwistdAgent(reactor, options["config"], settings, output, times, options.hangups)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is edited or replaced, None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
