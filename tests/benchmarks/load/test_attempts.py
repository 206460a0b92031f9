"""`benchmarks.load.attempts`: what is attempted, and what is counted."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from socket import create_server

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.errors import ProgramFailed
from benchmarks.load import visitors
from benchmarks.load.attempts import Attempts, Running, attempting
from benchmarks.load.visitors import Address
from benchmarks.processes import free_port, running

_ROOT = Path(__file__).resolve().parents[3]


class AttemptsTests(SynchronousTestCase):
    """Attempts that a program makes."""

    def setUp(self) -> None:
        """Have a directory."""
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()

    def test_both_ends_count_the_same(self) -> None:
        """As many answers as attempts, and as many at the origin, with new connections and with those that stay."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.load.origin", str(port)]
        with running("origin", command, self.directory, {"PYTHONPATH": str(_ROOT)}) as origin:
            origin.wait_for_port(port)
            seen = 0
            for keep_alive in (False, True):
                attempts = Attempts(port=port, hostname="a.example", per_second=200, seconds=0.3, keep_alive=keep_alive)
                with attempting(attempts, self.directory) as program:
                    self.assertRaises(ProgramFailed, lambda program=program: program.outcome)
                outcome = program.outcome
                self.assertEqual((outcome.attempts, outcome.statuses), (60, {"200": 60}))
                self.assertGreaterEqual(outcome.seconds, 0.25)
                seen += 60
                self.assertEqual(int(visitors.fetch(Address(port=port, hostname="a.example"), "/hits")), seen)

    def _outcome_of(self, serve: Callable[[int], bytes]) -> dict[str, int]:
        """Attempt ten connections, whose answers depend on their number."""
        with create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(20)

            def answer() -> None:
                for number in range(10):
                    connection, _ = listener.accept()
                    with connection:
                        data = serve(number)
                        if data:
                            connection.recv(65536)
                            connection.sendall(data)

            server = threading.Thread(target=answer)
            server.start()
            attempts = Attempts(port=listener.getsockname()[1], hostname="a.example", per_second=100, seconds=0.1)
            with attempting(attempts, self.directory) as program:
                pass
            server.join(10)
            return program.outcome.statuses

    def test_refusals(self) -> None:
        """Answers are counted by their status, and connections that are closed without one."""
        refused = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno"
        self.assertEqual(self._outcome_of(lambda number: refused if number < 3 else b""), {"429": 3, "closed": 7})

    def test_not_ended(self) -> None:
        """Nothing is known of a program that has not ended."""
        self.assertRaises(ProgramFailed, lambda: Running(self.directory / "none").outcome)
