"""
`GET /v1/records?watch=1`: the published records, then each change of them, one JSON object a line.

Changes that a slow reader has not taken yet are merged by owner, so at most one snapshot waits for it.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.http import Request
from zope.interface import implementer

from warp_twisted.registry.publish import Publication
from warp_twisted.registry.records import Record

HEARTBEAT_SECONDS = 10.0

Records = Mapping[str, Sequence[Record]]


@implementer(IPushProducer)
class RecordWatch:
    """One `GET /v1/records?watch=1`; changes that a slow reader has not taken yet are merged, so they stay bounded."""

    def __init__(
        self, request: Request, publication: Publication, clock: IReactorTime, watchers: set["RecordWatch"]
    ) -> None:
        self._watchers = watchers
        self._request = request
        self._publication = publication
        self._unsubscribe: Callable[[], None] | None = None
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = clock
        self._waiting: dict[str, Sequence[Record]] = {}
        self._is_paused = False
        self._is_hung_up = False
        self.done: Deferred[bytes] = Deferred()

    def start(self) -> None:
        self._watchers.add(self)
        request = self._request
        request.setHeader(b"content-type", b"application/x-ndjson")
        request.registerProducer(self, True)
        self._write(self._publication.snapshot())
        self._unsubscribe = self._publication.subscribe(self._changed)
        self._heartbeat.start(HEARTBEAT_SECONDS, now=False)

    def stop(self) -> None:
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        self._heartbeat.stop()
        self._watchers.discard(self)
        if not self._is_hung_up:
            self._request.unregisterProducer()
        self.done.callback(b"")

    def hung_up(self, failure: Failure) -> None:
        self._is_hung_up = True
        self.stop()

    def _changed(self, changes: Records) -> None:
        if self._is_paused:
            self._waiting.update(changes)
        else:
            self._write(changes)

    def _beat(self) -> None:
        if not self._is_paused:
            self._write({})

    def _write(self, records: Records) -> None:
        self._request.write(msgspec.json.encode(records) + b"\n")

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        waiting, self._waiting = self._waiting, {}
        if waiting:
            self._write(waiting)

    def stopProducing(self) -> None:
        """The connection is gone; `hung_up` says so too."""
