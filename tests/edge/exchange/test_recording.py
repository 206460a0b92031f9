"""Tests of what is written down of a request."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.routes.route import Route


class RecordTests(SynchronousTestCase):
    """Counters and the line of the access log."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def line(self) -> dict[str, object]:
        """Return the only line of the access log."""
        log = self.edge.visitors.access_log
        assert log is not None
        log.flush()
        (line,) = b"".join(self.edge.lines).splitlines()
        entry: dict[str, object] = json.loads(line)
        return entry

    def test_answered(self) -> None:
        """A request that was answered by its origin: the sizes, the tunnel and the route."""
        self.visitor.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.clock.advance(0.25)
        self.edge.tunnel.protocol.arrive(stream, OK)
        entry = self.line()
        wanted = {
            "method": "GET", "host": "app.example", "path": "/a", "status": 200, "tunnel": "t-1", "agent": "agent-1",
            "route": "app.example",
        }  # fmt: skip
        self.assertEqual({name: entry[name] for name in wanted}, wanted)
        self.assertNotIn("reason", entry)
        self.assertEqual((entry["bytes_in"], entry["duration_ms"]), (len(GET), 250.0))
        self.assertEqual(entry["bytes_out"], len(self.transport.taken))
        counters = self.edge.metrics.hosts["app.example"]
        self.assertEqual((counters.by_class[2], counters.bytes_in), (1, len(GET)))

    def test_relayed(self) -> None:
        """A request that another edge's tunnel served says which edge that is."""
        self.edge.tunnel.via = "edge-2"
        self.visitor.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertEqual(self.line()["via"], "edge-2")

    def test_served_by_an_unhealthy_origin(self) -> None:
        """A request that an origin served which is not healthy says so, and why."""
        route = self.edge.table.find("app.example", b"/a")
        assert isinstance(route, Route)
        for member in route.members:
            route.report(member.load, "it answers 500", 0.0)
        self.visitor.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertEqual(self.line()["detail"], "not healthy: it answers 500")

    def test_left(self) -> None:
        """A visitor that left before the answer is logged as 499, with the tunnel that it waited for."""
        self.visitor.dataReceived(GET)
        self.visitor.connectionLost()
        entry = self.line()
        self.assertEqual((entry["status"], entry["reason"], entry["tunnel"]), (499, "visitor-gone", "t-1"))

    def test_unknown_hostname(self) -> None:
        """A request for nobody's hostname is counted with all others of the kind, and has no route or tunnel."""
        self.visitor.dataReceived(GET.replace(b"app.", b"other."))
        entry = self.line()
        self.assertEqual((entry["status"], entry["reason"]), (404, "unknown-hostname"))
        self.assertNotIn("route", entry)
        self.assertNotIn("tunnel", entry)
        self.assertEqual(self.edge.metrics.unrouted.by_class[4], 1)

    def test_no_log(self) -> None:
        """Without an access log requests are counted all the same."""
        self.edge.visitors.access_log = None
        self.visitor.dataReceived(GET.replace(b"app.", b"other."))
        self.assertEqual((self.edge.metrics.requests, self.edge.lines), (1, []))
