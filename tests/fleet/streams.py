"""
Visitors who stay, to be run in the hosts' network: `streams.py ADDRESS HOSTNAME SECONDS`.

WebSockets that are echoed twice a second, event streams, and one download; each for all of the time. What became of
them is printed as JSON: how many of each kind lived to the end, and what ended the others.
"""

import asyncio
import base64
import json
import os
import sys
import time
from collections import Counter

WEBSOCKETS, EVENT_STREAMS, DOWNLOADS = 10, 10, 1
MAX_SILENCE_SECONDS = 5.0


class Streams:
    """The visitors."""

    def __init__(self, address: str, hostname: str, seconds: float) -> None:
        self.address = address
        self.hostname = hostname
        self.seconds = seconds
        self.outcomes: Counter[str] = Counter()
        self.reasons: list[str] = []

    async def open(self, path: str, *lines: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for something and read the head of the answer."""
        reader, writer = await asyncio.open_connection(self.address, 80)
        writer.write("\r\n".join((f"GET {path} HTTP/1.1", f"Host: {self.hostname}", *lines, "", "")).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")):
            raise ConnectionError(head.decode(errors="replace"))
        return reader, writer

    async def websocket(self, until: float) -> None:
        """Say something and hear it again, until the time is over."""
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        reader, writer = await self.open("/echo", *upgrade)
        while time.monotonic() < until:
            said = os.urandom(16)
            writer.write(said)
            heard = await asyncio.wait_for(reader.readexactly(16), MAX_SILENCE_SECONDS)
            if heard != said:
                raise ConnectionError("something else was echoed")
            await asyncio.sleep(0.5)
        writer.close()

    async def stream(self, until: float) -> None:
        """Read what comes, until the time is over."""
        reader, writer = await self.open(f"/slow?seconds={self.seconds + 60}")
        while time.monotonic() < until:
            if not await asyncio.wait_for(reader.read(1 << 16), MAX_SILENCE_SECONDS):
                raise ConnectionError("the stream ended")
        writer.close()

    async def live(self, kind: str, until: float) -> None:
        """Be a visitor of a kind, and note how it went."""
        try:
            await (self.websocket(until) if kind == "websocket" else self.stream(until))
        except (OSError, EOFError, TimeoutError) as error:
            self.outcomes[f"{kind}_cut"] += 1
            self.reasons.append(f"{kind}, {until - time.monotonic():.1f} s before its end: {error!r}"[:300])
        else:
            self.outcomes[f"{kind}_lived"] += 1

    async def run(self) -> None:
        """Be all of them."""
        until = time.monotonic() + self.seconds
        kinds = ["websocket"] * WEBSOCKETS + ["events"] * EVENT_STREAMS + ["download"] * DOWNLOADS
        await asyncio.gather(*(self.live(kind, until) for kind in kinds))


if __name__ == "__main__":
    streams = Streams(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    asyncio.run(streams.run())
    print(json.dumps({**streams.outcomes, "reasons": streams.reasons}))
