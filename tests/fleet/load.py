"""
Visitors at a steady rate, to be run in the hosts' network: `load.py ADDRESS HOSTNAME RATE [--seconds N]`.

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
import sys
import time
from collections import Counter

SLOW_SECONDS = 3
SLOW_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 30.0


class Load:
    """The visitors."""

    def __init__(self, address: str, hostname: str) -> None:
        self.address = address
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
            reader, writer = await asyncio.wait_for(asyncio.open_connection(self.address, 80), PATIENCE_SECONDS / 2)
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
    wanted = parser.parse_args()
    load = Load(wanted.address, wanted.hostname)
    asyncio.run(load.run(wanted.rate, wanted.seconds))
    slowest = {"slowest_seconds": max(load.slowest.values()), "slowest_each_second": load.slowest}
    print(json.dumps({**load.outcomes, "asked": load.asked, **slowest, "oddities": load.oddities[:5]}))


if __name__ == "__main__":
    main()
