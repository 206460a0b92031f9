"""A keeper in a process of its own, a systemd that listens to it, and visitors."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.keeper.actions import Launch
from warp_twisted.keeper.asking import ask
from warp_twisted.keeper.messages import Message
from warp_twisted.keeper.notices import read_notice

SECONDS = 60.0  # that something on a loaded machine may take
# Runs as the process that systemd would start: descriptor 3 is the first socket, and LISTEN_PID its own.
_BECOME = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class KeeperTestCase(SynchronousTestCase):
    """
    Starts keepers.

    :ivar behaviour: the file that says how processes behave which are started next.
    :ivar control: the control socket.
    """

    def setUp(self) -> None:
        """Make a directory, a systemd and a socket for visitors."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.behaviour = self.directory / "behaviour"
        self.behave("normal")
        self.control = str(self.directory / "keeper.sock")
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind("")
        self.systemd.settimeout(SECONDS)
        self.addCleanup(self.systemd.close)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.addCleanup(self.listener.close)
        self.launch = Launch(sys.executable, (sys.executable, "-m", "tests.keeper.serving", str(self.behaviour)))
        self.said: list[Mapping[str, str]] = []

    def behave(self, word: str) -> None:
        """Have processes that are started from now on, or reload, behave in another way."""
        self.behaviour.write_text(word)

    def start(self, watchdog_seconds: float = 0) -> "subprocess.Popen[bytes]":
        """Start a keeper."""
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": "@" + self.systemd.getsockname()[1:].decode(),
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "http",
        }
        if watchdog_seconds:
            environment["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))
        options = [
            "-m",
            "warp_twisted.keeper",
            "run",
            "--control",
            self.control,
            "--watch",
            "1",
            "--",
            *self.launch.command,
        ]
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _BECOME, sys.executable, *options],
                env=environment,
                stdout=log,
                preexec_fn=lambda: os.dup2(self.listener.fileno(), 3) and None,
                pass_fds=(3, self.listener.fileno()),
            )
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> int:
        """End a keeper and wait for it."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        return process.wait(SECONDS)

    def hears(self, fits: Callable[[Mapping[str, str]], bool]) -> Mapping[str, str]:
        """Wait until systemd is told something."""
        until = monotonic() + SECONDS
        while monotonic() < until:
            notice = read_notice(self.systemd.recv(4096))
            self.said.append(notice)
            if fits(notice):
                return notice
        raise AssertionError(f"systemd was not told: {self.said}")

    def ready(self) -> Mapping[str, str]:
        """Wait until the service is ready."""
        return self.hears(lambda notice: notice.get("READY") == "1")

    def visit(self, hold: bool = False) -> tuple[int, socket.socket]:
        """Visit; return who served, and the connection."""
        visitor = socket.create_connection(self.listener.getsockname(), timeout=SECONDS)
        self.addCleanup(visitor.close)
        visitor.send(b"hold" if hold else b"pass")
        return int(visitor.recv(100)), visitor

    def ask(self, word: str, launch: Launch | None = None) -> Message:
        """Ask the keeper, and wait for the end of it."""
        request = Message("do", word)
        if launch is not None:
            request = Message("do", word, {"python": launch.python, "command": launch.command, "mark": launch.mark})
        self.steps: list[str] = []
        return ask(self.control, request, self.steps.append)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what nobody says."""
        ends_at = monotonic() + SECONDS
        while not condition():
            if monotonic() > ends_at:
                raise AssertionError("it has not come about in time")
            threading.Event().wait(0.02)

    def log(self) -> str:
        """Return what the keeper logged."""
        return (self.directory / "log").read_text()
