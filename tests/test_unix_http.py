"""Tests of HTTP on a unix socket."""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.case import short_directory_of
from warp_twisted.unix_http import UnixConnection


class UnixConnectionTests(SynchronousTestCase):
    """`UnixConnection`."""

    def setUp(self) -> None:
        self.path = str(short_directory_of(self) / "socket")
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()

    def test_a_question(self) -> None:
        """Who listens there is asked, and answers."""
        asked: list[bytes] = []

        def answer() -> None:
            line, _ = self.listener.accept()
            with line:
                asked.append(line.recv(4096))
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        thread = threading.Thread(target=answer)
        thread.start()
        self.addCleanup(thread.join)
        connection = UnixConnection(self.path, 10.0)
        self.addCleanup(connection.close)
        connection.request("GET", "/live")
        self.assertEqual(connection.getresponse().read(), b"ok")
        self.assertTrue(asked[0].startswith(b"GET /live HTTP/1.1\r\nHost: localhost\r\n"))

    def test_nobody_answers(self) -> None:
        """Who says nothing is not waited for longer than was asked."""
        connection = UnixConnection(self.path, 0.05)
        self.addCleanup(connection.close)
        connection.request("GET", "/live")
        self.assertRaises(TimeoutError, connection.getresponse)
