"""Tests of one serving process: its environment, its line, and how its end is told."""

import errno
import os
import select
import signal
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.system.keeper.harness import SECONDS
from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.child import Child, environment_of, start
from warp_twisted.keeper.messages import SERVING_SAYS, Message, decode

TALK = (
    "import os, socket; s = socket.socket(fileno=int(os.environ['WARP_KEEPER_FD'])); [s.send(b'a') for _ in range(5)]"
)
ECHO = "import os, socket; s = socket.socket(fileno=int(os.environ['WARP_KEEPER_FD'])); s.send(s.recv(1000))"


class EnvironmentTests(SynchronousTestCase):
    """What a serving process is told."""

    def test_environment(self) -> None:
        """It hears the keeper where the keeper hears systemd; what is for the keeper alone is left out."""
        given = {
            "NOTIFY_SOCKET": "/run/systemd/notify",
            "WATCHDOG_PID": "1",
            "LISTEN_PID": "1",
            "LISTEN_FDS": "2",
            "A": "b",
        }
        expected = {"NOTIFY_SOCKET": "@00001", "WATCHDOG_USEC": "5", "WARP_KEEPER_FD": "9", "LISTEN_FDS": "2", "A": "b"}
        self.assertEqual(environment_of(given, "@00001", 5, 9), expected)
        self.assertNotIn("WATCHDOG_USEC", environment_of({**given, "WATCHDOG_USEC": "7"}, "@00001", 0, 9))


class ChildTests(SynchronousTestCase):
    """Real processes."""

    def start(self, *command: str) -> Child:
        """Start one, with the first word as a whole path."""
        child = start(1, Launch(sys.executable, command), dict(os.environ), "@none", 0)
        self.addCleanup(child.close)
        return child

    def end_of(self, child: Child) -> str | None:
        """Wait until a process has ended."""
        self.assertTrue(select.select([child.exit_fd], [], [], SECONDS)[0])
        return child.take_end()

    def test_line(self) -> None:
        """What it is told it hears, and what it says is read, also after its end."""
        child = self.start(sys.executable, "-c", ECHO)
        self.assertTrue(child.tell(Message("is", "serving")))
        self.assertEqual(self.end_of(child), "status 0")
        self.assertEqual([decode(packet, "is", SERVING_SAYS).word for packet in child.said()], ["serving"])
        self.assertTrue(child.is_silent)
        self.assertFalse(child.tell(Message("do", "drain")))
        child.signal(signal.SIGTERM)

    def test_one_that_says_much(self) -> None:
        """So many packets are read at once, so that the keeper has turns for others."""
        child = self.start(sys.executable, "-c", TALK)
        self.assertEqual(self.end_of(child), "status 0")
        self.assertEqual([len(list(child.said(3))) for _ in range(3)], [3, 2, 0])
        self.assertTrue(child.is_silent)

    def test_one_that_does_not_read(self) -> None:
        """The keeper does not wait for it: what has no room is not sent."""
        child = self.start(sys.executable, "-c", "import signal; signal.pause()")
        sent = [child.tell(Message("do", "drain")) for _ in range(2000)]
        self.assertEqual((sent[0], sent[-1]), (True, False))
        child.signal(signal.SIGKILL)
        self.assertEqual(self.end_of(child), "signal SIGKILL")

    def test_one_that_nobody_could_hear_of(self) -> None:
        """A process whose end the keeper would not hear of, as there are no more descriptors, is ended."""

        def fail(pid: int) -> int:
            started.append(pid)
            raise OSError(errno.ENFILE, "Too many open files in system")

        started: list[int] = []
        self.patch(os, "pidfd_open", fail)
        launch = Launch(sys.executable, (sys.executable, "-c", ECHO))
        self.assertRaises(OSError, start, 1, launch, dict(os.environ), "@none", 0)
        self.assertRaises(ProcessLookupError, os.kill, started[0], 0)

    def test_program_that_is_not_there(self) -> None:
        """It says so itself, before it ends."""
        child = self.start("/nowhere/twistd")
        self.assertEqual(self.end_of(child), "status 127")
        said = [decode(packet, "is", SERVING_SAYS).text("why") for packet in child.said()]
        self.assertEqual(said, ["/nowhere/twistd: No such file or directory"])
