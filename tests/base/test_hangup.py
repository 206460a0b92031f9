"""Tests of SIGHUP as a request to reload, with the signal itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_base.hangup import Hangups
from warp_base.reactor import as_reactor

PTH = Path(__file__).resolve().parents[2] / "warp_twisted" / "_dropins" / "warp_hangup.pth"


class ImmediateReactor(MemoryReactorClock):
    """A reactor in memory that calls at once what a thread hands it."""

    def callFromThread(self, function: object, *arguments: object, **keywords: object) -> None:
        """Call a function."""
        assert callable(function)
        function(*arguments, **keywords)


class HangupTests(SynchronousTestCase):
    """Noted, followed, ignored."""

    def setUp(self) -> None:
        """Put the signal back as it was after the test."""
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.hangups = Hangups()
        self.reactor = ImmediateReactor()
        self.asked: list[str] = []

    def test_other_programs_signals(self) -> None:
        """Who takes the service for a program that opens its log again at SIGUSR1 does not kill it."""
        self.hangups.note()
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        self.assertFalse(self.hangups.is_noted)

    def hang_up(self) -> None:
        """Send ourselves the signal."""
        os.kill(os.getpid(), signal.SIGHUP)

    def follow(self) -> None:
        """Begin to follow, in a reactor that runs."""
        self.hangups.follow(as_reactor(self.reactor), lambda: self.asked.append("asked"))
        self.reactor.run()

    def test_before_and_after(self) -> None:
        """Those before somebody follows are one request; each after it is one of its own."""
        self.hangups.note()
        self.hang_up()
        self.hang_up()
        self.follow()
        self.assertEqual((self.asked, self.hangups.is_noted), (["asked"], False))
        self.hang_up()
        self.assertEqual(len(self.asked), 2)

    def test_none_before(self) -> None:
        """Where nobody asked, nothing is called."""
        self.hangups.note()
        self.follow()
        self.assertEqual(self.asked, [])

    def test_at_the_end(self) -> None:
        """A service that ends takes none."""
        self.follow()
        self.hangups.ignore()
        self.hang_up()
        self.assertEqual(self.asked, [])


class FirstMomentsTests(SynchronousTestCase):
    """What Python reads before anything else."""

    def disposition(self, *arguments: str) -> str:
        """Say what a fresh process with some arguments does at SIGHUP after that line."""
        (line,) = [line for line in PTH.read_text().splitlines() if not line.startswith("#")]
        self.assertTrue(line.startswith("import "), "else site takes it for a path")
        script = f"{line}\nimport signal; print(signal.getsignal(signal.SIGHUP).name)"
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def test_services_only(self) -> None:
        """Our services ignore it, and every other program stays as it was."""
        for service in ("warp-edge", "warp-agent", "warp-dns"):
            self.assertEqual(self.disposition("-n", service, "--config", "x"), "SIG_IGN")
        self.assertEqual(self.disposition("-n", "web"), "SIG_DFL")
