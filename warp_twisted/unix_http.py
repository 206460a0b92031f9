"""HTTP on a unix socket by the standard library's blocking client, for programs that ask and wait."""

import http.client
import socket


class UnixConnection(http.client.HTTPConnection):
    """
    A connection to who listens at a socket.

    :param path: of the socket.
    :param timeout: seconds for each step: connecting, writing, reading.
    """

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
