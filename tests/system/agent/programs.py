"""Starting the agent's programs as a user would, and waiting for what they print."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.python.failure import Failure

from tests.case import assert_short_turns, reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import Echo
from warp_twisted.ca.tokens import format_token

ECHO = Factory.forProtocol(Echo)
ECHO.noisy = False
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PATH = os.pathsep.join(os.path.join(REPOSITORY, part) for part in ("", "dns", "warp_twisted/_dropins"))


def status_of(reason: Failure) -> int:
    """Return the exit status of a process that has ended, or minus the number of the signal that ended it."""
    ended = reason.value
    assert isinstance(ended, ProcessDone | ProcessTerminated), ended
    return -ended.signal if ended.exitCode is None else ended.exitCode


class Program(ProcessProtocol):
    """
    A program that runs beside the test.

    :param arguments: after `python`.
    :param environment: added to a bare one.
    :param given: what it finds on standard input.
    :param output: a descriptor for its standard output, which is kept in `output` otherwise.
    """

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        given: str = "",
        output: int | None = None,
    ) -> None:
        self.output = ""
        self.errors = ""
        self._status: int | None = None
        self._ending: list[Deferred[int]] = []
        self._given = given
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, *arguments],
            childFDs=None if output is None else {0: "w", 1: output, 2: "r"},
            env={**inherited, "PYTHONPATH": PATH, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )

    def connectionMade(self) -> None:
        self._process.write(self._given.encode())
        self._process.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self.output += data.decode()
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode()
        self._look()

    def processEnded(self, reason: Failure) -> None:
        self._status = status_of(reason)
        for ending in self._ending:
            ending.callback(self._status)
        for _, deferred in self._waiting:
            deferred.errback(AssertionError(f"the program ended:\n{self.output}\n{self.errors}"))

    @property
    def _process(self) -> IProcessTransport:
        assert self.transport is not None, "the program has not been started"
        return self.transport

    @property
    def exited(self) -> Deferred[int]:
        """A Deferred that fires with the exit status, or minus the number of the signal."""
        deferred: Deferred[int] = Deferred()
        if self._status is not None:
            deferred.callback(self._status)
        else:
            self._ending.append(deferred)
        return deferred

    def says(self, text: str, times: int = 1) -> Deferred[None]:
        """Wait until the program has printed a text so many times."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((lambda: (self.output + self.errors).count(text) >= times, deferred))
        self._look()
        return deferred

    def signal(self, name: str | int) -> None:
        """Send a signal, such as `TERM`, or one of `signal` for which Twisted has no name."""
        self._process.signalProcess(name)

    async def end(self) -> None:
        """Kill the program if it still runs, and wait until it is gone."""
        with contextlib.suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")
        await self.exited
        assert_short_turns(self.output + self.errors)

    def _look(self) -> None:
        for waiter in list(self._waiting):
            if waiter[0]():
                self._waiting.remove(waiter)
                waiter[1].callback(None)


def twistd_agent(
    config: str, *options: str, environment: dict[str, str] | None = None, output: int | None = None
) -> Program:
    """Start `twistd -n warp-agent`."""
    twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    arguments = ("-c", twistd, "-n", "--pidfile=", "warp-agent", "--config", config, *options)
    return Program(*arguments, environment=environment, output=output)


def warp_up(
    *options: str, environment: dict[str, str] | None = None, given: str = "", output: int | None = None
) -> Program:
    """Start `warp up`."""
    return Program("-m", "warp_twisted.cli", "up", *options, environment=environment, given=given, output=output)


def lines(text: str) -> Sequence[str]:
    """Return the lines of a text that are not empty."""
    return [line for line in text.splitlines() if line.strip()]


class AgentProgramTestCase(AgentTestCase):
    """An echo on loopback, a file with a join token, and programs that are ended with the test."""

    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.echo = f"tcp://127.0.0.1:{self.listen(ECHO)}"
        self.token = format_token(self.fleet.token(self.edge.port))
        self.token_file = self.directory / "token"
        self.token_file.write_text(self.token)
        self.state = (self.directory / "state").absolute()
        # Nothing of this machine's user: no demo, no state of earlier runs.
        self.environment = {"HOME": str(self.directory.absolute()), "XDG_RUNTIME_DIR": str(self.directory.absolute())}
        self.directory.chmod(0o700)

    def run_program(self, program: Program) -> Program:
        """Make sure that a program ends with the test."""
        self.addCleanup(program.end)
        return program

    async def assert_serves(self, route: int = 0) -> None:
        """Check that the route answers."""
        visit = self.edge.visit(route, b"hello")
        self.assertEqual(await visit.read(5), b"hello")
        visit.stream.end()
