"""
Visitors at a steady rate, to be run in the hosts' network: `load.py ADDRESS HOSTNAME RATE SECONDS`.

Each is a connection of its own that asks once. Besides, every half second one begins a download of three seconds.
What became of them is printed as JSON: how many were answered, refused at connecting, cut off or answered wrongly, and
the slowest answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter

SLOW_SECONDS = 3
SLOW_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 30.0


class Load:
    def __init__(self, address: str, hostname: str) -> None:
        self.address = address
        self.hostname = hostname
        self.outcomes: Counter[str] = Counter()
        self.oddities: list[str] = []
        self.slowest = 0.0

    async def ask(self, path: str, expected: bytes, kind: str) -> None:
        begun = time.monotonic()
        try:
            outcome = await asyncio.wait_for(self.talk(path, expected), PATIENCE_SECONDS)
        except TimeoutError:
            outcome = "unanswered"
        if kind == "quick":
            self.slowest = max(self.slowest, time.monotonic() - begun)
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

    async def run(self, rate: float, seconds: float) -> None:
        begun = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        slow_at = 0.0
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self.ask(f"/?n={number}", f"n={number}\n".encode(), "quick")))
            if time.monotonic() - begun >= slow_at:
                slow_at += SLOW_EVERY_SECONDS
                last = b"%d\n\r\n0\r\n" % (SLOW_SECONDS * 10 - 1)
                tasks.append(asyncio.create_task(self.ask(f"/slow?seconds={SLOW_SECONDS}", last, "slow")))
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    load = Load(sys.argv[1], sys.argv[2])
    asyncio.run(load.run(float(sys.argv[3]), float(sys.argv[4])))
    print(json.dumps({**load.outcomes, "slowest_seconds": load.slowest, "oddities": load.oddities[:5]}))
