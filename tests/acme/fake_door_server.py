"""Serves a fake door as the edge serves its own: JSON over a unix socket, in threads of its own."""

import shutil
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.acme.fake_door import FakeDoor
from warp_twisted.acme.door import Account, Certificate, Chain, Challenge, Lock, Order
from warp_twisted.acme.errors import DoorRefused


class FakeDoorServer:
    """
    A door that is served.

    :ivar path: of the socket.
    """

    def __init__(self, case: SynchronousTestCase, door: FakeDoor) -> None:
        place = tempfile.mkdtemp(prefix="warp-door-")  # short: the path of a socket has 107 bytes at most
        case.addCleanup(shutil.rmtree, place)
        self.path = str(Path(place, "admin.sock"))
        self._server = _Server(self.path, _Request)
        self._server.door = door
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        case.addCleanup(self.stop)

    def stop(self) -> None:
        """Serve no more; a second time does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    door: FakeDoor

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the tests."""


class _Request(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = 200, self._answer(content)
        except DoorRefused as error:
            status, answer = error.status or 500, {"error": str(error)}
        body = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, content: bytes) -> object:
        door, (_, _, *path) = self.server.door, map(unquote, self.path.split("/"))
        match self.command, path:
            case "GET", ["acme"]:
                return door.view()
            case "PUT", ["acme", "lock"]:
                lock = msgspec.json.decode(content, type=Lock)
                if not door.lock(lock.holder, lock.seconds):
                    raise DoorRefused(f"{door.holder} orders", 409)
            case "PUT", ["acme", "account"]:
                door.keep_account(msgspec.json.decode(content, type=Account))
            case "PUT", ["acme", "orders", name]:
                order = msgspec.json.decode(content, type=Order)
                assert order.name == name
                door.keep_order(order)
            case "PUT", ["certificates", name]:
                door.take_certificate(name, msgspec.json.decode(content, type=Certificate))
            case "GET", ["certificates", name]:
                return Chain(chain=door.chain(name))
            case "POST", ["challenges"]:
                door.publish(msgspec.json.decode(content, type=Challenge))
            case "DELETE", ["challenges"]:
                door.withdraw(msgspec.json.decode(content, type=Challenge))
            case _:
                raise DoorRefused("no such call", 404)
        return {}
