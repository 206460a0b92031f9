"""`benchmarks.load.handshakes` against a TLS server of the standard library."""

import socket
import ssl
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.certificates import write_certificate
from benchmarks.load import handshakes
from benchmarks.load.visitors import Address
from benchmarks.processes import free_port


class _Server(threading.Thread):
    """Answer one request on each connection, then close it."""

    def __init__(self, certificate: Path, answer: bytes) -> None:
        super().__init__(daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = Address(port=self._listener.getsockname()[1], hostname="web.bench.example")

    def run(self) -> None:
        """Serve until closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(self._answer)
                    secure.unwrap()
            except OSError:
                continue

    def close(self) -> None:
        """End the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(10)


class HandshakesTests(SynchronousTestCase):
    """Full and resumed handshakes."""

    def _serve(self, answer: bytes) -> Address:
        directory = Path(self.mktemp())
        directory.mkdir()
        server = _Server(write_certificate(directory, ["web.bench.example"]), answer)
        server.start()
        self.addCleanup(server.close)
        return server.address

    def test_kinds(self) -> None:
        """Either no connection resumes a session, or all but each thread's first do."""
        address = self._serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        full = handshakes.load(address, 0.3, 2, is_resuming=False)
        self.assertEqual((full.resumed, full.errors), (0, 0))
        self.assertGreaterEqual(full.connections, 2)
        resumed = handshakes.load(address, 0.3, 2, is_resuming=True)
        self.assertEqual((resumed.resumed, resumed.errors), (resumed.connections - 2, 0))

    def test_program(self) -> None:
        """The program prints what it saw, and the caller reads it."""
        seen = handshakes.run(self._serve(b"HTTP/1.1 200 OK\r\n\r\n"), 0.3, is_resuming=True)
        self.assertGreater(seen.connections, 4)
        self.assertGreater(seen.resumed, 0)
        self.assertGreater(seen.p99_seconds, 0)

    def test_errors(self) -> None:
        """An answer without success is an error, not a connection."""
        seen = handshakes.load(self._serve(b"HTTP/1.1 503 Busy\r\n\r\n"), 0.2, 1, is_resuming=False)
        self.assertEqual(seen.connections, 0)
        self.assertGreater(seen.errors, 0)

    def test_nobody_listens(self) -> None:
        """Connections that are refused are errors."""
        nowhere = Address(port=free_port(), hostname="web.bench.example")
        seen = handshakes.load(nowhere, 0.05, 1, is_resuming=False)
        self.assertEqual((seen.connections, seen.p99_seconds), (0, 0))
        self.assertGreater(seen.errors, 0)
