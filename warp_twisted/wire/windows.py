"""
When a receive window grows: only if the window, not its reader, limits the stream's speed.

Pure counting, without a clock. A round trip is measured in bytes: when a stream returns credit, a probe (a ping) is
sent; if its reader consumed at least half a window more before the answer came back, the window was less than twice
what fits on the path, and it is doubled (the idea of gRPC's BDP estimation). One probe at a time for a connection.
A slow reader never consumes half a window in a round trip, so its window, hence our memory, stays as it was.
"""

from warp_twisted.wire.frames import INITIAL_WINDOW_BYTES
from warp_twisted.wire.streams import Stream


class WindowGrowth:
    """
    The growth of all receive windows of one connection.

    :param max_window: no window grows beyond this many bytes.
    :param budget: bytes of growth of all windows together; a closed stream gives its share back.
    """

    __slots__ = ("_base", "_max_window", "_probe", "_stream", "budget")

    def __init__(self, max_window: int, budget: int) -> None:
        self._max_window = max_window
        self.budget = budget
        self._probe: int | None = None
        self._stream: Stream | None = None
        self._base = 0

    def wants_probe(self, stream: Stream) -> bool:
        """Return whether to measure now that a stream returned credit: nothing is measured, and its window may grow."""
        return self._probe is None and stream.window < self._max_window and self.budget > 0

    def probe_sent(self, value: int, stream: Stream) -> None:
        """Measure until the answer to a ping comes."""
        self._probe = value
        self._stream = stream
        self._base = stream.returned

    def answered(self, value: int) -> bool:
        """
        Judge the measurement when its answer comes.

        :returns: False if the answer belongs to another ping.
        """
        if value != self._probe:
            return False
        stream, self._stream, self._probe = self._stream, None, None
        if stream is not None and stream.returned - self._base >= stream.window // 2:
            extra = min(stream.window, self._max_window - stream.window, self.budget)
            if extra > 0 and stream.state.can_receive:
                self.budget -= extra
                stream.grow(extra)
        return True

    def stream_closed(self, stream: Stream) -> None:
        """Take back what the stream's window had grown."""
        self.budget += stream.window - INITIAL_WINDOW_BYTES
        if stream is self._stream:
            self._stream = None
