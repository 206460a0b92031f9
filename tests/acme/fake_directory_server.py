"""
Serves a fake ACME directory on loopback by https, in threads of its own, and breaks it where a test says so.

Threads, as what is tested blocks.
"""

import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_directory import Answer, FakeDirectory
from tests.self_signed import self_signed


@dataclass
class Fault:
    """
    What is done in the place of an answer, `times` times.

    :ivar answer: is sent, with a nonce.
    :ivar is_silent: nothing is sent until the server ends.
    :ivar is_endless: a body that goes on until the client leaves.
    :ivar is_slow: a head that goes on, a byte now and then, until the client leaves.
    """

    answer: Answer | None = None
    is_silent: bool = False
    is_endless: bool = False
    is_slow: bool = False
    times: int = 1


class FakeDirectoryServer:
    """
    A directory that is served.

    :param validate: as for `FakeDirectory`; for none every name is proved.
    :ivar faults: resource → what is done instead.
    :ivar root: a file with the certificate of the server.
    """

    def __init__(self, case: SynchronousTestCase, validate: Callable[[str, str, str, str], bool] | None = None) -> None:
        place = tempfile.TemporaryDirectory(prefix="warp-acme-")
        case.addCleanup(place.cleanup)
        _, certificate, key = self_signed("localhost", ["localhost", "127.0.0.1"], is_ca=True)
        self.root = Path(place.name, "server.pem")
        self.root.write_bytes(certificate)
        both = Path(place.name, "both.pem")
        both.write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.directory = self.directory = FakeDirectory(
            f"https://127.0.0.1:{self._server.server_address[1]}", validate or (lambda *_: True)
        )
        self.faults = self._server.faults
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        case.addCleanup(self._end, thread)

    @property
    def url(self) -> str:
        """The directory's."""
        return f"{self.directory.base}/directory"

    def _end(self, thread: threading.Thread) -> None:
        self._server.ended.set()
        self._server.shutdown()
        self._server.server_close()
        thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    directory: FakeDirectory

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.faults: dict[str, Fault] = {}
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            fault = self.server.faults.get(self.path.strip("/").partition("/")[0])
            if fault is not None and fault.times > 0:
                fault.times -= 1
            else:
                fault = None
                answer = self.server.directory.answer(self.command, self.path, content)
        if fault is None:
            self._send(answer)
        elif fault.answer is not None:
            self._send(fault.answer)
        elif fault.is_silent:
            self.server.ended.wait()
        elif fault.is_endless:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * 65536)
        elif fault.is_slow:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.server.ended.wait(0.05):
                self.wfile.write(b"x")

    def _send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(body))}
        with self.server.lock:
            headers.setdefault("Replay-Nonce", self.server.directory.nonce())
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
