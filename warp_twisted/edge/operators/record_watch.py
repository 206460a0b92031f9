"""
`GET /v1/records`: the published records; with `?watch=1` then each change of them, one JSON object a line.

The first line of a watch is made in slices, and so is what a slow reader has not taken yet: changes are merged by
owner, so at most one snapshot waits for it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.http import Request

from warp_base.answer_stream import AnswerStream, Pieces
from warp_base.slices import Slices
from warp_twisted.edge.operators.json_pieces import ITEMS_IN_A_STEP, json_object
from warp_twisted.registry.published.publish import Publication
from warp_twisted.registry.published.records import Record

HEARTBEAT_SECONDS = 10.0

Records = Mapping[str, Sequence[Record]]


def snapshot(publication: Publication) -> Pieces:
    """Write all records by owner; one that comes or goes meanwhile may be there or not."""
    owners = publication.owners()
    return json_object((owner, records) for owner in owners if (records := publication.records_of(owner)))


class RecordWatch:
    """One `GET /v1/records?watch=1`."""

    def __init__(
        self,
        request: Request,
        publication: Publication,
        clock: IReactorTime,
        slices: Slices,
        ended: Callable[["RecordWatch"], object],
    ) -> None:
        self._ended = ended
        self._request = request
        self._publication = publication
        self._stream = AnswerStream(request, slices)
        self._unsubscribe: Callable[[], None] | None = None
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = clock
        self._waiting: dict[str, Sequence[Record]] = {}  # what changed while something else was written
        self._writing: Deferred[None] | None = None
        self.done: Deferred[bytes] = Deferred()

    def start(self) -> None:
        """Begin with the records as they are."""
        self._request.setHeader(b"content-type", b"application/x-ndjson")
        self._request.notifyFinish().addErrback(self._hung_up)
        self._unsubscribe = self._publication.subscribe(self._changed)
        self._heartbeat.start(HEARTBEAT_SECONDS, now=False)
        self._write(self._first())

    def stop(self) -> None:
        """End the answer, with what is known to have changed."""
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        self._heartbeat.stop()
        self._ended(self)
        if self._writing is not None:
            self._writing.cancel()
        self._stream.finish()
        self.done.callback(b"")

    def _hung_up(self, failure: Failure) -> None:
        self.stop()

    def _changed(self, changes: Records) -> None:
        if self._writing is None and not self._stream.is_paused:
            self._stream.write(_line(changes))
            return
        self._waiting.update(changes)
        if self._writing is None:
            self._write(self._rest())

    def _beat(self) -> None:
        if self._writing is None and not self._stream.is_paused:
            self._stream.write(_line({}))

    def _write(self, pieces: Pieces) -> None:
        self._writing = self._stream.work(pieces)
        self._writing.addBoth(self._written)

    def _written(self, result: object) -> None:
        self._writing = None
        if self._waiting and self._unsubscribe is not None and not self._stream.is_hung_up:
            self._write(self._rest())

    def _first(self) -> Pieces:
        yield from snapshot(self._publication)
        yield b"\n"
        yield from self._rest()

    def _rest(self) -> Pieces:
        yield b""  # so that a reader that is slow is waited for first
        while self._waiting:
            some = dict(islice(self._waiting.items(), ITEMS_IN_A_STEP))
            for owner in some:
                del self._waiting[owner]
            yield _line(some)


def _line(records: Records) -> bytes:
    return msgspec.json.encode(records) + b"\n"
