"""Tests of metrics in slices."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from warp_base.exposition import SAMPLES_IN_A_STEP, Exposition, MetricsResource
from warp_base.quiet_site import QuietSite
from warp_base.slices import Slices


class Many(Collector):
    """A family with many samples, and one with a single sample."""

    def __init__(self, count: int) -> None:
        self.count = count

    def family(self, numbers: Iterable[int]) -> Metric:
        """Return the family with some samples."""
        family = CounterMetricFamily("warp_edge_things", 'Things "of" a\nkind.', labels=("number",))
        for number in numbers:
            family.add_metric((str(number),), number)
        return family

    def collect(self) -> Iterable[Metric]:
        """Return both families."""
        yield self.family(range(self.count))
        yield GaugeMetricFamily("warp_edge_one", "One.", value=1)


class ManyInParts(Many):
    """The same, built in parts."""

    def collect_in_parts(self) -> Iterable[Metric]:
        """Return the first family as several."""
        for at in range(0, self.count, 10):
            yield self.family(range(at, min(at + 10, self.count)))
        yield GaugeMetricFamily("warp_edge_one", "One.", value=1)


class ExpositionTests(SynchronousTestCase):
    """The same text as Prometheus' own, in pieces."""

    def test_same_text(self) -> None:
        """Cut or not, in parts or not, the text is what `prometheus_client` makes of all at once."""
        for count in (1, SAMPLES_IN_A_STEP, 3 * SAMPLES_IN_A_STEP + 1):
            registry = CollectorRegistry()
            registry.register(Many(count))
            wanted = generate_latest(registry)
            for collector in (Many(count), ManyInParts(count)):
                exposition = Exposition()
                exposition.register(collector)
                self.assertEqual(b"".join(exposition.pieces()), wanted)

    def test_family_without_samples(self) -> None:
        """A family of which there is nothing yet is there with its type."""
        exposition = Exposition()
        exposition.register(Many(0))
        self.assertIn(b"# TYPE warp_edge_things_total counter\n", b"".join(exposition.pieces()))

    def test_pieces_are_small(self) -> None:
        """No piece has more samples than a step may hold."""
        exposition = Exposition()
        exposition.register(Many(1000))
        self.assertLessEqual(max(piece.count(b"\n") for piece in exposition.pieces()), SAMPLES_IN_A_STEP + 2)


class _Many(Collector):
    """Ten thousand numbers."""

    def collect(self) -> Iterable[Metric]:
        """Return them as one family."""
        family = GaugeMetricFamily("many", "Many numbers.", labels=["number"])
        for number in range(10_000):
            family.add_metric([str(number)], number)
        yield family


class MetricsResourceTests(SynchronousTestCase):
    """One resource."""

    def test_all_numbers(self) -> None:
        """The whole exposition comes, in the text format, in turns after the one that asked."""
        clock = Clock()
        exposition = Exposition()
        exposition.register(_Many())
        site = QuietSite(MetricsResource(exposition, Slices(clock)))
        site.doStart()
        self.addCleanup(site.doStop)
        channel, transport = site.buildProtocol(None), StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"GET /metrics HTTP/1.0\r\n\r\n")
        turns = 0
        while transport.connected and b'number="9999"' not in transport.value() and turns < 10_000:
            clock.advance(0.01)
            turns += 1
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b"text/plain; version=0.0.4", head)
        self.assertEqual(body.count(b"\nmany{"), 10_000)
        self.assertGreater(turns, 0, "not all within the turn that asked")
