"""
A visitor every few milliseconds, whatever became of those before: what others do to them shows in the longest wait.

A program of its own: python -m benchmarks.load.prober PORT HOSTNAME[,HOSTNAME...] INTERVAL_SECONDS FILE. It asks for
one hostname after the other until SIGTERM, then writes a JSON list of pairs into FILE: when a request was sent
(CLOCK_MONOTONIC), and the seconds until its answer was there; they are negative for a request without a good answer. A
visitor takes a connection that is free, or a new one; when too many wait, the next ones are counted with the last of
these, as they would be answered no sooner.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from benchmarks.load.visitors import Address
from benchmarks.processes import running

_MOST_WAITING = 300
_BODY_BYTES = 1024
_STOP_SECONDS = 20.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """
    How long visitors waited in some stretch of time.

    :param seconds: of each request that was answered, shortest first.
    :param errors: requests that were answered with an error, or lost.
    """

    seconds: list[float]
    errors: int

    @classmethod
    def between(cls, asked: list[tuple[float, float]], began_at: float, ended_at: float) -> Waits:
        """Take those that asked in a stretch of time, or before it and still waited when it began."""
        chosen = [wait for sent_at, wait in asked if sent_at <= ended_at and sent_at + abs(wait) >= began_at]
        answered = sorted(wait for wait in chosen if wait >= 0)
        return cls(seconds=answered, errors=len(chosen) - len(answered))

    def quantile_ms(self, share: float) -> float:
        """Tell in milliseconds how long at most that share of the requests waited; 1.0 for the longest wait."""
        if not self.seconds:
            return math.nan
        return 1000 * self.seconds[max(0, math.ceil(share * len(self.seconds)) - 1)]


@dataclass(slots=True)
class Probing:
    """A prober that runs; `asked` is filled when it has been stopped."""

    asked: list[tuple[float, float]]

    def between(self, began_at: float, ended_at: float) -> Waits:
        """Condense what was asked in a stretch of time."""
        return Waits.between(self.asked, began_at, ended_at)


@contextlib.contextmanager
def probing(address: Address, interval: float, directory: Path, hostnames: Sequence[str] = ()) -> Iterator[Probing]:
    """
    Let a visitor ask every `interval` seconds for the length of a `with` block.

    :param hostnames: to ask for in turn; none: for that of the address.
    """
    target = directory / "prober.json"
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.load.prober", str(address.port)]
    command += [",".join(hostnames or [address.hostname]), str(interval)]
    found = Probing([])
    with running("prober", [*command, str(target)], directory, {"PYTHONPATH": str(_ROOT)}) as program:
        program.wait_for_line("asking")
        yield found
        program.send_signal(signal.SIGTERM)
        program.wait_for_end(_STOP_SECONDS)
    found.asked = [(sent_at, wait) for sent_at, wait in json.loads(target.read_text())]


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


@dataclass(slots=True)
class _Connection:
    """One visitor's connection: when those asked who wait on it, and what has come of the answer."""

    socket: socket.socket
    sent_at: list[float] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Prober:
    """All visitors of one address, who ask for one hostname after the other; `asked` has those whose wait is over."""

    address: Address
    requests: Iterator[bytes]
    asked: list[tuple[float, float]] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _idle: list[_Connection] = field(default_factory=list)
    _waiting: dict[int, _Connection] = field(default_factory=dict)

    def ask_until_stopped(self, interval: float) -> None:
        """Ask until SIGTERM; those who wait then are noted with their wait so far."""
        due = time.monotonic()
        try:
            while True:
                while (now := time.monotonic()) >= due:
                    self._ask()
                    due = max(due + interval, now - interval)
                for key, _ in self._selector.select(due - now):
                    self._read(key.data)
        except _Stopped:
            now = time.monotonic()
            for connection in self._waiting.values():
                self.asked.extend((sent_at, now - sent_at) for sent_at in connection.sent_at)

    def _ask(self) -> None:
        """Let one more visitor ask."""
        now = time.monotonic()
        if len(self._waiting) >= _MOST_WAITING:
            next(reversed(self._waiting.values())).sent_at.append(now)
            return
        try:
            connection = self._idle.pop() if self._idle else self._connect()
        except OSError:
            self.asked.append((now, -max(time.monotonic() - now, 1e-9)))
            return
        connection.sent_at.append(now)
        self._waiting[connection.socket.fileno()] = connection
        try:
            connection.socket.sendall(next(self.requests))
        except OSError:
            self._end(connection, is_good=False)

    def _connect(self) -> _Connection:
        connection = _Connection(self.address.connect())
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except OSError:
            data = b""
        connection.received += data
        head_ends = connection.received.find(b"\r\n\r\n")
        if not data:
            self._end(connection, is_good=False)
        elif head_ends >= 0 and len(connection.received) >= head_ends + 4 + _BODY_BYTES:
            self._end(connection, is_good=True, is_last=b"connection: close" in connection.received[:head_ends].lower())
        elif head_ends >= 0 and connection.received[9:12] != b"200":
            self._end(connection, is_good=False)

    def _end(self, connection: _Connection, *, is_good: bool, is_last: bool = False) -> None:
        """Note what the visitors of a connection waited; one that is good is used again, unless it is to be closed."""
        now = time.monotonic()
        self._waiting.pop(connection.socket.fileno(), None)
        for sent_at in connection.sent_at:
            waited = max(now - sent_at, 1e-9)
            self.asked.append((sent_at, waited if is_good else -waited))
        connection.sent_at.clear()
        connection.received.clear()
        if is_good and not is_last:
            self._idle.append(connection)
            return
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if connection in self._idle:
            self._idle.remove(connection)


def main(port: str, hostnames: str, interval: str, target: str) -> None:
    """Ask until SIGTERM, then write what was seen."""
    signal.signal(signal.SIGTERM, _stop)
    # On a full machine the wait for a core would be counted as the edge's; root may come first.
    with contextlib.suppress(OSError):
        os.nice(-10)
    addresses = [Address(port=int(port), hostname=hostname) for hostname in hostnames.split(",")]
    prober = Prober(addresses[0], itertools.cycle([address.request("/1k") for address in addresses]))
    print("asking", flush=True)
    prober.ask_until_stopped(float(interval))
    Path(target).write_text(json.dumps(prober.asked))


if __name__ == "__main__":
    main(*sys.argv[1:])
