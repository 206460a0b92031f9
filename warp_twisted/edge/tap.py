"""`twistd warp-edge`: options, the configuration file, the log, signals and systemd; the edge itself is `edge.node`."""

import os
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from warp_base.hangup import Hangups
from warp_base.loop.collector import spare_old_objects
from warp_base.loop.process_metrics import ProcessCollector
from warp_base.loop.turn_times import TurnCollector
from warp_base.nonblocking_writer import DroppedLinesCollector
from warp_base.reactor import Reactor, as_reactor
from warp_twisted.edge.check import check_edge
from warp_twisted.edge.handover.line import Line, take_line
from warp_twisted.edge.node import EdgeNode, Reloaded
from warp_twisted.edge.settings import EdgeSettings, read_edge_settings
from warp_twisted.errors import InvalidSettings, WarpError
from warp_twisted.log_output import LogOutput
from warp_twisted.process import prepare
from warp_twisted.service_options import ServiceOptions, exit_at_end, give_up, open_log
from warp_twisted.systemd import STOP_MARGIN_SECONDS, Systemd, handed_sockets

# Of the middle generation, 4,000 new objects each. Tunnels, visitors and their requests leave no reference cycles, as
# tests hold, so this is for what nobody knows of: a full collection takes 0.4 s beside 16,000 tunnels.
FULL_COLLECTION_AFTER = 2500


class Options(ServiceOptions[EdgeSettings]):
    """Options of `twistd warp-edge`."""

    longdesc = """
Run a Warp edge: it faces visitors, and hides the origins of the agents that dial it.

Everything is in one YAML file; docs/configuration.md explains its keys. SIGHUP reads it again: certificates, the
policy, limits, time-outs, log settings and who may transfer the zone are applied, a wrong file is refused whole,
and what needs a restart is logged. SIGTERM drains: names leave DNS, agents move, requests that are under way finish.
"""
    examples = (
        "twistd -n warp-edge --config /etc/warp/edge.yaml",
        "twistd -n warp-edge --config edge.yaml --check",
    )
    optParameters = [
        ["config", "c", "/etc/warp/edge.yaml", "The configuration file."],
    ]

    def read_settings(self, path: str) -> EdgeSettings:
        """Read edge.yaml."""
        return read_edge_settings(path)

    def check_settings(self, settings: EdgeSettings, source: str) -> str:
        """Look at what the settings point to (`edge.check`)."""
        from twisted.internet import reactor

        try:
            return check_edge(as_reactor(reactor), settings, has_systemd_sockets="LISTEN_FDS" in os.environ)
        except WarpError as error:
            raise InvalidSettings(f"{source}: {error}") from error


class Program(Service):
    """
    The edge as a program: one node, its log, signals, and systemd.

    :param build: makes the node; called when the process is the one that stays, as files and threads of a process
        that forks itself into the background do not go with it.
    :param hangups: requests to reload; one that comes before the edge serves is obeyed when it does.
    :param twistd: twistd's own options, a mapping.
    :param line: to the keeper that leads this process; None without one.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        build: Callable[[], EdgeNode],
        output: LogOutput | None,
        systemd: Systemd,
        hangups: Hangups,
        twistd: Any,
        line: Line | None = None,
    ) -> None:
        self._reactor = reactor
        self._twistd = twistd
        self._line = line
        self._build = build
        self._output = output
        self._systemd = systemd
        self._hangups = hangups
        self._node: EdgeNode | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, whose log goes where the settings say unless twistd was told otherwise."""
        if self._output is not None:
            parent.setComponent(ILogObserver, self._output)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start the node; a reason why it cannot is one line of the log and exit code 1."""
        super().startService()
        try:
            node = self._build()
            if self._line is not None and node.hand_over is not None:
                node.ended = self._reactor.stop
                self._line.follow(node.hand_over.heard, node.hand_over.keeper_lost)
            node.startService()
        except WarpError as error:
            self._log.critical("the edge cannot start: {error}", error=error)
            give_up(self._twistd, str(error))
        self._node = node
        node.on_reload(self._settings_changed)
        node.started.addCallbacks(
            lambda _: self._reactor.callWhenRunning(self._started, node),  # before that, signals would kill us
            self._not_started,
        )

    def stopService(self) -> Any:
        """Drain and stop."""
        super().stopService()
        self._hangups.ignore()
        if self._node is None:
            return None
        self._systemd.stopping("draining")
        self._systemd.extend_timeout(self._node.settings.timeouts.drain + STOP_MARGIN_SECONDS)
        return self._node.stopService().addBoth(self._stopped)

    def _started(self, node: EdgeNode) -> None:
        self._systemd.ready(f"serving {node.settings.zone}")
        self._systemd.start_watchdog(self._reactor)
        self._hangups.follow(self._reactor, lambda: self._reload(node))

    def _not_started(self, failure: Failure) -> None:
        if failure.check(WarpError):
            self._log.critical("the edge cannot start: {error}", error=failure.value)
        else:
            self._log.failure("the edge cannot start", failure=failure)
        exit_at_end(1)
        self._reactor.stop()

    def _stopped(self, result: object) -> object:
        self._systemd.stop_watchdog()
        return result

    def _reload(self, node: EdgeNode) -> None:
        self._systemd.reloading()
        Deferred.fromCoroutine(node.reload()).addCallbacks(self._reloaded, self._not_reloaded)

    def _reloaded(self, reloaded: Reloaded) -> None:
        later = ", ".join(reloaded.needs_restart)
        serving = f"serving {self._node.settings.zone}" if self._node is not None else "serving"
        self._systemd.ready(f"{serving}; needs a restart: {later}" if later else serving)
        if self._line is not None:
            self._line.say("reloaded", later=reloaded.needs_restart)

    def _not_reloaded(self, failure: Failure) -> None:
        if failure.check(WarpError):
            self._log.error("the configuration is refused, the old one stays: {error}", error=failure.value)
        else:
            self._log.failure("the reload failed, the old configuration stays", failure=failure)
        self._systemd.ready(f"configuration refused: {failure.getErrorMessage()}")
        if self._line is not None:
            self._line.say("refused", why=failure.getErrorMessage())

    def _settings_changed(self, settings: EdgeSettings) -> None:
        if self._output is not None:
            self._output.configure(settings.log.format, settings.log.level)


def makeService(options: Options) -> Program:
    """Build the edge that the options describe."""
    from twisted.internet import reactor as installed

    reactor = as_reactor(installed)
    times = prepare(reactor)
    spare_old_objects(reactor, FULL_COLLECTION_AFTER)
    systemd = Systemd(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))
    path = options["config"]
    settings = options.settings
    inherited = take_line(os.environ)
    line = Line(reactor, inherited) if inherited is not None else None

    def build() -> EdgeNode:
        handed = handed_sockets(os.environ, os.getpid())
        node = EdgeNode(
            reactor,
            settings,
            read_settings=lambda: read_edge_settings(path),
            handed=handed,
            say=line.say if line is not None else None,
            tell=systemd.status,
            ask_for_time=systemd.extend_timeout,
        )
        node.parts.metrics.register(TurnCollector("warp_edge", times))
        node.parts.metrics.register(DroppedLinesCollector("warp_edge"))
        node.parts.metrics.register(ProcessCollector())
        return node

    twistd: Any = options.parent or {}
    output = open_log(twistd, settings.log.format, settings.log.level)
    return Program(reactor, build, output, systemd, options.hangups, twistd, line)
