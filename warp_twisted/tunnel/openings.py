"""
Streams that the edge opened and that have not yet said what they are for: the agent waits for each
preamble, but not for ever.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from warp_twisted.wire.errors import WireError
from warp_twisted.wire.preamble import PreambleReader
from warp_twisted.wire.streams import Stream

Said = TypeVar("Said")


class Openings(Generic[Said]):
    """
    The streams of one tunnel that wait for their preamble.

    :param clock: the reactor.
    :param opened: called with each stream and what its preamble says.
    :param failed: called with each that came to nothing, and why.
    :param decode: reads preambles.
    """

    def __init__(
        self,
        clock: IReactorTime,
        opened: Callable[[Stream, Said], None],
        failed: Callable[[Stream, WireError], None],
        decode: Callable[[bytes], tuple[int, int, Said] | None],
    ) -> None:
        self._clock = clock
        self._opened = opened
        self._failed = failed
        self._decode = decode
        self._opened_at: dict[Stream, float] = {}

    def __len__(self) -> int:
        return len(self._opened_at)

    def add(self, stream: Stream) -> None:
        """Wait for a stream's preamble."""
        self._opened_at[stream] = self._clock.seconds()
        PreambleReader(stream, self._preamble_received, self._preamble_failed, self._decode)

    def cut_older(self, instant: float) -> None:
        """Cut those that were opened at an instant or before."""
        for stream, opened_at in list(self._opened_at.items()):
            if opened_at <= instant:
                del self._opened_at[stream]
                stream.reset()

    def clear(self) -> None:
        """Forget them all, and who listens; their tunnel is lost."""
        self._opened_at.clear()
        self._opened = self._failed = _ignore

    def _preamble_received(self, stream: Stream, said: Said) -> None:
        del self._opened_at[stream]
        self._opened(stream, said)

    def _preamble_failed(self, stream: Stream, error: WireError) -> None:
        self._opened_at.pop(stream, None)
        self._failed(stream, error)


def _ignore(stream: Stream, what: object) -> None:
    """Nobody listens any more."""
