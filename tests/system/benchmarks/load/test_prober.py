"""`benchmarks.load.prober` against a server that can be held."""

import socket
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.load.prober import Waits, probing
from benchmarks.load.visitors import Address

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024


class _Server:
    """Answer requests on any number of connections; `held` stops all answers, `answer` is what they are."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.answer = _ANSWER
        self.asked = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = Address(port=self._listener.getsockname()[1], hostname="web.bench.example")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(65536):
                    self.asked.release()
                    self.goes_on.wait(10)
                    connection.sendall(self.answer)
            except OSError:
                return

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many more requests have come."""
        for _ in range(count):
            assert self.asked.acquire(timeout=10)


class ProberTests(SynchronousTestCase):
    """What visitors wait."""

    def setUp(self) -> None:
        """Run a server."""
        self.server = _Server()
        self.addCleanup(self.server.close)
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()

    def _probed(self) -> tuple[Waits, float]:
        """Hold the server while twenty visitors ask, and return what all waited and how long it was held."""
        with probing(self.server.address, 0.005, self.directory) as visitors:
            began = time.monotonic()
            self.server.wait_for_requests(5)
            self.server.goes_on.clear()
            held_at = time.monotonic()
            self.server.wait_for_requests(20)
            held = time.monotonic() - held_at
            self.server.goes_on.set()
            self.server.wait_for_requests(5)
        return visitors.between(began, time.monotonic()), held

    def test_held(self) -> None:
        """Visitors go on to come while others wait, and the longest wait is as long as the server was held."""
        waits, held = self._probed()
        self.assertEqual(waits.errors, 0)
        self.assertGreaterEqual(waits.quantile_ms(1), 900 * held)
        self.assertGreater(sum(wait > held / 4 for wait in waits.seconds), 5)

    def test_errors(self) -> None:
        """Answers without success are counted as errors."""
        self.server.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        waits, _ = self._probed()
        self.assertGreater(waits.errors, 20)
