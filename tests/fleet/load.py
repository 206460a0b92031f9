"""
Visitors at a steady rate, to be run in the hosts' network: `load.py ADDRESS HOSTNAME RATE [--seconds N]`.

With `--nameserver` the address is that of a name server, and visitors go where it says, one edge after the other; an
answer is kept for its TTL, as resolvers do, and no longer.

Each is a connection of its own that asks once. Besides, every half second one begins a download of three seconds.
They come for so many seconds, or else until standard input ends. What became of them is printed as JSON: how many
asked, were answered, refused at connecting, cut off or answered wrongly, and the slowest answer: of all, and of those
who came in each second of the clock.
"""

import argparse
import asyncio
import itertools
import json
import select
import socket
import sys
import time
from collections import Counter

SLOW_SECONDS = 3
SLOW_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 30.0


class Names:
    """
    What a resolver would say: it asks a name server for a hostname's IPv4 addresses, and remembers them.

    :param server: the name server's address.
    """

    def __init__(self, server: str, hostname: str) -> None:
        self._server = server
        labels = [label.encode() for label in hostname.split(".")]
        name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        self._question = name + b"\0\1\0\1"
        self._addresses: list[str] = []
        self._good_until = 0.0
        self._turn = itertools.count()
        self._asking = asyncio.Lock()

    async def address(self) -> str:
        """Return the address of an edge, the next one each time."""
        async with self._asking:
            if time.monotonic() >= self._good_until:
                ttl, self._addresses = await asyncio.to_thread(self._ask)
                self._good_until = time.monotonic() + ttl
        return self._addresses[next(self._turn) % len(self._addresses)]

    def _ask(self) -> tuple[int, list[str]]:
        query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + self._question
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(1.0)
            for _ in range(5):
                line.sendto(query, (self._server, 53))
                try:
                    answer = line.recv(4096)
                except TimeoutError:
                    continue
                # Each record: the name as two bytes that point to the question, A, IN, TTL, length, address.
                records = answer[12 + len(self._question) :].split(b"\xc0\x0c\0\1\0\1")[1:]
                found = [(int.from_bytes(each[:4], "big"), socket.inet_ntoa(each[6:10])) for each in records]
                if found:
                    return min(ttl for ttl, _ in found), [address for _, address in found]
        raise OSError("the name server has no address")


class Load:
    """The visitors."""

    def __init__(self, address: str, hostname: str, *, is_nameserver: bool = False) -> None:
        self.address = address
        self.names = Names(address, hostname) if is_nameserver else None
        self.hostname = hostname
        self.outcomes: Counter[str] = Counter()
        self.oddities: list[str] = []
        self.slowest: dict[int, float] = {}  # by the second in which they came
        self.asked = 0

    async def ask(self, path: str, expected: bytes, kind: str) -> None:
        begun, second = time.monotonic(), int(time.time())
        try:
            outcome = await asyncio.wait_for(self.talk(path, expected), PATIENCE_SECONDS)
        except TimeoutError:
            outcome = "unanswered"
        if kind == "quick":
            self.slowest[second] = max(self.slowest.get(second, 0.0), time.monotonic() - begun)
        self.outcomes[f"{kind}_{outcome}"] += 1

    async def talk(self, path: str, expected: bytes) -> str:
        try:
            address = await self.names.address() if self.names else self.address
        except OSError:
            return "unresolved"
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(address, 80), PATIENCE_SECONDS / 2)
        except TimeoutError:
            return "unconnected"
        except OSError:
            return "refused"
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.hostname}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read(-1)
        except OSError:
            return "cut"
        finally:
            writer.close()
        if not answer:
            return "cut"
        if answer.startswith(b"HTTP/1.1 200 ") and expected in answer:
            return "answered"
        self.oddities.append(answer[:200].decode(errors="replace"))
        return "wrong"

    async def run(self, rate: float, seconds: float | None) -> None:
        begun = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        slow_at = 0.0
        numbers = itertools.count() if seconds is None else range(int(rate * seconds))
        for number in numbers:
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            if seconds is None and select.select([sys.stdin], [], [], 0)[0]:
                break
            tasks.append(asyncio.create_task(self.ask(f"/?n={number}", f"n={number}\n".encode(), "quick")))
            self.asked += 1
            if time.monotonic() - begun >= slow_at:
                slow_at += SLOW_EVERY_SECONDS
                last = b"%d\n\r\n0\r\n" % (SLOW_SECONDS * 10 - 1)
                tasks.append(asyncio.create_task(self.ask(f"/slow?seconds={SLOW_SECONDS}", last, "slow")))
        await asyncio.gather(*tasks)


def main() -> None:
    """Let visitors come, and print what became of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("hostname")
    parser.add_argument("rate", type=float)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--nameserver", action="store_true")
    wanted = parser.parse_args()
    load = Load(wanted.address, wanted.hostname, is_nameserver=wanted.nameserver)
    asyncio.run(load.run(wanted.rate, wanted.seconds))
    slowest = {"slowest_seconds": max(load.slowest.values()), "slowest_each_second": load.slowest}
    print(json.dumps({**load.outcomes, "asked": load.asked, **slowest, "oddities": load.oddities[:5]}))


if __name__ == "__main__":
    main()
