"""
Visitors and resolvers at a steady rate, to be run in the hosts' network: `visitors.py HOSTNAME RATE EDGE SERVER...`.

Each visitor is a connection of its own that asks once, at the edge's port 80; each name server is asked for the
hostname's addresses ten times a second, without a second try. One line of JSON for each that has ended: whom it asked,
when it began (the monotonic clock, which every program of this machine shares), how long it took, and what was wrong.
Ends with its standard input.
"""

import asyncio
import json
import secrets
import sys
import time
from typing import cast

PATIENCE_SECONDS = 15.0
DNS_PATIENCE_SECONDS = 1.0
DNS_RATE = 10.0
DNS_PORT = 53


def tell(whom: str, began: float, wrong: str) -> None:
    sys.stdout.write(json.dumps([whom, began, time.monotonic() - began, wrong]) + "\n")
    sys.stdout.flush()


async def visit(edge: str, hostname: str) -> str:
    """Ask once, and return what was wrong."""
    reader, writer = await asyncio.open_connection(edge, 80)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(-1)
    finally:
        writer.close()
    if not answer:
        return "cut"
    return "" if answer.startswith(b"HTTP/1.1 200 ") else answer[9:12].decode(errors="replace")


class Question(asyncio.DatagramProtocol):
    """One query, and whether its answer has addresses."""

    def __init__(self, hostname: str) -> None:
        self.id = secrets.token_bytes(2)
        labels = b"".join(bytes([len(label)]) + label.encode() for label in hostname.split("."))
        self.query = self.id + b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
        self.answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.DatagramTransport, transport).sendto(self.query)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self.id and not self.answered.done():
            code, count = data[3] & 15, int.from_bytes(data[6:8], "big")
            self.answered.set_result("" if not code and count else f"rcode {code}, {count} records")

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)


async def look_up(server: str, hostname: str) -> str:
    """Ask once, and return what was wrong."""
    transport, question = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Question(hostname), remote_addr=(server, DNS_PORT)
    )
    try:
        return await question.answered
    finally:
        transport.close()


async def ask(whom: str, hostname: str) -> None:
    """Ask an edge or a name server, and tell what came of it."""
    began = time.monotonic()
    kind, _, address = whom.partition(" ")
    asking = visit(address, hostname) if kind == "edge" else look_up(address, hostname)
    try:
        wrong = await asyncio.wait_for(asking, PATIENCE_SECONDS if kind == "edge" else DNS_PATIENCE_SECONDS)
    except TimeoutError:
        wrong = "no answer"
    except OSError as error:
        wrong = error.strerror or type(error).__name__
    tell(whom, began, wrong)


async def keep_asking(whom: str, hostname: str, rate: float, until: asyncio.Event) -> None:
    """Ask so often, however long each answer takes."""
    began = time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    number = 0
    while not until.is_set():
        task = asyncio.create_task(ask(whom, hostname))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number = max(number + 1, int((time.monotonic() - began) * rate))  # what was missed is not made up for
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
    await asyncio.gather(*under_way)


async def main(hostname: str, rate: float, edge: str, servers: list[str]) -> None:
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, end.set)
    asking = [keep_asking(f"dns {server}", hostname, DNS_RATE, end) for server in servers]
    await asyncio.gather(keep_asking(f"edge {edge}", hostname, rate, end), *asking)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:]))
