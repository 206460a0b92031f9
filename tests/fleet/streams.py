"""
Visitors who stay, to be run in the hosts' network: `streams.py ADDRESS HOSTNAME`.

WebSockets that are echoed twice a second, event streams, and the download of a gigabyte, slowly; each until standard
input ends, when the download takes what is left as fast as it can. What became of them is printed as JSON: how many of
each kind lived to the end, and what ended the others.
"""

import asyncio
import base64
import json
import os
import select
import sys
import time
from collections import Counter

WEBSOCKETS, EVENT_STREAMS, DOWNLOADS = 10, 10, 1
MAX_SILENCE_SECONDS = 5.0
ENDLESS_SECONDS = 3600  # longer than anybody stays
DOWNLOAD_MIB = 1024
PIECE_BYTES, PIECE_SECONDS = 1 << 20, 0.25  # of a download that takes its time


class Streams:
    """The visitors."""

    def __init__(self, address: str, hostname: str) -> None:
        self.address = address
        self.hostname = hostname
        self.is_over = False
        self.outcomes: Counter[str] = Counter()
        self.reasons: list[str] = []

    async def open(self, path: str, *lines: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for something and read the head of the answer."""
        reader, writer = await asyncio.open_connection(self.address, 80, limit=2 * PIECE_BYTES)
        writer.write("\r\n".join((f"GET {path} HTTP/1.1", f"Host: {self.hostname}", *lines, "", "")).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")):
            raise ConnectionError(head.decode(errors="replace"))
        return reader, writer

    async def websocket(self) -> None:
        """Say something and hear it again, until it is over."""
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = (
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        reader, writer = await self.open("/echo", *upgrade)
        while not self.is_over:
            said = os.urandom(16)
            writer.write(said)
            heard = await asyncio.wait_for(reader.readexactly(16), MAX_SILENCE_SECONDS)
            if heard != said:
                raise ConnectionError("something else was echoed")
            await asyncio.sleep(0.5)
        writer.close()

    async def events(self) -> None:
        """Read what comes, until it is over."""
        reader, writer = await self.open(f"/slow?seconds={ENDLESS_SECONDS}")
        while not self.is_over:
            if not await asyncio.wait_for(reader.read(1 << 16), MAX_SILENCE_SECONDS):
                raise ConnectionError("the stream ended")
        writer.close()

    async def download(self) -> None:
        """Read a file piece by piece, and every byte of it."""
        reader, writer = await self.open(f"/large?mib={DOWNLOAD_MIB}")
        for number in range((DOWNLOAD_MIB << 20) // PIECE_BYTES):
            piece = await asyncio.wait_for(reader.readexactly(PIECE_BYTES), MAX_SILENCE_SECONDS)
            if piece != bytes([number % 256]) * PIECE_BYTES:
                raise ConnectionError(f"piece {number} is not what was sent")
            if not self.is_over:
                await asyncio.sleep(PIECE_SECONDS)
        writer.close()

    async def live(self, kind: str) -> None:
        """Be a visitor of a kind, and note how it went."""
        begun = time.monotonic()
        try:
            await {"websocket": self.websocket, "events": self.events, "download": self.download}[kind]()
        except (OSError, EOFError, TimeoutError) as error:
            self.outcomes[f"{kind}_cut"] += 1
            self.reasons.append(f"{kind}, after {time.monotonic() - begun:.1f} s: {error!r}"[:300])
        else:
            self.outcomes[f"{kind}_lived"] += 1

    async def watch_for_the_end(self) -> None:
        """Wait until nobody is to stay any longer."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            await asyncio.sleep(0.1)
        self.is_over = True

    async def run(self) -> None:
        """Be all of them."""
        kinds = ["websocket"] * WEBSOCKETS + ["events"] * EVENT_STREAMS + ["download"] * DOWNLOADS
        await asyncio.gather(self.watch_for_the_end(), *(self.live(kind) for kind in kinds))


if __name__ == "__main__":
    streams = Streams(sys.argv[1], sys.argv[2])
    asyncio.run(streams.run())
    print(json.dumps({**streams.outcomes, "reasons": streams.reasons}))
