"""`benchmarks.load.visitors` and `benchmarks.load.origin`, one against the other."""

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.errors import UnexpectedAnswer
from benchmarks.load import visitors
from benchmarks.load.visitors import Address
from benchmarks.processes import free_port, running

_ROOT = Path(__file__).resolve().parents[4]


class OriginTests(SynchronousTestCase):
    """Each visitor of the measuring origin sees what it measures."""

    def setUp(self) -> None:
        """Run the origin."""
        directory = Path(self.mktemp())
        directory.mkdir()
        self.address = Address(port=free_port(), hostname="tools.bench.example")
        program = running(
            "origin",
            [sys.executable, "-m", "benchmarks.load.origin", str(self.address.port)],
            directory,
            {"PYTHONPATH": str(_ROOT)},
        )
        process = program.__enter__()
        self.addCleanup(program.__exit__, None, None, None)
        process.wait_for_port(self.address.port)

    def test_upload(self) -> None:
        """An upload is read to its end before it is answered."""
        self.assertGreater(visitors.upload(self.address, "/sink", 5_000_000), 0)

    def test_chunked_upload(self) -> None:
        """A chunked body is swallowed too, as a proxy may send it, and the connection goes on."""
        with self.address.connect() as connection:
            head = self.address.request("/sink", "PUT", "Transfer-Encoding: chunked\r\n")
            connection.sendall(head + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n" + self.address.request("/sent"))
            answers = b""
            while not answers.endswith(b"\r\n\r\n0"):
                answers += connection.recv(65536)
        self.assertIn(b"204 No Content", answers)

    def test_events(self) -> None:
        """Every event arrives, after it was written."""
        latencies = visitors.event_latencies(self.address, 20)
        self.assertEqual(len(latencies), 20)
        self.assertGreater(min(latencies), 0)

    def test_slow_visitors(self) -> None:
        """Slow visitors take little, and the origin counts what it could send."""
        with visitors.SlowVisitors(self.address, "/gigabyte", 3, 10_000) as slow:
            slow.check()
        self.assertGreaterEqual(int(visitors.fetch(self.address, "/sent")), slow.received)
        self.assertLess(slow.received, 1_000_000)

    def test_idle_visitors(self) -> None:
        """Idle visitors come from several addresses and are all answered."""
        with visitors.idle(self.address, "/sent", 60):
            self.assertEqual(visitors.fetch(self.address, "/sent"), b"0")

    def test_unexpected_answer(self) -> None:
        """A status that is not success is an error that shows the answer."""
        error = self.assertRaises(UnexpectedAnswer, visitors.fetch, self.address, "/missing")
        self.assertIn("404 Not Found", str(error))
