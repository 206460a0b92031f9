"""Tests of origins that are ejected, at an edge in memory."""

from collections import Counter

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTunnel
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.routing.outliers import FAILURES, FIRST_SECONDS
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
OFFERS = [RouteOffer(id=0, hostname="app.example")]


class EjectionTests(SynchronousTestCase):
    """Two agents serve a hostname; the second has two tunnels."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.tunnels = {"t-1": self.edge.tunnel}
        self.opened: set[Stream] = set()  # whose origin was reached
        for name in ("t-2", "t-3"):
            self.tunnels[name] = FakeTunnel(name, "agent-2")
            self.edge.table.add(self.tunnels[name], OFFERS)

    def ask(self, answer: bytes = BROKEN) -> str:
        """Ask, and have agent-2 answer so, and the other one well; return whom the request went to."""
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(GET)
        for tunnel in self.tunnels.values():
            for stream_id, request in tunnel.protocol.sent().items():
                if b"HTTP/1.1\r\n" in request:
                    (stream,) = [each for _, each in tunnel.protocol.opened if each.id == stream_id]
                    if stream not in self.opened:
                        self.opened.add(stream)
                        tunnel.protocol.answer(stream)
                    tunnel.protocol.arrive(stream, answer if tunnel.agent == "agent-2" else OK)
                    self.assertNotEqual(transport.taken, b"")
                    visitor.connectionLost(None)  # type: ignore[arg-type]  # the reason is not looked at
                    return tunnel.agent
        raise AssertionError("nobody was asked")

    def eject(self) -> None:
        """Ask until agent-2 has failed often enough."""
        failed = 0
        while failed < FAILURES:
            failed += self.ask() != self.edge.tunnel.agent
        self.assertEqual(self.edge.metrics.ejections, 1)

    def served(self, count: int = 12, answer: bytes = OK) -> Counter[str]:
        """Ask some times; return whom."""
        return Counter(self.ask(answer) for _ in range(count))

    def test_ejected_and_back(self) -> None:
        """All tunnels of an agent whose origin fails get nothing, until one request has shown that it serves again."""
        ejection = self.edge.table.ejection
        with capturedLogs() as logged:
            self.eject()
            self.assertEqual(self.served(), {"agent-1": 12})
            (ejected,) = ejection.listed()
            self.assertEqual((ejected.agent, ejected.state, ejected.failures), ("agent-2", "ejected", FAILURES))
            self.assertEqual((ejected.route.hostname, ejection.count), ("app.example", 1))
            self.edge.clock.pump([1.0] * 4)
            (ejected,) = ejection.listed()
            self.assertTrue(5.0 <= ejected.seconds <= FIRST_SECONDS - 3, ejected.seconds)
            self.edge.clock.pump([1.0] * int(FIRST_SECONDS - 2))
            self.assertEqual([(each.state, each.seconds) for each in ejection.listed()], [("due", 0.0)])
            self.assertGreater(self.served()["agent-2"], 6)  # which has two of three tunnels
        self.assertEqual((list(ejection.listed()), ejection.count), ([], 0))
        said = [each["log_format"] for each in logged if "origin of" in each["log_format"]]
        self.assertEqual([("fails" in each, "again" in each) for each in said], [(True, False), (False, True)])

    def test_one_probe(self) -> None:
        """When the time is over one request goes there, and none after it if it fails."""
        self.eject()
        self.edge.clock.pump([1.0] * int(FIRST_SECONDS + 2))
        self.assertEqual(self.served(answer=BROKEN), {"agent-1": 11, "agent-2": 1})
        self.assertEqual(self.edge.metrics.ejections, 2)

    def test_tunnel_that_joins(self) -> None:
        """A tunnel that an agent adds meanwhile gets nothing either; when all have gone and come, all is forgotten."""
        self.eject()
        self.tunnels["t-4"] = FakeTunnel("t-4", "agent-2")
        self.edge.table.add(self.tunnels["t-4"], OFFERS)
        self.assertEqual(self.served(), {"agent-1": 12})
        for name in ("t-2", "t-3", "t-4"):
            self.edge.table.remove(self.tunnels.pop(name))
        self.assertEqual(list(self.edge.table.ejection.listed()), [])
        self.edge.clock.pump([1.0] * 2)
        self.assertEqual(self.edge.table.ejection.count, 0)
        self.tunnels["t-5"] = FakeTunnel("t-5", "agent-2")
        self.edge.table.add(self.tunnels["t-5"], OFFERS)
        self.assertGreater(self.served()["agent-2"], 0)

    def test_nobody_else(self) -> None:
        """Where the others have gone, an ejected origin is better than none."""
        self.eject()
        self.edge.table.remove(self.edge.tunnel)
        self.assertEqual(self.served(3), {"agent-2": 3})

    def test_not_reached(self) -> None:
        """An origin that is not reached, or that cuts a new connection, fails as well."""
        for code in (OpeningCode.ORIGIN_REFUSED, None):
            self.setUp()
            for _ in range(4 * FAILURES):
                visitor, _ = self.edge.visitor()
                visitor.dataReceived(GET)
                for name in ("t-2", "t-3"):
                    protocol = self.tunnels[name].protocol
                    for _, stream in list(protocol.opened):
                        if stream.state is StreamState.CLOSED:
                            continue
                        if code is None:
                            stream.lose(StreamReset())
                        else:
                            protocol.answer(stream, code)
                self.edge.clock.advance(0)
            self.assertEqual(self.edge.metrics.ejections, 1, code)
