"""Tests of a real edge below a real keeper: requests, events, WebSockets and a download over hand-overs, and deaths."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.system.edge.handover.processes import DOWNLOAD_BYTES, SECONDS, EdgeProcess, HandOverTestCase
from warp_twisted.keeper.asking import RequestFailed, ask
from warp_twisted.keeper.messages import Message

# As systemd does: the sockets from descriptor 3 on, and the process's own number.
_BECOME = """
import fcntl, os, sys
listeners = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 50) for each in sys.argv[1].split(",")]
for number, each in enumerate(listeners, 3):
    os.dup2(each, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)), LISTEN_FDNAMES="http:tunnel")
os.execv(sys.argv[2], sys.argv[2:])
"""


class _Kept(EdgeProcess):
    """A keeper, in the place of an edge that a test leads; it leads its edges itself."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def says(self, word: str) -> dict[str, object]:
        return {}

    def tell(self, word: str, **fields: object) -> None:
        pass

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(SECONDS)


class KeptEdgeTests(HandOverTestCase):
    """An edge that a keeper keeps."""

    def start(self) -> EdgeProcess:
        """Start a keeper whose edge serves."""
        self.control = f"{self.admin}-keeper"
        self.addCleanup(Path(self.control).unlink, missing_ok=True)
        numbers = [listener.fileno() for listener in self.listeners]
        twistd = [sys.executable, str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
        keeper = [sys.executable, "-m", "warp_twisted.keeper", "run", "--control", self.control, "--watch", "1", "--"]
        program = [*keeper, *twistd, "warp-edge", "--config", str(self.configuration)]
        self.log = self.directory / "keeper.log"
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _BECOME, ",".join(map(str, numbers)), *program],
                stdout=output,
                stderr=output,
                pass_fds=numbers,
            )
        kept = _Kept(process)
        self.addCleanup(kept.end)
        self.until(lambda: "a new process serves" in self.log.read_text())
        return kept

    def ask(self, word: str) -> Message:
        """Ask the keeper."""
        return ask(self.control, Message("do", word), lambda step: None)

    def changed(self, text: str, before: str, after: str) -> str:
        """Return a configuration with another value; the one before has to be there."""
        self.assertIn(before, text)
        return text.replace(before, after)

    def test_under_load(self) -> None:
        """Over two hand-overs nothing fails, and what began at the first process ends there."""
        self.visitors.start()
        download = self.visitors.add(self.visitors.download)
        self.visitors.until_asked(100)
        for _ in range(2):
            self.assertEqual(self.ask("restart").text("what"), "handed over")
            self.visitors.until_asked(100)
        self.assertEqual(len(self.ask("status").words("draining")), 2)
        download.join(SECONDS)
        self.visitors.stop()
        self.assertEqual((self.visitors.failures, self.visitors.downloaded), ([], DOWNLOAD_BYTES))
        print(f"\n{self.visitors.requests} requests, the worst took {self.visitors.worst_seconds * 1000:.0f} ms")

    def test_key_that_needs_a_new_process(self) -> None:
        """A reload hands over by itself when the edge says that it must; a wrong file changes nothing."""
        self.assertEqual(self.ask("reload").text("what"), "reloaded")
        before = self.ask("status").number("serving")
        text = self.configuration.read_text()
        self.configuration.write_text(self.changed(text, "settle: 60", "settle: none"))
        error = self.assertRaises(RequestFailed, self.ask, "reload")
        self.assertIn("timeouts.settle", str(error))
        error = self.assertRaises(RequestFailed, self.ask, "restart")
        self.assertIn("The old one serves on", str(error))
        self.assertEqual(self.ask("status").number("serving"), before)
        self.configuration.write_text(self.changed(text, "name: edge1", "name: edge1\n  weight: 7"))
        self.assertEqual(self.ask("reload").text("what"), "handed over")
        self.assertNotEqual(self.ask("status").number("serving"), before)
        self.assertTrue(self.page().startswith(b"HTTP/1.1 200"))

    def test_edge_is_killed(self) -> None:
        """Another serves as soon as it can, and agents come back to it."""
        os.kill(self.ask("status").number("serving"), signal.SIGKILL)
        self.until(lambda: self.page().startswith(b"HTTP/1.1 200"))
        self.assertIn("signal SIGKILL", self.log.read_text())
