"""Tests of the numbered zone as a name server beside the edge is told it."""

from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from tests.base.test_answer_stream import FakeRequest
from tests.dns.numbered.pair import APEX, content_of
from tests.dns.zone.test_numbering import Server
from warp_base.slices import Slices
from warp_dns.numbered.hearing import ZoneHearing
from warp_dns.numbered.telling import VERSION
from warp_dns.zone.steps import finish
from warp_twisted.edge.operators.zone_watch import ZoneWatch

MANY = 300


class ZoneWatchTests(SynchronousTestCase):
    """One watch of an edge that numbers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.edge, self.beside = Server(), Server()
        self.hearing = ZoneHearing(APEX, self.beside.numbering)
        self.request = FakeRequest()
        self.ended: list[ZoneWatch] = []
        self.watch = ZoneWatch(
            cast(Request, self.request), self.edge.numbering, Slices(self.clock, 0.0), self.ended.append
        )
        self.watch.start()
        self.clock.pump([0] * 3)
        self.assertEqual(b"".join(self.request.written), VERSION)
        self.request.written.clear()

    def hear(self) -> int:
        """Let the name server hear what was written; return how many bytes that is."""
        self.clock.pump([0] * MANY)
        data, self.request.written = b"".join(self.request.written), []
        self.hearing.feed(data)
        while (message := self.hearing.next_message()) is not None:
            finish(self.hearing.apply(message))
        return len(data)

    def check(self) -> None:
        """See that both transfer the same, at the same serial."""
        self.assertEqual(content_of(self.beside.numbering.zone), content_of(self.edge.numbering.zone))
        self.assertEqual(self.beside.live.zone.serial, self.edge.live.zone.serial)

    def test_nothing_is_numbered(self) -> None:
        """Before anybody numbers, nothing is told; what is told then is the whole."""
        self.assertEqual(self.hear(), 0)
        self.edge.numbering.begin(100, 200)
        self.hear()
        self.check()

    def test_changes(self) -> None:
        """Each change is told with its serial."""
        self.edge.numbering.begin(100, 200)
        self.hear()
        self.assertEqual(self.edge.publish("a.example.org", "192.0.2.1"), 101)
        self.assertLess(self.hear(), 1000)
        self.check()

    def test_slow_reader(self) -> None:
        """However often a name changes that a slow reader has not taken, it waits once."""
        self.edge.numbering.begin(100, 1000)
        self.hear()
        self.watch._stream.pauseProducing()
        for number in range(MANY):
            self.edge.publish("a.example.org", f"192.0.2.{number % 250}")
        self.assertEqual(self.hear(), 0)
        self.watch._stream.resumeProducing()
        self.assertLess(self.hear(), 2000)
        self.check()

    def test_reader_that_goes(self) -> None:
        """When the reader is gone the watch ends, and hears of no change any more."""
        self.request.hang_up()
        self.assertEqual(self.successResultOf(self.watch.done), b"")
        self.edge.numbering.begin(100, 200)
        self.assertEqual((self.hear(), self.ended, self.clock.getDelayedCalls()), (0, [self.watch], []))

    def test_stop(self) -> None:
        """A watch that is stopped ends its answer, once."""
        self.watch.stop()
        self.watch.stop()
        self.successResultOf(self.watch.done)
        self.assertEqual((self.ended, self.request.producer), ([self.watch], None))
