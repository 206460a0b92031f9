"""`warp demo` as a program: started, listened to, ended, in directories of its own."""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from tests.case import reactor
from warp_twisted.cli.local import DemoInfo

SERVING = "connected: "  # what a demo prints once its application is served


class Program(ProcessProtocol):
    """A program that runs, what it prints, and how it ended."""

    def __init__(self) -> None:
        self.output = ""
        self.ended: Deferred[int] = Deferred()
        self._awaited: list[tuple[str, int, Deferred[None]]] = []

    def outReceived(self, data: bytes) -> None:
        """Remember, and tell those who wait for a text."""
        self.output += data.decode()
        for awaited in [each for each in self._awaited if self.output.count(each[0]) >= each[1]]:
            self._awaited.remove(awaited)
            awaited[2].callback(None)

    errReceived = outReceived

    def printed(self, text: str, times: int = 1) -> "Deferred[None]":
        """Wait until a text was printed so often; fail if the program ends without."""
        waiting: Deferred[None] = Deferred()
        self._awaited.append((text, times, waiting))
        self.outReceived(b"")
        return waiting

    def signal(self, name: str) -> None:
        """Send a signal, such as `TERM`."""
        process: Any = self.transport
        process.signalProcess(name)

    def processEnded(self, reason: Failure) -> None:
        """Tell the exit status; that of a signal is negative."""
        ended = reason.value
        assert isinstance(ended, ProcessDone | ProcessTerminated)
        for text, _, waiting in self._awaited:
            waiting.errback(AssertionError(f"{text!r} was not printed before the end: {self.output}"))
        self.ended.callback(ended.exitCode if ended.signal is None else -ended.signal)


class DemoPrograms:
    """Demos, and commands that find them, all with the same directories for what lasts and what does not."""

    def __init__(self) -> None:
        # Short, for the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="wd-"))
        self.runtime = self.directory / "runtime"
        self.temporary = self.directory / "tmp"
        for directory in (self.runtime, self.temporary):
            directory.mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.temporary),
            "PYTHONUNBUFFERED": "1",
        }
        self._started: list[Program] = []

    def start(self, *arguments: str) -> Program:
        """Start `warp demo`."""
        return self.run("demo", *arguments)

    def run(self, *arguments: str) -> Program:
        """Start the command with any arguments."""
        program = Program()
        command = [sys.executable, "-m", "warp_twisted.cli", *arguments]
        reactor.spawnProcess(program, command[0], command, env=self.environment, path=str(self.directory))
        self._started.append(program)
        return program

    async def warp(self, *arguments: str) -> tuple[str, str, int]:
        """Run the command in another process, as from another terminal: output, errors, status."""
        output, errors, status = await getProcessOutputAndValue(
            sys.executable, ["-m", "warp_twisted.cli", *arguments], env=self.environment, path=str(self.directory)
        )
        return output.decode(), errors.decode(), status

    def info(self) -> DemoInfo:
        """Read what the running demo says of itself."""
        (file,) = self.runtime.iterdir()
        return msgspec.json.decode(file.read_bytes(), type=DemoInfo)

    def left_behind(self) -> list[str]:
        """Return what is in the directories that a demo uses."""
        return sorted(str(path) for root in (self.runtime, self.temporary) for path in root.rglob("*"))

    async def close(self) -> None:
        """Kill what still runs, and remove the directories."""
        for program in self._started:
            if not program.ended.called:
                with suppress(ProcessExitedAlready):
                    program.signal("KILL")
                await program.ended
        shutil.rmtree(self.directory)
