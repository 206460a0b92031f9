"""
Visitors that do their worst, each attack a function; they mean no harm to anybody but `tests.system.edge.victim`.

`python -m tests.system.edge.attacks KIND PORT [NAME=NUMBER ...]` runs one until it is killed. It says `begun` when all
its connections are made and busy.
"""

import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from random import Random

SETTLE_SECONDS = 1.0  # in which connections are made, to the origin as well: what that costs is no attack's


def connect(port: int, count: int, first: bytes = b"", source: str = "") -> list[socket.socket]:
    """Connect as many visitors, perhaps from another address than usual, and let each say something."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(first)
        client.setblocking(False)
        clients.append(client)
    return clients


def pause(seconds: float) -> None:
    """Let others have the machine: an attack is told by how often it comes."""
    if seconds:
        time.sleep(seconds)


def send_for_ever(clients: list[socket.socket], data: bytes, *, reads: bool, rest: float = 0.0) -> Iterator[bool]:
    """Send the same bytes over and over on each connection, as fast as they are taken; say whether any were."""
    poll = select.epoll()
    by_number = {client.fileno(): client for client in clients}
    at = dict.fromkeys(by_number, 0)
    for number in by_number:
        poll.register(number, select.EPOLLOUT | (select.EPOLLIN if reads else 0))
    while True:
        busy = poll.poll(0.3)
        for number, events in busy:
            client = by_number[number]
            try:
                if events & select.EPOLLIN:
                    client.recv(1 << 20)
                at[number] += client.send(data[at[number] : at[number] + 262_144])
                at[number] %= len(data)
            except BlockingIOError:
                continue
            except ConnectionError:  # the edge has cut it
                poll.unregister(number)
        yield bool(busy)
        pause(rest)


def pipelined_refusals(port: int, *, connections: int = 20) -> Iterator[bool]:
    """Pipeline requests that the edge answers by itself: 5 MB of them on each connection, again and again."""
    request = b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n"
    yield from send_for_ever(connect(port, connections), request * (5_000_000 // len(request)), reads=True)


def uploads_without_credit(port: int, *, connections: int = 60) -> Iterator[bool]:
    """Upload on many connections to an origin that takes nothing, until the edge takes nothing either."""
    head = b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000000\r\n\r\n"
    sending = send_for_ever(connect(port, connections, head), b"x" * 1_000_000, reads=False)
    quiet = 0
    while quiet < 5:  # of 0.3 s
        quiet = 0 if next(sending) else quiet + 1
    yield from sending


def small_chunks(port: int, *, connections: int = 20) -> Iterator[bool]:
    """Upload in chunks of one byte, as fast as they are taken."""
    head = b"PUT / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from send_for_ever(connect(port, connections, head), b"1\r\nx\r\n" * 100_000, reads=False)


def small_answers(port: int, *, connections: int = 20) -> Iterator[bool]:
    """Ask for answers in chunks of one byte that have no end, and read them as fast as they come."""
    clients = connect(port, connections, b"GET /small-chunks HTTP/1.1\r\nHost: app.example\r\n\r\n")
    poll = select.epoll()
    by_number = {client.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    while True:
        busy = poll.poll(0.3)
        for number, _ in busy:
            by_number[number].recv(1 << 20)
        yield bool(busy)


def small_reads(port: int, *, connections: int = 50) -> Iterator[bool]:
    """Upload byte by byte, each in a segment of its own, on many connections."""
    head = b"PUT / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000000\r\n\r\n"
    yield from send_for_ever(connect(port, connections, head), b"x", reads=False, rest=0.01)


def small_heads(port: int, *, connections: int = 50) -> Iterator[bool]:
    """Send heads byte by byte, each in a segment of its own, on many connections."""
    head = b"GET / HTTP/1.1\r\nHost: app.example\r\nX-Long: "
    yield from send_for_ever(connect(port, connections, head), b"x", reads=False, rest=0.01)


def costly_paths(port: int, *, connections: int = 20) -> Iterator[bool]:
    """Ask for the paths that take longest to match, one after the other on each connection."""
    random = Random(1)
    request = b"GET /%b HTTP/1.1\r\nHost: rules.example\r\n\r\n"
    paths = [bytes(random.choice(b"ab") for _ in range(120)) for _ in range(1_000)]
    yield from send_for_ever(connect(port, connections), b"".join(request % path for path in paths), reads=True)


def costly_paths_anew(port: int, *, connections: int = 6) -> Iterator[bool]:
    """Ask for such paths on connections that are new every time, and leave before the answer."""
    random = Random(1)
    while True:
        path = bytes(random.choice(b"ab") for _ in range(120))
        clients = connect(port, connections, b"GET /%b HTTP/1.1\r\nHost: rules.example\r\n\r\n" % path)
        yield True
        pause(0.02)
        for client in clients:
            client.close()


def idle_connections(port: int, *, connections: int = 500) -> Iterator[bool]:
    """Hold as many connections from each of four addresses, some with part of a head, and replace what is cut."""
    poll = select.epoll()
    sources = {}
    for number in range(4):
        for client in connect(port, connections, b"GET / HT" if number % 2 else b"", f"127.0.0.{number + 2}"):
            sources[client.fileno()] = number, client
            poll.register(client.fileno(), select.EPOLLIN)
    while True:
        lost = poll.poll(0.3)[:20]
        for fileno, _ in lost:
            number, client = sources.pop(fileno)
            client.close()  # which takes it from the poll as well
            (client,) = connect(port, 1, b"", f"127.0.0.{number + 2}")
            sources[client.fileno()] = number, client
            poll.register(client.fileno(), select.EPOLLIN)
        yield bool(lost)
        pause(0.05)


KINDS: dict[str, Callable[..., Iterator[bool]]] = {
    function.__name__: function
    for function in (
        pipelined_refusals,
        uploads_without_credit,
        small_chunks,
        small_answers,
        small_reads,
        small_heads,
        costly_paths,
        costly_paths_anew,
        idle_connections,
    )
}


def _main(kind: str, port: int, **numbers: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    attack = KINDS[kind](port, **numbers)
    settled_at = time.monotonic() + SETTLE_SECONDS
    while next(attack) is not None and time.monotonic() < settled_at:
        pass
    print("begun", flush=True)
    for _ in attack:
        pass


if __name__ == "__main__":
    _main(
        sys.argv[1], int(sys.argv[2]), **{name: int(text) for name, _, text in (a.partition("=") for a in sys.argv[3:])}
    )
