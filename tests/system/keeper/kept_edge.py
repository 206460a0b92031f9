"""A real edge below a real keeper, as a test case: the keeper leads its edges, and the test asks it as operators do."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.system.edge.handover.processes import SECONDS, EdgeProcess, HandOverTestCase
from warp_twisted.keeper.asking import ask
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


class KeptEdgeTestCase(HandOverTestCase):
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
        self.steps: list[str] = []
        return ask(self.control, Message("do", word), self.steps.append)

    def changed(self, text: str, before: str, after: str) -> str:
        """Return a configuration with another value; the one before has to be there."""
        self.assertIn(before, text)
        return text.replace(before, after)
