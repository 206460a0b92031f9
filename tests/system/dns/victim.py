"""
A DNS server in a process that serves visitors too, honest clients of both, and clients that do their worst meanwhile.

`python -m tests.system.dns.victim` runs the server: it prints the ports of an echo, which stands for an edge's
visitors, and of DNS. `python -m tests.system.dns.victim KIND PORT` is one of the `ATTACKS`, from 127.0.0.1; honest
clients come from 127.0.0.2.
"""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.dns.helpers import pointers_to, question
from tests.system.edge.victim import Waits

ROOT = Path(__file__).resolve().parents[3]
ZONE = "warp.example"
CONNECTIONS = 45  # of an attack: nearly as many as one network may have
_HONEST = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server in a process of its own."""

    pid: int
    echo_port: int
    dns_port: int

    def cpu_seconds(self) -> float:
        """Return how long it has computed, in user and system time."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def visit(self, seconds: float) -> Waits:
        """Send an octet and wait for it to come back, over and over."""
        return _ask_over_and_over(self.echo_port, b"x", 1, seconds)

    def ask(self, seconds: float) -> Waits:
        """Ask one query after the other on a connection."""
        query = _framed(question(f"app.{ZONE}", "A"))
        return _ask_over_and_over(self.dns_port, query, 40, seconds)

    @contextmanager
    def attacked(self, kind: str) -> Iterator[None]:
        """Let an attack run meanwhile."""
        with _running(kind, str(self.dns_port)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n", "the attack has begun"
            yield
            assert process.poll() is None, "the attack still runs"


@contextmanager
def server_process() -> Iterator[RunningServer]:
    """Run a server."""
    with _running() as process:
        assert process.stdout is not None
        echo, dns = process.stdout.readline().split()
        yield RunningServer(process.pid, int(echo), int(dns))


@contextmanager
def _running(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.dns.victim", *arguments], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def _ask_over_and_over(port: int, query: bytes, least_bytes: int, seconds: float, *, every: float = 0.005) -> Waits:
    waits = Waits()
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(_HONEST, 0)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            began = time.perf_counter()
            client.sendall(query)
            received = 0
            while received < least_bytes:
                piece = client.recv(65_536)
                assert piece, "the connection is kept"
                received += len(piece)
            waits.each.append(time.perf_counter() - began)
            time.sleep(every)
    return waits


def _connect(selector: selectors.BaseSelector, port: int, connections: int) -> None:
    """Open connections, each with the place in what it sends, and say that the attack begins."""
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, [0])
    print("begun", flush=True)


def _pipelined(port: int, data: bytes, connections: int = CONNECTIONS) -> None:
    """Send the same over and over on many connections, as fast as the server takes it, and read what comes back."""
    with selectors.DefaultSelector() as selector:
        _connect(selector, port, connections)
        while True:
            for key, events in selector.select():
                client, at = key.fileobj, key.data
                assert isinstance(client, socket.socket)
                try:
                    if events & selectors.EVENT_READ and not client.recv(1 << 18):
                        selector.unregister(client)
                        continue
                    if events & selectors.EVENT_WRITE:
                        at[0] = (at[0] + client.send(data[at[0] :])) % len(data)
                except BlockingIOError:
                    pass


def _queries(port: int) -> None:
    _pipelined(port, _framed(*[question(f"nothing{number}.{ZONE}", "A") for number in range(1000)]))


def _datagrams(port: int, *, every: float = 0.01) -> None:
    """Send 30,000 a second: more than are answered, and no more than leaves the machine some time for it."""
    queries = [question(f"n{number}.app{number}.{ZONE}", "A") for number in range(20_000)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        print("begun", flush=True)
        at = 0
        while True:
            for query in queries[at : at + 300]:
                sock.sendto(query, ("127.0.0.1", port))
            at = (at + 300) % len(queries)
            time.sleep(every)


def _octets(port: int) -> None:
    query = _framed(question(f"app.{ZONE}", "A"))
    with selectors.DefaultSelector() as selector:
        _connect(selector, port, CONNECTIONS)
        while True:
            for key, _ in selector.select():
                client, at = key.fileobj, key.data
                assert isinstance(client, socket.socket)
                try:
                    client.send(query[at[0] : at[0] + 1])
                    at[0] = (at[0] + 1) % len(query)
                    client.recv(65_536)
                except BlockingIOError:
                    pass


def _new_connections(port: int) -> None:
    query = _framed(question(f"app.{ZONE}", "A"))
    print("begun", flush=True)
    while True:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for client in clients:
            try:
                client.sendall(query)
                client.recv(65_536)
            except ConnectionError:
                pass
            client.close()


def _transfers(port: int) -> None:
    """Ask for more transfers than can run, on each of some connections, and read what comes."""
    with selectors.DefaultSelector() as selector:
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(_framed(*[question(ZONE, "AXFR")] * 500))
            selector.register(sock, selectors.EVENT_READ)
        print("begun", flush=True)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv(1 << 18):
                    selector.unregister(key.fileobj)


def _options(port: int) -> None:
    query = question(f"app.{ZONE}", "A")
    options = b"\xff\x00\0\0" * 16_000
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2, "big") + options
    _pipelined(port, _framed(query[:10] + b"\0\1" + query[12:] + opt), 8)


def _names(port: int) -> None:
    query = question(f"app.{ZONE}", "A")
    in_question = query[:12] + b"\1a" * 32_000 + b"\0\0\1\0\1"
    in_record = query[:8] + b"\0\1\0\0" + query[12:] + b"\1a" * 32_000 + b"\0\0\1\0\1\0\0\0\0\0\0"
    _pipelined(port, _framed(in_question, in_record), 8)


def _pointers(port: int) -> None:
    query = question(f"app.{ZONE}", "A")
    chain = pointers_to(len(query) + 11, 8_000)
    holder = b"\0\xff\0\0\1\0\0\0\0" + len(chain).to_bytes(2, "big") + chain
    key = (0xC000 | len(query) + len(holder) - 2).to_bytes(2, "big")
    signature = key + b"\0\xfa\0\xff\0\0\0\0\0\0"
    _pipelined(port, _framed(query[:10] + b"\0\2" + query[12:] + holder + signature), 8)


ATTACKS: dict[str, Callable[[int], None]] = {
    "queries": _queries,
    "datagrams": _datagrams,
    "octets": _octets,
    "new_connections": _new_connections,
    "options": _options,
    "transfers": _transfers,
    "names": _names,
    "pointers": _pointers,
}


def _serve() -> None:
    from twisted.internet import reactor as installed
    from twisted.internet.address import IPv4Address
    from twisted.internet.protocol import Factory, ServerFactory
    from twisted.protocols.wire import Echo

    from warp_base.loop.event_loop import watch
    from warp_base.loop.turn_times import TurnTimes
    from warp_base.reactor import as_reactor
    from warp_dns import DnsServer, FixedSource, Record, ServedZone, TransferSettings, ZoneSettings

    reactor = as_reactor(installed)
    watch(reactor, TurnTimes())
    name = f"app.{ZONE}"
    source = FixedSource({name: [Record(name, "A", 5, "192.0.2.1")]})
    large = {f"n{number}.{ZONE}": [Record(f"n{number}.{ZONE}", "A", 5, "192.0.2.1")] for number in range(20_000)}
    source.change(large)
    zone = ZoneSettings(
        name=ZONE, nameservers={f"ns1.{ZONE}": ["127.0.0.1"]}, transfer=TransferSettings(networks=["127.0.0.0/8"])
    )
    server = DnsServer(reactor, [ServedZone(zone, source)])
    [(_, dns_port)] = server.start(["127.0.0.1:0"])
    echo = reactor.listenTCP(0, cast(ServerFactory, Factory.forProtocol(Echo)), interface="127.0.0.1")
    print(cast(IPv4Address, echo.getHost()).port, dns_port, flush=True)
    reactor.run()


if __name__ == "__main__":
    if sys.argv[1:]:
        ATTACKS[sys.argv[1]](int(sys.argv[2]))
    else:
        _serve()
