"""Tests of `warp_twisted.cli.expose.run`: signals and ends; tests/system runs the command as a program."""

import contextlib
import io
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.errors import NotEnrolled
from warp_twisted.agent.settings import AgentSettings, parse_settings
from warp_twisted.cli.expose import run
from warp_twisted.cli.main import INTERRUPTED

SETTINGS = parse_settings("ingress: [{service: 'http://localhost:3000'}]")


class FakeRunner:
    """Stands in for `agent.runner.AgentRunner`, and notes what it is told."""

    agent = None

    def __init__(self, reactor: object, settings: AgentSettings, **options: Any) -> None:
        self.ended: Deferred[None] = Deferred()
        self.told: list[str] = []

    def startService(self) -> None:
        """Note it."""
        self.told.append("start")

    def stopService(self) -> None:
        """Note it."""
        self.told.append("stop")

    def stop_now(self) -> None:
        """Note it."""
        self.told.append("stop now")

    def reload(self) -> None:
        """Note it."""
        self.told.append("reload")


class FakeReactor(MemoryReactorClock):
    """A reactor whose run is a script of steps."""

    steps: tuple[Callable[[], object], ...] = ()

    def run(self, installSignalHandlers: bool = True) -> None:
        """Start, take the steps as long as nobody stops the reactor, and return."""
        self.installs_handlers = installSignalHandlers
        self.running, self.hasStopped = True, False  # older Twisted calls it stopped before it ran
        for function, args, kwargs in self.whenRunningHooks:
            function(*args, **kwargs)
        for step in self.steps:
            if not self.hasStopped:
                step()

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call at once."""
        callable(*args, **kwargs)

    def stop(self) -> None:
        """Note it."""
        self.hasStopped = True


class AgentRunTests(SynchronousTestCase):
    """One run, on a reactor and with an agent that do what the test says."""

    def setUp(self) -> None:
        self.handlers: dict[int, Callable[[int, None], object]] = {}
        self.patch(run, "AgentRunner", FakeRunner)
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(globalLogBeginner, "beginLoggingTo", lambda *args, **options: None)

    def send(self, number: int) -> Callable[[], object]:
        """Return a step that sends a signal."""
        return lambda: self.handlers[number](number, None)

    def ran(self, *steps: Callable[[FakeRunner], object], has_file: bool = False) -> tuple[int, list[str], str]:
        """Run, and return the status, what the agent was told, and what a user read."""
        reactor = FakeReactor()
        self.patch(run, "installed", reactor)
        errors = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            read = (lambda: SETTINGS) if has_file else None
            agent_run = run.AgentRun(SETTINGS, lambda settings: None, read, as_json=True, verbose=False)
            runner: Any = agent_run._runner
            reactor.steps = tuple(partial(step, runner) for step in steps)
            status = agent_run.run()
        self.assertTrue(reactor.hasStopped)
        self.assertFalse(reactor.installs_handlers)
        return status, runner.told, errors.getvalue()

    def test_first_signal_drains(self) -> None:
        """SIGTERM stops the agent in order; the command ends with 0 when the agent has."""
        term = self.send(signal.SIGTERM)
        ran = self.ran(lambda _: term(), lambda runner: runner.ended.callback(None))
        self.assertEqual(ran, (0, ["start", "stop"], ""))

    def test_second_signal_ends_at_once(self) -> None:
        """A second Ctrl-C does not wait for what is under way, and the status says so."""
        interrupt = self.send(signal.SIGINT)
        ran = self.ran(lambda _: interrupt(), lambda _: interrupt())
        self.assertEqual(ran, (INTERRUPTED, ["start", "stop", "stop now"], ""))

    def test_hangup(self) -> None:
        """SIGHUP reloads where there is a file to read, and stops the agent where there is none."""
        hangup = self.send(signal.SIGHUP)
        ended = lambda runner: runner.ended.callback(None)  # noqa: E731 -- a step, as the others
        self.assertEqual(self.ran(lambda _: hangup(), ended, has_file=True)[1], ["start", "reload"])
        self.assertEqual(self.ran(lambda _: hangup(), ended)[1], ["start", "stop"])

    def test_failure(self) -> None:
        """An agent that cannot work ends the command with a line and the error's status."""
        ran = self.ran(lambda runner: runner.ended.errback(Failure(NotEnrolled("no join token was given"))))
        self.assertEqual(ran[0], getattr(NotEnrolled, "exit_code", 1))
        self.assertEqual(ran[2], "warp: no join token was given\n")
