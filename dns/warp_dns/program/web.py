"""`/metrics`, `/ready` and `/live` over HTTP, for monitoring."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.registry import Collector
from twisted.web.resource import Resource
from twisted.web.server import Site

from warp_base.exposition import Exposition, MetricsResource
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
    root.putChild(b"metrics", MetricsResource(exposition, slices))
    root.putChild(b"ready", _Answer(is_ready, b"ready", b"not ready"))
    root.putChild(b"live", _Answer(lambda: True, b"live", b""))
    return _MetricsSite(root)
