"""
`GET /v1/zone`: what the fleet has numbered of the zone, for the name server beside this edge.

One byte, the version, then what other edges are told (`warp_dns.numbered.telling`): a snapshot, and each change of it.
Nothing piles up for a slow reader: names that changed wait once each.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request

from warp_base.answer_stream import AnswerStream, Pieces
from warp_base.slices import Slices
from warp_dns.numbered.telling import VERSION, ZoneTeller
from warp_dns.zone.data import Change
from warp_dns.zone.numbering import ZoneNumbering


class ZoneWatch:
    """
    One such answer.

    :ivar done: fires when it has ended.
    """

    def __init__(
        self, request: Request, numbering: ZoneNumbering, slices: Slices, ended: Callable[["ZoneWatch"], object]
    ) -> None:
        self._request = request
        self._numbering = numbering
        self._ended = ended
        self._stream = AnswerStream(request, slices)
        self._teller = ZoneTeller(numbering)
        self._unsubscribe: Callable[[], None] | None = None
        self._writing: Deferred[None] | None = None
        self.done: Deferred[bytes] = Deferred()

    def start(self) -> None:
        """Begin with the zone as it is numbered now."""
        self._request.setHeader(b"content-type", b"application/octet-stream")
        self._request.notifyFinish().addErrback(self._hung_up)
        self._unsubscribe = self._numbering.subscribe(self._changed)
        self._stream.write(VERSION)
        self._write()

    def stop(self) -> None:
        """End the answer."""
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        if self._writing is not None:
            self._writing.cancel()
        self._stream.finish()
        self._ended(self)
        self.done.callback(b"")

    def _hung_up(self, failure: Failure) -> None:
        self.stop()

    def _changed(self, change: Change | None) -> None:
        self._teller.mark(change)
        if self._writing is None:
            self._write()

    def _write(self) -> None:
        self._writing = self._stream.work(self._pieces())
        self._writing.addBoth(self._written)

    def _pieces(self) -> Pieces:
        yield b""  # so that a reader that is slow is waited for first
        while (piece := self._teller.next_piece()) is not None:
            yield piece

    def _written(self, result: object) -> None:
        self._writing = None
