"""
Frames of one connection that the transport has not taken yet, and the streams that wait for it to take them.

Streams append to it directly (the hot path has no call between `Stream.write` and this list); `Connection` empties
it. It decides when writers must pause; it does not know what a frame means.
"""

from collections.abc import Callable
from typing import Protocol


class Writer(Protocol):
    """Who may wait for room in the outbox."""

    def room_made(self) -> None:
        """The outbox was emptied."""


class Outbox:
    """
    :ivar frames: headers and payloads in order, each any bytes-like object.
    :ivar size: bytes in `frames`.
    :ivar queued: bytes that wait for credit in the streams' own queues.
    :ivar waiting: writers to be told when the outbox was emptied, in order of arrival.
    :ivar wake: called when the first frame is put into an empty outbox.
    """

    __slots__ = ("frames", "high_water", "limit", "queued", "size", "waiting", "wake")

    def __init__(self, high_water: int, limit: int, wake: Callable[[], None]) -> None:
        self.frames: list[bytes | memoryview] = []
        self.size = 0
        self.queued = 0
        self.high_water = high_water
        self.limit = limit
        self.waiting: dict[Writer, None] = {}
        self.wake = wake

    def put(self, frame: bytes) -> None:
        """Append one whole frame."""
        frames = self.frames
        if not frames:
            self.wake()
        frames.append(frame)
        self.size += len(frame)

    def take(self) -> bytes:
        """Return every frame joined and tell the waiting writers that there is room."""
        frames = self.frames
        if not frames:
            return b""
        data = b"".join(frames)
        frames.clear()
        self.size = 0
        if self.waiting:
            waiting, self.waiting = self.waiting, {}
            for writer in waiting:
                writer.room_made()
        return data

    def discard(self) -> None:
        """Forget every frame and every waiting writer."""
        self.frames.clear()
        self.waiting.clear()
        self.size = 0
