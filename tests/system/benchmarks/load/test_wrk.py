"""`benchmarks.load.wrk` and its script, on nginx and on a server that keeps what it was asked."""

import contextlib
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.load import visitors, wrk
from benchmarks.peers.origins import open_origins

_BROWSER_FIELDS = 13


class _Listening(threading.Thread):
    """Answer every request of the first connection that has one, and keep the heads; wrk opens one before to try."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[list[str]] = []

    def run(self) -> None:
        """Serve until that connection is closed."""
        with self._listener:
            while not self.heads:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        unread = b""
        while data := connection.recv(65536):
            *heads, unread = (unread + data).split(b"\r\n\r\n")
            self.heads += [head.decode().split("\r\n") for head in heads]
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" * len(heads))


class RequestsTests(SynchronousTestCase):
    """What a peer is asked."""

    def _asked(self, *, is_varied: bool) -> list[list[str]]:
        """Load a server for a moment over one connection."""
        server = _Listening()
        server.start()
        load = wrk.run(f"http://127.0.0.1:{server.port}/varied", 1, 1, "web.bench.example", varied=is_varied)
        server.join(10)
        self.assertEqual(load.errors, 0)
        self.assertGreater(len(server.heads), 100)
        return server.heads

    def test_varied(self) -> None:
        """Each request has a browser's 13 fields; Referer and Cookie are never the same twice, the rest always is."""
        heads = self._asked(is_varied=True)
        fields = [dict(line.split(": ", 1) for line in lines) for _, *lines in heads]
        self.assertEqual({len(each) for each in fields}, {_BROWSER_FIELDS})
        for name in ("Referer", "Cookie"):
            self.assertEqual(len({each[name] for each in fields}), len(fields))
        steady = {tuple(value for name, value in each.items() if name not in ("Referer", "Cookie")) for each in fields}
        self.assertEqual(len(steady), 1)
        self.assertEqual({head[0] for head in heads}, {"GET /varied HTTP/1.1"})
        self.assertEqual(fields[0]["Host"], "web.bench.example")

    def test_identical(self) -> None:
        """Without the script all requests are the same, and short."""
        heads = {tuple(head) for head in self._asked(is_varied=False)}
        self.assertEqual(heads, {("GET /varied HTTP/1.1", "Host: web.bench.example")})


class AnswersTests(SynchronousTestCase):
    """What the origin answers."""

    def test_varied(self) -> None:
        """ETag and Set-Cookie of an answer are those of no other; the body is the one of /1k."""
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        with open_origins(directory, 2000) as origins:
            heads = set()
            for _ in range(3):
                with origins.web.connect() as connection:
                    connection.sendall(origins.web.request("/varied"))
                    head, _ = visitors.read_head(connection)
                heads.add(tuple(line for line in head.split(b"\r\n") if line.startswith((b"ETag: ", b"Set-Cookie: "))))
            self.assertEqual({len(lines) for lines in heads}, {2})
            self.assertEqual(len(heads), 3)
            self.assertEqual(visitors.fetch(origins.web, "/varied"), visitors.fetch(origins.web, "/1k"))
