"""
An edge in a process of its own, a visitor who only wants to be served, and visitors who do their worst meanwhile.

`python -m tests.system.edge.victim` runs the edge: it prints its port, and a line of JSON about itself for each line
that it reads. The attacks run in a process as well, so that what they cost is not the edge's.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
GET = b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Waits:
    """
    How long a visitor waited for its answers, in seconds.

    :ivar each: of each request, in order.
    """

    each: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Half of the answers came sooner."""
        return median(self.each)

    @property
    def worst(self) -> float:
        """The longest wait."""
        return max(self.each)

    def __str__(self) -> str:
        return f"{len(self.each)} answers, median {self.median * 1000:.1f} ms, worst {self.worst * 1000:.0f} ms"


@dataclass(frozen=True, slots=True)
class RunningEdge:
    """
    An edge in a process of its own.

    Its origin answers every GET, that of `/small-chunks` without end, drops what is PUT, and takes no POST.
    """

    process: "subprocess.Popen[bytes]"
    port: int

    def ask(self) -> Mapping[str, Any]:
        """Return what the edge says about itself: bytes that wait, its longest turn, its refusals, its memory."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        answer: Mapping[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def cpu_waits(self) -> tuple[float, int]:
        """Return for how long the edge has waited for a CPU that others used, in seconds, and how often it had one."""
        _, waited, times = map(int, Path(f"/proc/{self.process.pid}/schedstat").read_text().split())
        return waited / 1e9, times

    def visit(self, seconds: float) -> Waits:
        """Ask for the same page over and over, on one connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _measure(lambda: _ask(client), seconds)

    def visit_anew(self, seconds: float) -> Waits:
        """Ask for the same page over and over, on a new connection each time."""

        def ask() -> None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
                _ask(client)

        return _measure(ask, seconds)

    @contextmanager
    def attacked(self, kind: str, **numbers: int) -> Iterator[None]:
        """Let an attack of `tests.system.edge.attacks` run meanwhile."""
        arguments = [f"{name}={number}" for name, number in numbers.items()]
        with _running("tests.system.edge.attacks", kind, str(self.port), *arguments) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n", "the attack has begun"
            yield
            assert process.poll() is None, "the attack still runs"


def _ask(client: socket.socket) -> None:
    """Ask for the page, and wait for all of it."""
    client.sendall(GET)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        piece = client.recv(65_536)
        assert piece, answer
        answer += piece


def _measure(ask: Callable[[], None], seconds: float, *, every: float = 0.01) -> Waits:
    """Ask over and over, and say how long each answer took."""
    waits = Waits()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        began = time.perf_counter()
        ask()
        waits.each.append(time.perf_counter() - began)
        time.sleep(every)
    return waits


@contextmanager
def edge_process(**limits: float) -> Iterator[RunningEdge]:
    """
    Run an edge.

    :param limits: of `VisitorLimits`, where they are not the defaults.
    """
    with _running("tests.system.edge.victim", json.dumps(limits)) as process:
        assert process.stdout is not None
        yield RunningEdge(process, int(process.stdout.readline()))


@contextmanager
def _running(module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _main(limits: Mapping[str, Any]) -> None:
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IPullProducer
    from twisted.internet.stdio import StandardIO
    from twisted.protocols.basic import LineOnlyReceiver
    from zope.interface import implementer

    from tests.system.edge.harness import OK, EdgeHarness, OriginConnection
    from warp_base.loop.event_loop import watch
    from warp_base.loop.turn_times import TurnTimes
    from warp_base.reactor import as_reactor
    from warp_twisted.edge.routes.limits import VisitorLimits
    from warp_twisted.wire.control import RouteOffer

    reactor = as_reactor(installed)
    times = TurnTimes()
    watch(reactor, times)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    edge = EdgeHarness(reactor, limits=VisitorLimits(connections_per_address=10_000, **limits))

    @implementer(IPullProducer)
    class SmallChunks:
        """Chunks of one byte, whenever the connection takes more."""

        def __init__(self, connection: OriginConnection) -> None:
            self._connection = connection

        def resumeProducing(self) -> None:
            self._connection.send(b"1\r\nx\r\n" * 20_000)

        def stopProducing(self) -> None:
            """The connection is gone."""

    sinks: set[OriginConnection] = set()

    def answer(connection: OriginConnection) -> None:
        received = connection.take()
        if received.startswith(b"POST"):
            connection.pause()
        elif received.startswith(b"PUT"):
            sinks.add(connection)
        elif received.startswith(b"GET /small-chunks "):
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.transport.registerProducer(SmallChunks(connection), False)
        elif connection not in sinks:
            for _ in range(received.count(b"\r\n\r\n")):
                connection.send(OK)

    edge.origin.answer = answer

    class Status(LineOnlyReceiver):
        """Says how the edge is, whenever it is asked."""

        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            said = {
                "unread": edge.metrics.unread_bytes,
                "longest": times.longest_seconds,
                "ran": times.longest,
                "refusals": {refusal.slug: count for refusal, count in edge.metrics.refusals.items()},
                "visitors": len(edge.visitors.connections),
                "requests": edge.metrics.requests,
                "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            }
            self.sendLine(json.dumps(said).encode())
            times.longest_seconds = 0.0

    def started(_: object) -> None:
        status = Status()
        StandardIO(status)
        status.sendLine(b"%d" % edge.visitor_port)

    async def start() -> None:
        await edge.start()
        for number in range(4):
            rule = f"[ab]*{'ab'[number % 2]}a[ab]{{{770 - number}}}$"
            await edge.add_tunnel([RouteOffer(id=1, hostname="rules.example", path=rule)], agent=f"agent-{number + 2}")

    Deferred.fromCoroutine(start()).addCallback(started)
    reactor.run()


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
