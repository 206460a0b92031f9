"""
Visitors who try to get in at a steady rate, however many are refused: what a limit or a ban makes of them.

A program of its own: python -m benchmarks.load.attempts CONFIGURATION, a JSON file with the fields of `Attempts`. Each
attempt opens a connection and asks, or asks on a connection that is free; what became of all of them is written into
the file that `target` names, as JSON. Attempts that come late, as the machine is busy, are made up for.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.errors import ProgramFailed
from benchmarks.load.visitors import Address
from benchmarks.processes import running

_ROOT = Path(__file__).resolve().parents[2]
_DRAIN_SECONDS = 2.0  # for what is under way at the end
_MOST_WAITING = 4_000
# SO_LINGER of 0 s: close with a reset, as a port would else stay in TIME_WAIT for a minute, and ports would run out.
_AT_ONCE = struct.pack("ii", 1, 0)


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """
    What to do.

    :param per_second: attempts.
    :param source: the address to come from; empty for any.
    :param keep_alive: ask on connections that are free, rather than on a new one each time.
    :param path: what is asked for.
    """

    port: int
    hostname: str
    per_second: float
    seconds: float
    path: str = "/hit"
    source: str = ""
    keep_alive: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """
    What became of it.

    :param attempts: how many were made.
    :param statuses: status → answers; "closed": without an answer; "waiting": when it ended; "unmade": no socket.
    """

    attempts: int
    seconds: float
    statuses: dict[str, int]

    def count(self, status: int | str) -> int:
        """Return how many came to this."""
        return self.statuses.get(str(status), 0)


class Running:
    """Attempts that are being made by a program."""

    def __init__(self, target: Path) -> None:
        self._target = target

    @property
    def outcome(self) -> Outcome:
        """
        What became of them; once the program has ended.

        :raises ProgramFailed: it has not.
        """
        if not self._target.exists():
            raise ProgramFailed("attempts: the program has not ended")
        return msgspec.json.decode(self._target.read_bytes(), type=Outcome)


@contextlib.contextmanager
def attempting(attempts: Attempts, directory: Path) -> Iterator[Running]:
    """Make attempts in a program for the length of a `with` block, which waits at its end until all are made."""
    configuration, target = directory / "attempts.json", directory / "attempted.json"
    configuration.write_bytes(msgspec.json.encode(attempts))
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.load.attempts", str(configuration), str(target)]
    with running("attempts", command, directory, {"PYTHONPATH": str(_ROOT)}) as program:
        program.wait_for_line("begun")
        yield Running(target)
        program.wait_for_end(attempts.seconds + 20)


class _Maker:
    """Makes attempts."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        address = Address(port=attempts.port, hostname=attempts.hostname)
        self._request = address.request(attempts.path)
        self._where = (address.host, address.port)
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, tuple[socket.socket, bytearray]] = {}
        self._idle: list[socket.socket] = []
        self._found: Counter[str] = Counter()

    def make(self) -> Outcome:
        """Make them all."""
        attempts = self._attempts
        total = round(attempts.per_second * attempts.seconds)
        began = time.monotonic()
        made = 0
        while made < total:
            due = min(total, int((time.monotonic() - began) * attempts.per_second) + 1)
            while made < due:
                made += 1
                self._attempt()
            self._read(max(0.0, began + made / attempts.per_second - time.monotonic()))
        seconds = time.monotonic() - began
        until = time.monotonic() + _DRAIN_SECONDS
        while self._waiting and (left := until - time.monotonic()) > 0:
            self._read(left)
        self._found["waiting"] += len(self._waiting)
        return Outcome(made, seconds, {each: count for each, count in self._found.items() if count})

    def _attempt(self) -> None:
        if self._idle:
            connection = self._idle.pop()
        elif len(self._waiting) >= _MOST_WAITING:
            self._found["unmade"] += 1
            return
        else:
            connection = self._connect()
        self._waiting[connection.fileno()] = connection, bytearray()
        try:
            connection.send(self._request)
        except BlockingIOError:  # not connected yet, which on loopback means that the queue is full
            self._selector.modify(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        except OSError:
            self._end(connection, "closed")

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        if self._attempts.source:
            connection.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            connection.bind((self._attempts.source, 0))
        connection.connect_ex(self._where)
        self._selector.register(connection, selectors.EVENT_READ)
        return connection

    def _read(self, seconds: float) -> None:
        for key, events in self._selector.select(seconds):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if events & selectors.EVENT_WRITE:
                self._selector.modify(connection, selectors.EVENT_READ)
                with contextlib.suppress(OSError):
                    connection.send(self._request)
            if events & selectors.EVENT_READ:
                self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        waiting = self._waiting.get(connection.fileno())
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if waiting is None:  # it was idle, and the edge has closed it
            self._idle.remove(connection)
            self._close(connection)
            return
        received = waiting[1]
        received += data
        if not data:
            self._end(connection, "closed")
        elif _is_whole(received):
            self._end(connection, received[9:12].decode())

    def _end(self, connection: socket.socket, status: str) -> None:
        self._found[status] += 1
        del self._waiting[connection.fileno()]
        if self._attempts.keep_alive and status != "closed":
            self._idle.append(connection)
        else:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()


def _is_whole(received: bytearray) -> bool:
    head, end, body = bytes(received).partition(b"\r\n\r\n")
    length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(length or b"0")


def main(configuration: str, target: str) -> None:
    """Make the attempts of a file, and write what became of them."""
    attempts = msgspec.json.decode(Path(configuration).read_bytes(), type=Attempts)
    maker = _Maker(attempts)
    print("begun", flush=True)
    outcome = maker.make()
    Path(target).write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
