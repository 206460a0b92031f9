"""
New TLS connections: a handshake, one request and its answer, the end; each anew, or each resuming the last session.

A program of its own, since wrk cannot choose between the two:

    python -m benchmarks.load.handshakes PORT HOSTNAME SECONDS THREADS full|resumed

It prints one line of JSON, a `Handshakes`. Threads, because OpenSSL computes without the interpreter's lock.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import ProgramFailed
from benchmarks.load.visitors import Address
from benchmarks.processes import DIE_WITH_PARENT

THREADS = 4
_TIMEOUT_SECONDS = 10.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """
    What one load saw.

    :param resumed: how many of the connections the server let resume a session.
    :param errors: connections that were refused, lost, or answered with something else than success.
    """

    connections: int
    resumed: int
    errors: int
    seconds: float
    p50_seconds: float
    p99_seconds: float

    @property
    def per_second(self) -> float:
        return self.connections / self.seconds

    @property
    def resumed_percent(self) -> float:
        return 100 * self.resumed / max(1, self.connections)


@dataclass(slots=True)
class _Visitor:
    """One thread's connections, one after the other."""

    address: Address
    is_resuming: bool
    context: ssl.SSLContext
    latencies: list[float] = field(default_factory=list)
    resumed: int = 0
    errors: int = 0
    session: ssl.SSLSession | None = None

    def visit_until(self, deadline: float) -> None:
        while (began := time.monotonic()) < deadline:
            try:
                self._visit()
            except OSError:  # ssl.SSLError is one
                self.errors += 1
            else:
                self.latencies.append(time.monotonic() - began)

    def _visit(self) -> None:
        with (
            socket.create_connection((self.address.host, self.address.port), _TIMEOUT_SECONDS) as plain,
            self.context.wrap_socket(plain, server_hostname=self.address.hostname, session=self.session) as connection,
        ):
            connection.sendall(self.address.request("/1k", extra="Connection: close\r\n"))
            status = connection.recv(65536)
            while connection.recv(65536):
                pass
            if status[9:12] != b"200":
                raise ConnectionError(repr(status[:100]))
            self.resumed += bool(connection.session_reused)
            if self.is_resuming:
                # TLS 1.3 sends its tickets after the handshake; with the answer they have come.
                self.session = connection.session


def _context() -> ssl.SSLContext:
    """Make a client's context that spends nothing on verifying: the same certificate is shown by every peer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load(address: Address, seconds: float, threads: int, *, is_resuming: bool) -> Handshakes:
    """Connect again and again, in this process."""
    context = _context()
    visitors = [_Visitor(address, is_resuming, context) for _ in range(threads)]
    began = time.monotonic()
    running = [threading.Thread(target=visitor.visit_until, args=(began + seconds,)) for visitor in visitors]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    took = time.monotonic() - began
    latencies = [latency for visitor in visitors for latency in visitor.latencies]
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return Handshakes(
        connections=len(latencies),
        resumed=sum(visitor.resumed for visitor in visitors),
        errors=sum(visitor.errors for visitor in visitors),
        seconds=took,
        p50_seconds=cuts[49],
        p99_seconds=cuts[98],
    )


def run(address: Address, seconds: float, *, is_resuming: bool) -> Handshakes:
    """
    Connect again and again, from a process of its own.

    :raises ProgramFailed: if it ends with an error.
    """
    command = [*DIE_WITH_PARENT, sys.executable, "-m", "benchmarks.load.handshakes"]
    command += [str(address.port), address.hostname, str(seconds), str(THREADS), "resumed" if is_resuming else "full"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, check=False, process_group=0, cwd=_ROOT
    )
    if ended.returncode != 0:
        raise ProgramFailed(f"handshakes: {ended.stdout}{ended.stderr}")
    return parse(ended.stdout)


def parse(printed: str) -> Handshakes:
    """Read what the program prints."""
    return Handshakes(**json.loads(printed))


def main(port: str, hostname: str, seconds: str, threads: str, kind: str) -> None:
    """Put the load on a loopback port, and print what was seen."""
    seen = load(Address(port=int(port), hostname=hostname), float(seconds), int(threads), is_resuming=kind == "resumed")
    print(json.dumps(dataclasses.asdict(seen)))


if __name__ == "__main__":
    main(*sys.argv[1:])
