"""
The origin for what nginx cannot show: uploads swallowed, a gigabyte counted, events that tell their time.

A program of its own, the same one behind every peer; a thread per connection: python -m benchmarks.load.origin PORT

    PUT /sink          reads the body (Content-Length or chunked) and answers 204
    GET /gigabyte      offers 1 GB as fast as it is taken
    GET /sent          how many bytes of /gigabyte were handed to the kernel, as decimal text
    GET /hit           is counted
    GET /hits          how many of those there were, as decimal text
    GET /events?N      N server-sent events, one every 5 ms, each holding CLOCK_MONOTONIC in nanoseconds

CLOCK_MONOTONIC is one clock for all processes of a machine (clock_gettime(2)): a visitor subtracts the times.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

GIGABYTE = 1_000_000_000
EVENT_INTERVAL_SECONDS = 0.005
_BLOCK = memoryview(bytes(256 * 1024))

# Of /gigabyte little waits in this machine's kernel: what is counted as sent has left for the peer.
_SEND_BUFFER_BYTES = 65536


class _Visitor(threading.Thread):
    """Serve one connection until its peer closes it."""

    def __init__(self, connection: socket.socket, sent: list[int], hits: list[int]) -> None:
        super().__init__(daemon=True)
        self._hits = hits
        self._connection = connection
        self._sent = sent
        self._unread = bytearray()
        self._buffer = memoryview(bytearray(1024 * 1024))

    def run(self) -> None:
        with self._connection:
            try:
                while (head := self._read_until(b"\r\n\r\n")) is not None:
                    self._answer(head)
            except (ConnectionError, TimeoutError):
                return

    def _answer(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        if target == b"/sink":
            self._swallow(head.lower())
            self._connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif target == b"/gigabyte":
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
            self._offer(GIGABYTE)
        elif target == b"/sent":
            self._tell(self._sent[0])
        elif target == b"/hit":
            self._hits.append(1)  # a list, as many threads count
            self._tell(1)
        elif target == b"/hits":
            self._tell(len(self._hits))
        elif target.startswith(b"/events?"):
            self._connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            self._tell_time(int(target.partition(b"?")[2]))
        else:
            self._connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _tell(self, number: int) -> None:
        text = b"%d" % number
        self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    def _offer(self, count: int) -> None:
        while count:
            taken = self._connection.send(_BLOCK[: min(count, len(_BLOCK))])
            self._sent[0] += taken
            count -= taken

    def _tell_time(self, count: int) -> None:
        for _ in range(count):
            time.sleep(EVENT_INTERVAL_SECONDS)
            event = b"data: %d\n\n" % time.monotonic_ns()
            self._connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        self._connection.sendall(b"0\r\n\r\n")

    def _swallow(self, head: bytes) -> None:
        if b"\r\nexpect: 100-continue" in head:
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"\r\ntransfer-encoding: chunked" in head:
            while size := int((self._read_until(b"\r\n") or b"0").partition(b";")[0], 16):
                self._skip(size + 2)
            self._read_until(b"\r\n")
        else:
            length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            self._skip(int(length or b"0"))

    def _skip(self, count: int) -> None:
        at_hand = min(count, len(self._unread))
        del self._unread[:at_hand]
        count -= at_hand
        while count:
            received = self._connection.recv_into(self._buffer[: min(count, len(self._buffer))])
            if not received:
                raise ConnectionError
            count -= received

    def _read_until(self, end: bytes) -> bytes | None:
        """Return what comes before `end`, or None when the peer closed."""
        while (at := self._unread.find(end)) < 0:
            data = self._connection.recv(65536)
            if not data:
                return None
            self._unread += data
        found = bytes(self._unread[:at])
        del self._unread[: at + len(end)]
        return found


def main(port: int) -> None:
    """Serve on a loopback port until the process is ended."""
    sent, hits = [0], list[int]()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Visitor(connection, sent, hits).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
