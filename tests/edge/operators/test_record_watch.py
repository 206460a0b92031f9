"""Tests of records that are watched."""

import json
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from tests.base.test_answer_stream import FakeRequest
from warp_base.slices import Slices
from warp_twisted.edge.operators.record_watch import HEARTBEAT_SECONDS, RecordWatch, snapshot
from warp_twisted.names import Hostname
from warp_twisted.registry.model import Change, Edge, Tunnel, Value
from warp_twisted.registry.published.publish import Publication

EDGE = Edge(name="edge1", addresses=("192.0.2.1",))
MANY = 200


def tunnel(name: str) -> Tunnel:
    """Return a tunnel that serves one hostname."""
    return Tunnel(id=name, agent="a", slot=0, edge="edge1", hostnames=(Hostname(f"{name}.warp.example"),))


class RecordWatchTests(SynchronousTestCase):
    """One watch of a publication; each slice takes one step."""

    def setUp(self) -> None:
        """Publish one edge, and begin to watch."""
        self.clock = Clock()
        self.publication = Publication("warp.example")
        self.change(came=EDGE)
        self.request = FakeRequest()
        self.ended: list[RecordWatch] = []
        self.watch = RecordWatch(
            cast(Request, self.request), self.publication, self.clock, Slices(self.clock, 0.0), self.ended.append
        )
        self.watch.start()

    def change(self, came: Value | None = None, went: Value | None = None) -> None:
        """Change the registry."""
        value = came or went
        assert value is not None
        self.publication.apply([Change(key=value.key, before=went, after=came)])

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines that the reader got so far, and forget them."""
        text, self.request.written = b"".join(self.request.written), []
        return [json.loads(line) for line in text.splitlines()]

    def states(self) -> dict[str, bool]:
        """Return what the reader knows by now: which hostnames have records."""
        known: dict[str, bool] = {}
        for line in self.lines():
            known.update({owner: bool(records) for owner, records in line.items()})
        return known

    def test_snapshot_then_changes(self) -> None:
        """The first line is all there is; each change then follows at once."""
        self.clock.advance(0)
        self.assertEqual([list(line) for line in self.lines()], [["edge1.warp.example"]])
        self.change(came=tunnel("app"))
        (line,) = self.lines()
        self.assertEqual(line["app.warp.example"][0]["rdata"], "192.0.2.1")
        self.change(went=tunnel("app"))
        self.assertEqual(self.lines()[0]["app.warp.example"], [])
        self.assertEqual(self.request.headers, {b"content-type": b"application/x-ndjson"})

    def test_change_before_the_snapshot_is_written(self) -> None:
        """What changes while the first line is made follows it."""
        self.change(came=tunnel("app"))
        self.change(went=tunnel("app"))
        self.change(came=tunnel("web"))
        self.clock.advance(0)
        states = self.states()
        self.assertEqual((states.get("app.warp.example", False), states["web.warp.example"]), (False, True))

    def test_slow_reader(self) -> None:
        """Changes that a slow reader has not taken are merged by owner, and follow in lines of a few owners each."""
        self.clock.advance(0)
        self.lines()
        stream = self.watch._stream
        stream.pauseProducing()
        for number in range(MANY):
            self.change(came=tunnel(f"app{number}"))
            self.change(went=tunnel(f"app{number}"))
            self.change(came=tunnel(f"app{number}"))
        self.clock.advance(1)
        self.assertEqual(self.lines(), [])
        self.assertLess(len(self.watch._waiting), 3 * MANY)
        stream.resumeProducing()
        self.clock.advance(1)
        lines = self.lines()
        self.assertLessEqual(max(map(len, lines)), 32)
        self.assertEqual(sum(f"app{number}.warp.example" in line for line in lines for number in range(MANY)), MANY)

    def test_heartbeat(self) -> None:
        """A quiet watch is sent an empty object now and then; a slow reader is not."""
        self.clock.advance(0)
        self.lines()
        self.clock.advance(HEARTBEAT_SECONDS)
        self.assertEqual(self.lines(), [{}])
        self.watch._stream.pauseProducing()
        self.clock.advance(HEARTBEAT_SECONDS)
        self.assertEqual(self.lines(), [])

    def test_reader_that_goes(self) -> None:
        """When the reader is gone the watch ends, and nothing is due any more."""
        self.clock.advance(0)
        self.request.hang_up()
        self.assertEqual(self.successResultOf(self.watch.done), b"")
        self.change(came=tunnel("app"))
        self.assertEqual((self.ended, self.clock.getDelayedCalls()), ([self.watch], []))

    def test_stop(self) -> None:
        """A watch that is stopped ends its answer, once."""
        self.clock.advance(0)
        self.watch.stop()
        self.watch.stop()
        self.successResultOf(self.watch.done)
        self.assertEqual((self.ended, self.request.producer), ([self.watch], None))
        self.assertFalse(self.request.transport.is_cut)

    def test_stop_in_the_first_line(self) -> None:
        """A watch that is stopped before its first line is whole is cut."""
        self.watch.stop()
        self.clock.advance(0)
        self.assertTrue(self.request.transport.is_cut)

    def test_records_once(self) -> None:
        """Without a watch the records are one object."""
        records = json.loads(b"".join(snapshot(self.publication)))
        self.assertEqual(records["edge1.warp.example"][0]["type"], "A")
