"""Tests of `warp demo` as a program: it serves, others find it, and it leaves nothing behind however it ends."""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from warp_twisted.cli.demo_check import steps_of
from warp_twisted.cli.demo_fleet import DemoFleet
from warp_twisted.cli.demo_ports import ADDRESS, WANTED, Ports


class Program(ProcessProtocol):
    """A program that runs, what it prints, and how it ended."""

    def __init__(self) -> None:
        self.output = ""
        self.ended: Deferred[int] = Deferred()
        self._awaited: list[tuple[str, Deferred[None]]] = []

    def outReceived(self, data: bytes) -> None:
        """Remember, and tell those who wait for a text."""
        self.output += data.decode()
        for awaited in [each for each in self._awaited if each[0] in self.output]:
            self._awaited.remove(awaited)
            awaited[1].callback(None)

    errReceived = outReceived

    def printed(self, text: str) -> "Deferred[None]":
        """Wait until a text was printed; fail if the program ends without."""
        waiting: Deferred[None] = Deferred()
        self._awaited.append((text, waiting))
        self.outReceived(b"")
        return waiting

    def processEnded(self, reason: Failure) -> None:
        """Tell the exit status."""
        reason.trap(ProcessDone, ProcessTerminated)
        for text, waiting in self._awaited:
            waiting.errback(AssertionError(f"{text!r} was not printed before the end: {self.output}"))
        self.ended.callback(reason.value.exitCode if reason.value.signal is None else -reason.value.signal)


class DemoTests(TestCase):
    """The demo, each time in directories of its own."""

    timeout = 60

    def setUp(self) -> None:
        # Short, for the path of a unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="wd-"))
        self.addCleanup(shutil.rmtree, self.directory)
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

    def start(self, *arguments: str) -> Program:
        """Start `warp demo`."""
        program = Program()
        command = [sys.executable, "-m", "warp_twisted.cli", "demo", *arguments]
        process = reactor.spawnProcess(program, command[0], command, env=self.environment, path=str(self.directory))
        program.signal = process.signalProcess

        def end() -> "Deferred[int] | None":
            if program.ended.called:
                return None
            process.signalProcess("KILL")
            return program.ended

        self.addCleanup(end)
        return program

    def left_behind(self) -> list[str]:
        """Return what is in the directories that a demo uses."""
        return sorted(str(path) for root in (self.runtime, self.temporary) for path in root.rglob("*"))

    async def warp(self, *arguments: str) -> tuple[str, str, int]:
        """Run the command in another process, as from another terminal."""
        output, errors, status = await getProcessOutputAndValue(
            sys.executable, ["-m", "warp_twisted.cli", *arguments], env=self.environment, path=str(self.directory)
        )
        return output.decode(), errors.decode(), status

    async def test_check_drives_the_whole_path(self) -> None:
        """`--check` takes every step, says so, exits 0 and leaves nothing behind."""
        program = self.start("--check")
        status = await program.ended
        self.assertEqual(status, 0, program.output)
        lines = [line for line in program.output.splitlines() if not line.startswith("Note: ")]
        fleet = DemoFleet(reactor, Ports())
        self.addCleanup(shutil.rmtree, fleet.directory)
        sentences = [step.sentence.split(":")[0] for step in steps_of(fleet, reactor)]
        self.assertEqual(len(lines), len(sentences) + 1)
        for line, sentence in zip(lines, sentences, strict=False):
            self.assertRegex(line, r"^ok +\d+ ms  ")
            self.assertIn(sentence, line)
        self.assertRegex(lines[-1], r"^The whole path works: \d+\.\d s$")
        self.assertEqual(self.left_behind(), [])

    async def test_others_find_it(self) -> None:
        """While it runs, `warp status` and `warp token` in other processes talk to it without further options."""
        program = self.start()
        await program.printed("connected: ")
        output, _, status = await self.warp("status", "--json")
        self.assertEqual(status, 0)
        found = json.loads(output)
        self.assertEqual(found["edge"]["zone"], "warp.localhost")
        self.assertEqual([route["hostname"] for route in found["routes"]], ["hello.warp.localhost"])
        output, errors, status = await self.warp("token", "create", "--hostname", "*.team.warp.localhost")
        self.assertEqual(status, 0, errors)
        self.assertTrue(output.startswith("warp1-"))
        program.signal("TERM")
        self.assertEqual(await program.ended, 0, program.output)
        _, errors, status = await self.warp("status")
        self.assertEqual((status, "no edge answers" in errors), (3, True))

    async def test_each_way_to_end_leaves_nothing(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal remove directory, file and sockets, and exit 0."""
        for name in ("INT", "TERM", "HUP"):
            program = self.start()
            await program.printed("connected: ")
            self.assertNotEqual(self.left_behind(), [])
            program.signal(name)
            self.assertEqual(await program.ended, 0, (name, program.output))
            self.assertEqual(self.left_behind(), [], name)

    async def test_end_in_the_middle_of_the_start(self) -> None:
        """Ctrl-C before the demo serves leaves nothing either."""
        program = self.start("--check")
        await program.printed("ok ")
        program.signal("INT")
        await program.ended
        self.assertEqual(self.left_behind(), [])

    async def test_taken_port_is_told(self) -> None:
        """When a port is taken the demo uses another, says so first, and works."""
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind((ADDRESS, WANTED.http))
            except OSError:
                pass  # somebody else has it, which serves as well
            else:
                taken.listen()
            program = self.start("--check")
            self.assertEqual(await program.ended, 0, program.output)
        self.assertRegex(program.output.splitlines()[0], rf"^Note: HTTP port {WANTED.http} is taken: using \d+$")

    async def test_killed_demo_is_not_found(self) -> None:
        """A demo that was killed leaves its file, which nobody believes, and which the next demo replaces."""
        program = self.start()
        await program.printed("connected: ")
        program.signal("KILL")
        self.assertEqual(await program.ended, -signal.SIGKILL)
        self.assertEqual([path.name for path in self.runtime.iterdir()], ["warp-demo.json"])
        self.assertEqual((await self.warp("status"))[2], 3)
        program = self.start()
        await program.printed("connected: ")
        self.assertEqual((await self.warp("status"))[2], 0)
        program.signal("TERM")
        await program.ended
        self.assertEqual(list(self.runtime.iterdir()), [])
