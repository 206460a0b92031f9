"""Tests for `edge.agents.expected_hostnames`."""

import json
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.agents.expected_hostnames import KEEP_SECONDS, ExpectedHostnames
from warp_twisted.names import Hostname
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Tunnel, encode


class ExpectedHostnamesTests(SynchronousTestCase):
    """Tests for `ExpectedHostnames`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.path = Path(self.mktemp())

    def expected_hostnames(self) -> ExpectedHostnames:
        """Return the keeper of edge1's hostnames, which hears of the registry from the start."""
        expected = ExpectedHostnames(self.path, self.mirror, "edge1", self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        return expected

    def serve(self, *hostnames: str, edge: str = "edge1", draining: bool = False) -> Tunnel:
        """Register a tunnel."""
        tunnel = Tunnel(
            id=f"t-{hostnames[0]}",
            agent="a",
            slot=0,
            edge=edge,
            hostnames=tuple(map(Hostname, hostnames)),
            draining=draining,
        )
        self.successResultOf(self.store.put(tunnel.key, encode(tunnel)))
        self.clock.advance(0)
        return tunnel

    def wait(self, seconds: float = 5.0) -> Deferred[None]:
        """Begin to wait, as an edge that starts does."""
        expected = self.expected_hostnames()
        return Deferred.fromCoroutine(expected.wait(expected.read(), seconds))

    def test_first_start_waits_for_nobody(self) -> None:
        """Without a file there is nothing to wait for."""
        self.successResultOf(self.wait())

    def test_waits_until_every_hostname_is_served(self) -> None:
        """An edge that served two hostnames waits for both, however they come back."""
        self.path.write_text(json.dumps(["app.warp.example", "web.warp.example"]))
        waiting = self.wait()
        self.serve("app.warp.example")
        self.assertNoResult(waiting)
        self.serve("web.warp.example", "new.warp.example")
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tunnels_elsewhere_do_not_count(self) -> None:
        """A hostname is back when this edge serves it: not another, and not by a tunnel that is leaving."""
        self.path.write_text(json.dumps(["app.warp.example"]))
        waiting = self.wait()
        self.serve("app.warp.example", edge="edge2")
        self.serve("app.warp.example", draining=True)
        self.assertNoResult(waiting)

    def test_waits_no_longer_than_it_may(self) -> None:
        """At the time-out the edge goes on, and the log names who is missing."""
        self.path.write_text(json.dumps(["app.warp.example"]))
        waiting = self.wait(5)
        with capturedLogs() as logs:
            self.clock.advance(5)
        self.successResultOf(waiting)
        self.assertEqual([event["some"] for event in logs], ["app.warp.example"])

    def test_keeps_what_is_served(self) -> None:
        """While the edge runs the file follows, and a stop writes the last state."""
        expected = self.expected_hostnames()
        expected.start_keeping()
        self.assertEqual(json.loads(self.path.read_text()), [])
        self.serve("app.warp.example")
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual(json.loads(self.path.read_text()), ["app.warp.example"])
        self.serve("web.warp.example")
        expected.stop_keeping()
        self.assertEqual(json.loads(self.path.read_text()), ["app.warp.example", "web.warp.example"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_start_that_failed_keeps_the_file(self) -> None:
        """Stopping what never served does not forget the hostnames of before."""
        self.path.write_text(json.dumps(["app.warp.example"]))
        self.expected_hostnames().stop_keeping()
        self.assertEqual(json.loads(self.path.read_text()), ["app.warp.example"])

    def test_damaged_file_stops_nothing(self) -> None:
        """A file that cannot be understood is as good as none, and the log says so."""
        self.path.write_text("{")
        with capturedLogs() as logs:
            self.successResultOf(self.wait())
        self.assertEqual(len(logs), 1)

    def test_file_that_cannot_be_written_stops_nothing(self) -> None:
        """A full or missing disk costs what was noted, not the edge."""
        self.path = self.path / "missing" / "served.json"
        with capturedLogs() as logs:
            self.expected_hostnames().start_keeping()
        self.assertEqual(len(logs), 1)

    def test_written_by_another_thread(self) -> None:
        """A write that is late does not take the place of what was written at the stop."""
        waiting: list[tuple[Callable[[], None], Deferred[None]]] = []

        def perform(function: Callable[[], None]) -> Deferred[None]:
            waiting.append((function, Deferred()))
            return waiting[-1][1]

        expected = ExpectedHostnames(self.path, self.mirror, "edge1", self.clock, perform)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))
        expected.start_keeping()
        self.serve("app.warp.example")
        expected.stop_keeping()
        ((write, done),) = waiting
        write()
        done.callback(None)
        self.assertEqual(json.loads(self.path.read_text()), ["app.warp.example"])

    def test_nothing_is_written_while_nothing_changes(self) -> None:
        """A file that is current is left alone."""
        self.expected_hostnames().start_keeping()
        self.path.unlink()
        self.clock.pump([KEEP_SECONDS] * 3)
        self.assertFalse(self.path.exists())

    def test_tunnels_of_one_hostname(self) -> None:
        """A hostname is served until the last of its tunnels is gone, or drains."""
        expected = self.expected_hostnames()
        expected.start_keeping()
        self.serve("app.warp.example")
        self.serve("web.warp.example", "app.warp.example")
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual(json.loads(self.path.read_text()), ["app.warp.example", "web.warp.example"])
        self.serve("app.warp.example", draining=True)
        self.assertTrue(expected._served["app.warp.example"])
        self.serve("web.warp.example", draining=True)
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual(json.loads(self.path.read_text()), [])
