"""
Metrics as Prometheus reads them, in slices: a scrape of 10,000 hostnames takes longer than visitors should wait.

The text is made by `prometheus_client`; here it is only cut into pieces.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from warp_base.answer_stream import Pieces, send_in_slices
from warp_base.slices import Slices

SAMPLES_IN_A_STEP = 64


class _Part(Collector):
    """Some samples of one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return the family with these samples."""
        return (self._family,)


class Exposition:
    """All collectors of one process."""

    def __init__(self) -> None:
        self._collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """
        Show the metrics of one more collector.

        It may have a method `collect_in_parts`, which yields a large family as several that follow one another, so that
        it need not be collected at once.
        """
        self._collectors.append(collector)

    def pieces(self) -> Pieces:
        """Write all metrics as they are now."""
        last = ""
        for collector in tuple(self._collectors):
            for family in _families(collector):
                for part in _parts(family):
                    text = generate_latest(_Part(part))
                    yield text if family.name != last else text.split(b"\n", 2)[2]  # without its help and type again
                    last = family.name


class MetricsResource(Resource):
    """Answers with all numbers; of thousands of routes or zones there are more than fit in one turn of the reactor."""

    isLeaf = True

    def __init__(self, exposition: Exposition, slices: Slices) -> None:
        super().__init__()
        self._exposition = exposition
        self._slices = slices

    def render_GET(self, request: Request) -> int:
        """Answer one request."""
        request.setHeader(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        answering = Deferred.fromCoroutine(send_in_slices(request, self._exposition.pieces(), self._slices))
        gone = request.notifyFinish().addErrback(lambda _: None)
        answering.addCallback(lambda _: None if gone.called else request.finish())
        return NOT_DONE_YET


def _families(collector: Collector) -> Iterator[Metric]:
    in_parts = getattr(collector, "collect_in_parts", collector.collect)
    yield from in_parts()


def _parts(family: Metric) -> Iterator[Metric]:
    for at in range(0, max(1, len(family.samples)), SAMPLES_IN_A_STEP):
        part = Metric(family.name, family.documentation, family.type)
        part.samples = family.samples[at : at + SAMPLES_IN_A_STEP]
        yield part
