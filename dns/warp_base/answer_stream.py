"""
Long HTTP answers in slices: pieces that are made a few milliseconds at a time, and only as fast as they are read.

An answer about 16,000 tunnels takes half a second to make; made at once, everybody else would wait for it.
"""

from collections.abc import Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.task import SchedulerStopped, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from zope.interface import implementer

from warp_base.slices import Slices

Pieces = Iterator[bytes]  # of an answer, in order; an empty one is only a step of the work

WRITTEN_BYTES = 32 * 1024  # at once


@implementer(IPushProducer)
class AnswerStream:
    """
    The body of one answer, paused while its reader is slow.

    :ivar is_hung_up: whether the reader is gone.
    """

    _log = Logger()

    def __init__(self, request: Request, slices: Slices) -> None:
        self._request = request
        self._slices = slices
        self._resumed: Deferred[None] | None = None  # while the reader is slow
        self.is_hung_up = False
        request.notifyFinish().addErrback(self._hung_up)
        request.registerProducer(self, True)

    @property
    def is_paused(self) -> bool:
        """Whether the reader has not taken what was written."""
        return self._resumed is not None

    def write(self, text: bytes) -> None:
        """Write a part of the answer, unless the reader is gone."""
        if not self.is_hung_up:
            self._request.write(text)

    def work(self, pieces: Pieces) -> Deferred[None]:
        """
        Write pieces as they are made.

        :returns: fires when all are written, or the reader is gone. Cancelling it stops the work.
        """
        job = self._slices.run(self._steps(pieces))
        return job.addCallbacks(lambda _: None, self._not_written)

    def finish(self) -> None:
        """Say that nothing more is written."""
        if not self.is_hung_up:
            self._request.unregisterProducer()

    def _steps(self, pieces: Pieces) -> Iterator[Deferred[None] | None]:
        written: list[bytes] = []
        size = 0
        for piece in pieces:
            written.append(piece)
            size += len(piece)
            if size >= WRITTEN_BYTES:
                self.write(b"".join(written))
                written.clear()
                size = 0
            yield self._resumed
            if self.is_hung_up:
                return
        self.write(b"".join(written))

    def _not_written(self, failure: Failure) -> None:
        if not failure.check(SchedulerStopped, TaskStopped, CancelledError):
            self._log.failure("an answer to an operator broke off", failure=failure)
        transport = self._request.transport
        if not self.is_hung_up and transport is not None:
            ITCPTransport(transport).abortConnection()  # so that nobody takes the half for the whole

    def _hung_up(self, failure: Failure) -> None:
        self.is_hung_up = True
        self.resumeProducing()

    def pauseProducing(self) -> None:
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The connection is gone; `notifyFinish` says so too."""


async def send_in_slices(request: Request, pieces: Pieces, slices: Slices) -> bytes:
    """Answer a request with what is made in pieces; returns nothing more to write."""
    stream = AnswerStream(request, slices)
    await stream.work(pieces)
    stream.finish()
    return b""
