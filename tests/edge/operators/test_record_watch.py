"""Tests of `warp_twisted.edge.operators.record_watch`."""

import json
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyRequest
from zope.interface.verify import verifyObject

from warp_twisted.edge.operators.record_watch import HEARTBEAT_SECONDS, RecordWatch
from warp_twisted.registry.model import Change, Edge
from warp_twisted.registry.publish import Publication

ZONE = "warp.example"


def edge(name: str, address: str, before: str = "") -> Change:
    """Return the change when an edge comes, or has another address than before."""

    def value(address: str) -> Edge | None:
        return Edge(name=name, addresses=(address,), http_port=80, tunnel_port=7844) if address else None

    return Change(key=f"edges/{name}", before=value(before), after=value(address))


class _Request(DummyRequest):
    """A request that keeps its producer, and lets the test drive it."""

    producer: object = None

    def registerProducer(self, prod: object, s: bool) -> None:
        """Keep it."""
        self.producer = prod

    def unregisterProducer(self) -> None:
        """Let go of it."""
        self.producer = None


class RecordWatchTests(SynchronousTestCase):
    """One reader of an edge's records."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.publication = Publication(ZONE)
        self.publication.apply([edge("edge1", "192.0.2.1")])
        self.request = _Request([b"v1", b"records"])
        self.watchers: set[RecordWatch] = set()
        self.watch = RecordWatch(cast(Request, self.request), self.publication, self.clock, self.watchers)
        self.watch.start()

    def lines(self) -> list[dict[str, Any]]:
        """Return what was written since the last call, a line each."""
        text, self.request.written = b"".join(self.request.written), []
        return [json.loads(line) for line in text.splitlines()]

    def test_it_is_a_producer(self) -> None:
        """The reader's pace rules it."""
        self.assertTrue(verifyObject(IPushProducer, self.watch))
        self.assertIs(self.request.producer, self.watch)

    def test_snapshot_then_changes(self) -> None:
        """The first line is everything, the next ones what changed."""
        (snapshot,) = self.lines()
        self.assertIn(f"edge1.{ZONE}", snapshot)
        self.publication.apply([edge("edge2", "192.0.2.2")])
        (change,) = self.lines()
        self.assertIn(f"edge2.{ZONE}", change)
        self.assertNotIn(f"edge1.{ZONE}", change)
        self.assertEqual(self.watchers, {self.watch})

    def test_heartbeat(self) -> None:
        """An empty line tells now and then that the edge is there."""
        self.lines()
        self.clock.advance(HEARTBEAT_SECONDS)
        self.assertEqual(self.lines(), [{}])

    def test_slow_reader(self) -> None:
        """What a reader does not take waits merged by owner, without heartbeats, and comes as one line."""
        self.lines()
        self.watch.pauseProducing()
        before = ""
        for address in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
            self.publication.apply([edge("edge2", address, before)])
            before = address
        self.clock.advance(HEARTBEAT_SECONDS)
        self.assertEqual(self.lines(), [])
        self.watch.resumeProducing()
        (change,) = self.lines()
        (record,) = change[f"edge2.{ZONE}"]
        self.assertEqual(record["rdata"], "192.0.2.4")
        self.watch.resumeProducing()
        self.assertEqual(self.lines(), [])

    def test_stop(self) -> None:
        """A watch that is stopped writes no more, and its answer ends; stopping it again does nothing."""
        self.lines()
        self.watch.stop()
        self.watch.stop()
        self.assertEqual(self.successResultOf(self.watch.done), b"")
        self.publication.apply([edge("edge2", "192.0.2.2")])
        self.assertEqual((self.lines(), self.watchers, self.clock.getDelayedCalls()), ([], set(), []))

    def test_reader_that_hangs_up(self) -> None:
        """A reader that is gone is forgotten."""
        self.watch.hung_up(Failure(ConnectionDone()))
        self.assertEqual((self.watchers, self.clock.getDelayedCalls()), (set(), []))
