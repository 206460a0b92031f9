"""Tests of copies of requests that shadows get, in memory."""

import re

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport, FakeTunnel
from tests.edge.visitors.memory_edge import OK, MemoryEdge
from warp_twisted.edge.exchange import mirroring
from warp_twisted.edge.routes.mirror_counters import MirrorCounters, Unanswered
from warp_twisted.edge.routes.pool import OriginStream
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import ConnectionLost
from warp_twisted.wire.preamble import OpeningCode
from warp_twisted.wire.streams import Stream

POLICY = """
routing:
- hostname: app.example
  split: [{selector: "", weight: 1}]
  mirror: {selector: release=next, percent: %d}
"""
_ID = re.compile(rb"\r\nX-Request-Id: ([^\r]+)\r\n")
GET = b"GET /a HTTP/1.1\r\nHost: app.example\r\nWarp-Mirror: 2\r\nwarp_mirror: 3\r\nAuthorization: a\r\n\r\n"


class MirroringTestCase(SynchronousTestCase):
    """An edge with a tunnel for visitors, and one of the shadow."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.clock: Clock = self.edge.clock
        self.shadow = FakeTunnel("n-1", "agent-next", {"release": "next"})
        self.edge.table.add(self.shadow, [RouteOffer(id=0, hostname="app.example")])
        self.use(100)

    def use(self, percent: int) -> None:
        """Put a policy in force."""
        routing = RoutingTable(parse_policy(POLICY % percent, "p").routing)
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    @property
    def counters(self) -> MirrorCounters:
        """What is counted of the mirror."""
        return self.edge.metrics.mirrors.of("app.example")

    @property
    def unanswered(self) -> dict[str, int]:
        """How many copies have no answer, by why."""
        return {why.value: count for why, count in self.counters.unanswered.items() if count}

    def ask(self, request: bytes = GET) -> tuple[FakeTransport, bytes]:
        """Let a visitor ask and be answered; return its transport and the request as its origin got it."""
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(request)
        (stream,) = [each for _, each in self.edge.tunnel.protocol.opened[-1:]]
        got = self.edge.tunnel.protocol.sent()[stream.id]
        if isinstance(getattr(stream.receiver, "_receiver", None), OriginStream):
            self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertTrue(transport.taken.endswith(b"ok"), transport.taken)
        return transport, got

    def copy(self) -> tuple[Stream, bytes]:
        """Return the newest stream of the shadow, opened, and the copy that it was sent."""
        opener = self.shadow.protocol
        stream = opener.opened[-1][1]
        copy = opener.sent()[stream.id]
        opener.answer(stream)
        return stream, copy[copy.index(b"GET ") if b"GET " in copy else 0 :]


class CopyTests(MirroringTestCase):
    """What a shadow gets, and what becomes of its answer."""

    def test_copy(self) -> None:
        """The copy is the request as the origin gets it, with a field that says so and that no visitor can send."""
        _, original = self.ask()
        stream, copy = self.copy()
        self.assertNotIn(b"mirror", original.lower())
        self.assertEqual(copy.lower().count(b"mirror"), 1)
        self.assertIn(b"\r\nWarp-Mirror: 1\r\n", copy)
        self.assertEqual(_ID.findall(copy), _ID.findall(original))
        self.assertEqual(copy.replace(b"Warp-Mirror: 1\r\n", b""), original[original.index(b"GET ") :])
        self.clock.advance(0.25)
        self.shadow.protocol.arrive(stream, b"HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nno!")
        counters = self.counters
        self.assertEqual((counters.by_class[5], counters.under_way, counters.waiting_bytes), (1, 0, 0))
        self.assertAlmostEqual(counters.seconds, 0.25)
        share = self.edge.metrics.shares.of("app.example", "")
        self.assertEqual((share.requests, share.by_class[5], share.seconds), (1, 0, 0.0))
        self.edge.visitors.sweep()
        self.assertIn(b'"mirror":"release=next"', self.edge.lines[-1])

    def test_host_of_the_shadow(self) -> None:
        """A shadow that is to be told another Host is told that, and the visitor's origin is not."""
        offer = RouteOffer(id=0, hostname="app.example", host_header="localhost:3000", own_scheme="http")
        self.edge.table.add(self.shadow, [offer])
        _, original = self.ask(GET[:-2] + b"Origin: http://app.example\r\n\r\n")
        _, copy = self.copy()
        self.assertIn(b"\r\nHost: app.example\r\n", original)
        self.assertIn(b"\r\nHost: localhost:3000\r\n", copy)
        self.assertIn(b"\r\nOrigin: http://localhost:3000\r\n", copy)

    def test_stream_is_used_again(self) -> None:
        """A connection whose answer was whole serves the next copy; one that is half read does not."""
        for answer in (OK, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 204 No\r\n\r\n"):
            self.ask()
            stream = self.shadow.protocol.opened[-1][1]
            if len(self.shadow.protocol.opened) == 1 and self.counters.requests == 0:
                self.shadow.protocol.answer(stream)
            for at in range(len(answer)):
                self.shadow.protocol.arrive(stream, answer[at : at + 1])
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        self.ask()
        self.shadow.protocol.arrive(stream, chunked)
        self.assertEqual(len(self.shadow.protocol.opened), 1)
        self.assertEqual(self.counters.by_class[2], 4)
        self.ask()
        self.shadow.protocol.arrive(stream, OK + b"more")
        self.ask()
        self.assertEqual(len(self.shadow.protocol.opened), 2)

    def test_answers_of_all_kinds(self) -> None:
        """HEAD has no body, one until the end ends with it, and what is no HTTP is lost; the visitor has its answer."""
        for answer, ends, status, why in (
            (b"HTTP/1.1 200 OK\r\n\r\nuntil", True, 2, ""),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", True, 0, "lost"),
            (b"HTTP/2 nonsense\r\n\r\n", False, 0, "lost"),
            (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", False, 1, ""),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50, False, 0, "cut"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_100_000, False, 0, "cut"),
        ):
            before, unanswered = self.counters.requests, dict(self.unanswered)
            self.ask()
            stream, _ = self.copy()
            for at in range(0, len(answer), 16_000):
                if self.counters.under_way:
                    self.shadow.protocol.arrive(stream, answer[at : at + 16_000])
            if ends:
                stream.receiver.end_received()
            self.assertEqual(self.counters.requests - before, 1 if status else 0, answer[:60])
            if why:
                self.assertEqual(self.unanswered[why], unanswered.get(why, 0) + 1, answer[:60])
            self.assertEqual(self.counters.under_way, 0)
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(GET.replace(b"GET", b"HEAD"))
        stream, copy = self.copy()
        self.assertIn(b"HEAD /a HTTP/1.1\r\n", copy)
        self.shadow.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual((transport.taken, self.counters.under_way), (b"", 0))

    def test_not_copied(self) -> None:
        """What may change something, has a body, or asks for an upgrade is not copied."""
        for request in (
            b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n",
            b"DELETE /a HTTP/1.1\r\nHost: app.example\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1\r\n\r\nx",
        ):
            self.ask(request)
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(
            b"GET /a HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        self.assertEqual((self.counters.copies, self.shadow.protocol.opened), (0, []))

    def test_dead_shadow(self) -> None:
        """A copy that nobody takes is counted as that, and never sent again; no origin is ejected for it."""
        self.ask()
        stream = self.shadow.protocol.opened[-1][1]
        self.shadow.protocol.answer(stream, OpeningCode.ORIGIN_REFUSED)
        self.assertEqual(self.unanswered, {"lost": 1})
        for _ in range(9):
            self.ask()
            self.copy()[0].lose(ConnectionLost())
        self.assertEqual(self.unanswered, {"lost": 10})
        self.assertEqual((self.edge.metrics.ejections, self.edge.metrics.retries), (0, 0))
        self.shadow.protocol.is_full = True
        self.ask()
        self.shadow.protocol.is_full = False
        self.edge.table.remove(self.shadow)
        self.ask()
        self.assertEqual(self.unanswered, {"lost": 10, "no_tunnel": 2})
        self.assertEqual(self.counters.copies, 12)


class BoundsTests(MirroringTestCase):
    """What a shadow may take."""

    def test_silent_shadow(self) -> None:
        """Copies wait ten seconds and no longer; as many as may be under way, the others are dropped, which is told."""
        for _ in range(mirroring.COPIES + 5):
            self.ask()
        self.assertEqual(self.unanswered, {"busy": 5})
        self.assertEqual((self.counters.under_way, self.edge.visitors.mirroring.count), (mirroring.COPIES,) * 2)
        used, _ = self.edge.table.stream_counts
        self.assertEqual(used, mirroring.COPIES)
        self.clock.pump([1.0] * 12)
        self.assertEqual(self.unanswered, {"busy": 5, "late": mirroring.COPIES})
        self.assertEqual((self.counters.under_way, self.counters.waiting_bytes), (0, 0))
        self.assertEqual(self.edge.table.stream_counts[0], 0)
        self.ask()
        self.assertEqual(self.counters.under_way, 1)

    def test_bytes_of_requests(self) -> None:
        """Large requests have a bound of their own."""
        self.patch(mirroring, "REQUEST_BYTES", 1_000)
        for _ in range(80):
            self.ask()
        self.assertEqual(self.unanswered, {"busy": 80 - self.counters.under_way})
        self.assertLessEqual(self.counters.waiting_bytes, 1_000)
        self.assertGreater(self.counters.waiting_bytes, 600)

    def test_bytes_of_answers(self) -> None:
        """A shadow that answers with too much gets nothing for the rest of the second."""
        self.counters.read_bytes = mirroring.ANSWER_BYTES_A_SECOND + 1
        self.ask()
        self.assertEqual(self.unanswered, {"busy": 1})
        self.clock.advance(1.0)
        self.ask()
        self.assertEqual(self.counters.under_way, 1)

    def test_interim_answers(self) -> None:
        """A shadow that never comes to its answer is given up, before its 1xx cost the visitors noticeable time."""
        head = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        self.ask()
        stream, _ = self.copy()
        self.shadow.protocol.arrive(stream, head * mirroring.INTERIM_RESPONSES)
        self.assertEqual(self.counters.under_way, 1)
        self.shadow.protocol.arrive(stream, head + OK)
        self.assertEqual((self.counters.under_way, self.unanswered), (0, {"lost": 1}))
        self.ask()
        stream, _ = self.copy()
        self.shadow.protocol.arrive(stream, head * mirroring.INTERIM_RESPONSES + OK)
        self.assertEqual((self.counters.under_way, self.unanswered), (0, {"lost": 1}))

    def test_all_mirrors_together(self) -> None:
        """The edge has a bound for all of them."""
        self.patch(mirroring, "COPIES_OF_ALL", 3)
        for _ in range(4):
            self.ask()
        self.assertEqual(self.unanswered, {"busy": 1})

    def test_bug(self) -> None:
        """An error in copying is logged and costs the visitor nothing."""

        def broken(*arguments: object, **named: object) -> OriginStream:
            raise RuntimeError("a bug")

        self.patch(mirroring, "_Copy", broken)
        self.ask()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_stop(self) -> None:
        """An edge that stops forgets what is under way."""
        self.ask()
        self.edge.visitors.stop()
        self.assertEqual((self.counters.under_way, self.unanswered), (0, {Unanswered.LOST.value: 1}))
