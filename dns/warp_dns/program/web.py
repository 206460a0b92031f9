"""`/metrics`, `/ready` and `/live` over HTTP, for monitoring."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from warp_base.answer_stream import send_in_slices
from warp_base.exposition import Exposition
from warp_base.quiet_site import QuietSite
from warp_base.slices import Slices


class _Answer(Resource):
    isLeaf = True

    def __init__(self, is_so: Callable[[], bool], yes: bytes, no: bytes) -> None:
        super().__init__()
        self._is_so = is_so
        self._words = {True: yes, False: no}

    def render_GET(self, request: Any) -> bytes:
        is_so = self._is_so()
        request.setResponseCode(200 if is_so else 503)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return self._words[is_so] + b"\n"


class _Metrics(Resource):
    """Answers with all numbers; of thousands of zones there are more than fit in one turn of the reactor."""

    isLeaf = True

    def __init__(self, exposition: Exposition, slices: Slices) -> None:
        super().__init__()
        self._exposition = exposition
        self._slices = slices

    def render_GET(self, request: Request) -> int:
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        answering = Deferred.fromCoroutine(send_in_slices(request, self._exposition.pieces(), self._slices))
        gone = request.notifyFinish().addErrback(lambda _: None)
        answering.addCallback(lambda _: None if gone.called else request.finish())
        return NOT_DONE_YET


class _MetricsSite(QuietSite):
    def logPrefix(self) -> str:
        """Say what it is for, where Twisted logs that it listens."""
        return "metrics"


def watch_site(collectors: Iterable[Collector], is_ready: Callable[[], bool], slices: Slices) -> Site:
    """
    Return the site.

    :param slices: make the metrics.
    """
    exposition = Exposition()
    for collector in collectors:
        exposition.register(collector)
    root = Resource()
    root.putChild(b"metrics", _Metrics(exposition, slices))
    root.putChild(b"ready", _Answer(is_ready, b"ready", b"not ready"))
    root.putChild(b"live", _Answer(lambda: True, b"live", b""))
    return _MetricsSite(root)
