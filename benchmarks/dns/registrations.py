"""
How soon a registration is answered, while the server is under load, and what the fleet's records take in memory.

A thousand applications register at fifty a second. From the moment the order is sent, the name is asked for every
millisecond; the latency is until the first answer that has an address.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import proc
from benchmarks.dns import dnsperf
from benchmarks.dns.zones import ZONE
from benchmarks.errors import ProgramFailed
from benchmarks.processes import DIE_WITH_PARENT, free_port

PER_SECOND = 50
LOAD_PER_SECOND = 20_000
_ASK_EVERY_SECONDS = 0.001
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrations:
    """
    What was measured.

    :param latencies: seconds from order to answer, sorted.
    :param extra_bytes: resident memory above the empty server's, once the fleet is published.
    """

    latencies: list[float]
    extra_bytes: int
    load: dnsperf.Load

    def percentile(self, percent: float) -> float:
        """Return the latency that so many percent of the registrations did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


class _Fleet:
    """The running server and its standard input."""

    def __init__(self, popen: subprocess.Popen[str], port: int) -> None:
        self._popen = popen
        self.port = port

    def order(self, line: str) -> str:
        """Send a line and wait for the one that answers it."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()
        answer = self._popen.stdout.readline().strip()
        if not answer:
            raise ProgramFailed("the fleet's server has ended")
        return answer

    def memory(self) -> int:
        """Return its resident size in bytes."""
        return proc.resident_bytes(self._popen.pid)


@contextlib.contextmanager
def _fleet(directory: Path) -> Iterator[_Fleet]:
    port = free_port(socket.SOCK_DGRAM)
    command = [*DIE_WITH_PARENT, sys.executable, "-m", "benchmarks.dns.fleet", str(port)]
    with (directory / "fleet.log").open("wb") as log:
        popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert popen.stdout is not None
        if popen.stdout.readline() != "ready\n":
            raise ProgramFailed(f"the fleet's server did not start: {(directory / 'fleet.log').read_text()[-2000:]}")
        yield _Fleet(popen, port)
    finally:
        assert popen.stdin is not None
        popen.stdin.close()
        try:
            popen.wait(5)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def measure(directory: Path, questions: Path, count: int) -> Registrations:
    """Fill a fleet, put the load on, and register so many applications one after the other."""
    with _fleet(directory) as fleet:
        empty = fleet.memory()
        fleet.order("fill")
        _ask_until_there(fleet.port, "app0")
        seconds = count / PER_SECOND
        load = subprocess.Popen(
            dnsperf.command(fleet.port, questions, seconds, per_second=LOAD_PER_SECOND),
            stdout=subprocess.PIPE,
            text=True,
        )
        began = time.monotonic()
        latencies = []
        for number in range(count):
            due = began + number / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            at = time.monotonic()
            fleet.order(f"register new{number}")
            _ask_until_there(fleet.port, f"new{number}")
            latencies.append(time.monotonic() - at)
        report, _ = load.communicate()
        return Registrations(
            latencies=sorted(latencies), extra_bytes=fleet.memory() - empty, load=dnsperf.parse(report)
        )


def _ask_until_there(port: int, name: str) -> None:
    labels = [name, *ZONE.split(".")]
    qname = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    question = b"\0\0\0\1\0\0\0\0\0\0" + qname + b"\0\1\0\1"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        number = 0
        while time.monotonic() < deadline:
            number = number + 1 & 0xFFFF
            sock.send(number.to_bytes(2, "big") + question)
            readable, _, _ = select.select([sock], [], [], _ASK_EVERY_SECONDS)
            if readable:
                reply = sock.recv(4096)
                if reply[3] & 15 == 0 and reply[6:8] != b"\0\0":
                    return
                time.sleep(_ASK_EVERY_SECONDS)
    raise ProgramFailed(f"{name}.{ZONE} was not answered within {_PATIENCE_SECONDS:.0f} s of its registration")
