"""
Visitors: one request each over a plain socket, measured from the outside.

What costs CPU while it measures (transfers) moves whole buffers and parses nothing but the head.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.errors import UnexpectedAnswer

TIMEOUT_SECONDS = 30.0

# What one source address may hold open; the limit of connections per address in Warp's settings is 1,000.
_PER_ADDRESS = 900
_FAR_RECEIVE_BUFFER_BYTES = 16384
_FAR_SEGMENT_BYTES = 1460
_EVENT = re.compile(rb"data: (\d+)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where visitors connect, and the hostname that they ask for."""

    port: int
    hostname: str
    host: str = "127.0.0.1"

    def connect(self, source: str | None = None, *, far_away: bool = False) -> socket.socket:
        """
        Open a connection.

        :param source: the loopback address to come from.
        :param far_away: be as a phone on a bad line. Loopback's segments of 64 KiB would let the kernels at both
            ends hold megabytes for each visitor; with Ethernet's segments they hold what they would out there.
        """
        connection = socket.socket()
        try:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if far_away:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _FAR_RECEIVE_BUFFER_BYTES)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _FAR_SEGMENT_BYTES)
            if source is not None:
                connection.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
                connection.bind((source, 0))
            connection.connect((self.host, self.port))
        except BaseException:
            connection.close()
            raise
        return connection

    def request(self, target: str, method: str = "GET", extra: str = "") -> bytes:
        """Write a request head; `extra` is whole header lines."""
        return f"{method} {target} HTTP/1.1\r\nHost: {self.hostname}\r\n{extra}\r\n".encode()


def read_head(connection: socket.socket) -> tuple[bytes, bytearray]:
    """
    Read one response head.

    :returns: the head, and what came of the body with it.
    :raises UnexpectedAnswer: unless the status is 200 or 204.
    """
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        received = connection.recv(65536)
        if not received:
            raise UnexpectedAnswer(f"the connection closed after {bytes(data[:200])!r}")
        data += received
    if bytes(data[9:12]) not in (b"200", b"204"):
        raise UnexpectedAnswer(repr(bytes(data[:300])))
    return bytes(data[:end]), data[end + 4 :]


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])


def fetch(address: Address, target: str) -> bytes:
    """Fetch a small body that has a Content-Length."""
    with address.connect() as connection:
        connection.sendall(address.request(target))
        head, body = read_head(connection)
        while len(body) < _content_length(head):
            body += connection.recv(65536)
        return bytes(body)


def download(address: Address, target: str) -> float:
    """Read a body as fast as possible, and return bytes per second from the request to the last byte."""
    buffer = bytearray(1024 * 1024)
    with address.connect() as connection:
        began = time.monotonic()
        connection.sendall(address.request(target))
        head, body = read_head(connection)
        length = _content_length(head)
        missing = length - len(body)
        while missing:
            received = connection.recv_into(buffer)
            if not received:
                raise UnexpectedAnswer(f"{missing} bytes before the end the connection closed")
            missing -= received
        return length / (time.monotonic() - began)


def upload(address: Address, target: str, length: int) -> float:
    """Send a body as fast as possible, and return bytes per second from the request to the answer."""
    block = memoryview(bytes(1024 * 1024))
    with address.connect() as connection:
        began = time.monotonic()
        connection.sendall(address.request(target, "PUT", f"Content-Length: {length}\r\n"))
        missing = length
        while missing:
            missing -= connection.send(block[:missing])
        read_head(connection)
        return length / (time.monotonic() - began)


def event_latencies(address: Address, count: int) -> list[float]:
    """Follow an event stream, and return for each event the seconds between its writing and its receipt."""
    latencies: list[float] = []
    pending = bytearray()
    with address.connect() as connection:
        connection.sendall(address.request(f"/events?{count}"))
        _, pending = read_head(connection)
        while len(latencies) < count:
            data = connection.recv(65536)
            now = time.monotonic_ns()
            if not data:
                raise UnexpectedAnswer(f"the stream ended after {len(latencies)} of {count} events")
            pending += data
            end = 0
            for event in _EVENT.finditer(pending):
                latencies.append((now - int(event[1])) / 1e9)
                end = event.end()
            del pending[:end]
    return latencies


def _sources(count: int) -> Iterator[str]:
    """Spread `count` connections over loopback addresses, so that no limit per address is reached."""
    for number in range(count):
        yield f"127.0.1.{number // _PER_ADDRESS + 1}"


@contextlib.contextmanager
def idle(address: Address, target: str, count: int) -> Iterator[None]:
    """Keep `count` visitors connected for the length of a `with` block; each has been answered once."""
    with contextlib.ExitStack() as connections:
        batch: list[socket.socket] = []
        for number, source in enumerate(_sources(count), 1):
            connection = connections.enter_context(address.connect(source))
            connection.sendall(address.request(target))
            batch.append(connection)
            if len(batch) == 50 or number == count:
                for each in batch:
                    head, body = read_head(each)
                    while len(body) < _content_length(head):
                        body += each.recv(65536)
                batch.clear()
        yield


@dataclass(slots=True)
class SlowVisitors:
    """
    Visitors who each read a large body at `bytes_per_second`, in a thread, for the length of a `with` block.

    Each turn of a second is divided into slices, so that thousands of them do not read at one instant.
    """

    address: Address
    target: str
    count: int
    bytes_per_second: int
    received: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _connections: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _lost: int = 0

    def __enter__(self) -> SlowVisitors:
        opened = []
        try:
            for source in _sources(self.count):
                connection = self._connections.enter_context(self.address.connect(source, far_away=True))
                connection.sendall(self.address.request(self.target))
                opened.append(connection)
            for connection in opened:
                self.received += len(read_head(connection)[1])
                connection.setblocking(False)
        except BaseException:
            self._connections.close()
            raise
        self._thread = threading.Thread(target=self._read, args=(opened,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_SECONDS)
        self._connections.close()

    def check(self) -> None:
        """
        Make sure that everyone is still being served.

        :raises UnexpectedAnswer: when a connection was closed before its body ended.
        """
        if self._lost:
            raise UnexpectedAnswer(f"{self._lost} of {self.count} slow visitors lost their connection")

    def _read(self, connections: list[socket.socket]) -> None:
        slices = 10
        share = max(1, self.bytes_per_second // slices) if self.count < slices else self.bytes_per_second
        turn = 0
        alive = set(connections)
        while not self._stop.wait(1 / slices):
            due = connections if self.count < slices else connections[turn % slices :: slices]
            turn += 1
            for connection in due:
                if connection not in alive:
                    continue
                try:
                    data = connection.recv(share)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    alive.discard(connection)
                    self._lost += 1
                self.received += len(data)
