"""Tests of one request and its answer in memory: what sockets cannot show exactly."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport, FakeTunnel
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_base.fair_queue import SLICE_PIECES
from warp_twisted.edge.refusals import TOO_MANY_REQUESTS, TOO_MUCH_UNREAD, VISITOR_GONE
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.routes.load import Standing
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import encode_preamble
from warp_twisted.wire.streams import Stream


class ChallengeTests(SynchronousTestCase):
    """An authority asks whether a hostname is ours."""

    PATH = b"/.well-known/acme-challenge/tok"

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.challenge_answers = {("shop.example", self.PATH): b"tok.x"}

    def asked(self, line: bytes, host: bytes = b"shop.example", rest: bytes = b"") -> bytes:
        """Ask on a connection of its own."""
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(b"%b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (line, host, rest))
        return transport.taken

    def test_answered(self) -> None:
        """The edge answers what is published, of a hostname that nobody serves, too; HEAD gets the size."""
        answer = self.asked(b"GET " + self.PATH)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(answer.endswith(b"\r\n\r\ntok.x"))
        self.assertIn(b"\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\n", answer)
        self.assertTrue(self.asked(b"HEAD " + self.PATH).endswith(b"\r\n\r\n"))

    def test_what_is_not_ours(self) -> None:
        """Another token, hostname or method goes where everything else goes."""
        for number, target in enumerate((self.PATH + b"x", self.PATH + b"?a", self.PATH)):
            self.assertEqual(self.asked(b"GET " + target, b"app.example"), b"")
            self.assertEqual(len(self.edge.streams()), number + 1, target)
        for line in (b"POST " + self.PATH, b"GET " + self.PATH + b"x"):
            self.assertTrue(self.asked(line).startswith(b"HTTP/1.1 404 "), line)


class MistakeTests(SynchronousTestCase):
    """A mistake of ours in one request."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(GET)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def break_log(self) -> None:
        """Make the access log fail once."""
        log = self.edge.visitors.access_log
        assert log is not None

        def fail(entry: object) -> None:
            patch.restore()
            raise ZeroDivisionError

        patch = self.patch(log, "record", fail)

    def test_while_answering(self) -> None:
        """It ends the visitor's connection, is logged, and does not pass on to the tunnel."""
        self.break_log()
        self.edge.tunnel.protocol.arrive(self.stream, OK)
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_while_losing_the_stream(self) -> None:
        """The same when the stream's end finds it."""
        self.edge.table.drain(self.edge.tunnel)
        self.break_log()
        self.stream.lose(StreamReset())
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_before_the_answer(self) -> None:
        """If nothing was written the visitor is told."""
        patch = self.patch(self.edge.visitors, "limits", None)
        self.edge.tunnel.protocol.arrive(self.stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        patch.restore()
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 500 "), self.transport.taken)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


POST = b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000\r\n\r\n"


class BodyRateTests(SynchronousTestCase):
    """How slowly a visitor may send a body."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(POST)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)
        self.stall = int(self.edge.visitors.timeouts.visitor_stall)

    def send(self, piece: bytes, every: int, seconds: int) -> None:
        """Send pieces of the body, and let time pass."""
        for _ in range(0, seconds, every):
            if self.transport.is_closing:
                return
            self.visitor.dataReceived(piece)
            self.edge.clock.pump([1.0] * every)

    def test_too_slow(self) -> None:
        """A byte now and then is not enough: the visitor is told so when the time for the first pause is over."""
        self.send(b"x", self.stall - 5, 10 * self.stall)
        self.assertIn(b"HTTP/1.1 408 ", self.transport.taken)
        self.assertLess(self.edge.clock.seconds(), self.stall * 2)

    def test_fast_enough(self) -> None:
        """Who keeps to the rate stays, however long it takes."""
        rate = self.edge.visitors.limits.body_bytes_per_second
        self.send(b"x" * (rate * 20), 20, 10 * self.stall)
        self.assertFalse(self.transport.is_closing)

    def test_nothing_is_saved_up(self) -> None:
        """Who was fast may not stop for longer than anybody else."""
        self.visitor.dataReceived(b"x" * 100_000)
        self.send(b"x", self.stall + 3, 1)
        self.assertIn(b"HTTP/1.1 408 ", self.transport.taken)

    def test_slow_origin(self) -> None:
        """The time in which the origin takes nothing is not the visitor's."""
        self.edge.tunnel.protocol.sent()
        self.visitor.dataReceived(b"x" * 300_000)
        self.assertTrue(self.visitor.is_paused)
        self.edge.clock.pump([1.0] * (self.stall - 2))
        self.stream.credit_granted(500_000)
        self.edge.tunnel.protocol.sent()
        self.assertFalse(self.visitor.is_paused)
        self.edge.clock.pump([1.0] * (self.stall - 2))
        self.assertFalse(self.transport.is_closing)

    def test_no_bound(self) -> None:
        """Without a bound a byte in each pause is enough."""
        self.edge.visitors.limits = VisitorLimits(body_bytes_per_second=0)
        self.send(b"x", self.stall - 5, 10 * self.stall)
        self.assertFalse(self.transport.is_closing)


class UnreadUploadTests(SynchronousTestCase):
    """Uploads that wait for their origins."""

    limit = 1_000_000

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(unread_bytes=self.limit))

    def uploading(self) -> tuple[PlainVisitor, FakeTransport, Stream]:
        """Let a visitor send more than its stream takes."""
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(POST)
        stream = self.edge.streams()[-1]
        self.edge.tunnel.protocol.answer(stream)
        for _ in range(5):
            self.edge.tunnel.protocol.sent()
            if not visitor.is_paused:
                visitor.dataReceived(b"x" * 100_000)
        self.assertTrue(visitor.is_paused)
        return visitor, transport, stream

    def test_count(self) -> None:
        """What waits for credit is counted, until it goes out, its visitor leaves or its stream dies."""
        first, second, third = (self.uploading() for _ in range(3))
        for visitor, _, stream in (first, second, third):
            self.assertGreater(stream.queued_bytes, 300_000 - 262_144)
            self.assertGreaterEqual(visitor.unread_bytes, stream.queued_bytes)
            self.assertLessEqual(visitor.unread_bytes, 100_000)
        self.assertEqual(self.edge.metrics.unread_bytes, sum(each[0].unread_bytes for each in (first, second, third)))
        first[2].credit_granted(500_000)
        self.edge.tunnel.protocol.sent()
        self.assertEqual((first[0].unread_bytes, first[0].is_paused), (0, False))
        second[0].connectionLost()
        third[2].lose(StreamReset())
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_what_may_be_sent_again(self) -> None:
        """A body that is kept to be sent again counts as well, until the origin begins its answer."""
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(POST.replace(b"1000000", b"50000"))
        (stream,) = self.edge.streams()
        visitor.dataReceived(b"x" * 40_000)
        self.assertGreater(visitor.unread_bytes, 40_000)
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_slowest_are_cut(self) -> None:
        """Above the limit those are cut whose origins took nothing for the longest time."""
        uploads = []
        while TOO_MUCH_UNREAD not in self.edge.metrics.refusals:
            uploads.append(self.uploading())
            self.edge.clock.advance(1.0)
        self.assertLessEqual(self.edge.metrics.unread_bytes, self.limit)
        cut = [transport.is_aborted for _, transport, _ in uploads]
        self.assertEqual(cut, sorted(cut, reverse=True))
        self.assertEqual(self.edge.metrics.refusals[TOO_MUCH_UNREAD], sum(cut))
        self.assertGreater(sum(cut), 0)


class RequestRateTests(SynchronousTestCase):
    """How often one network may ask."""

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(requests_per_second=0.5, request_burst=2))

    def ask(self, address: str) -> bytes:
        """Ask for what the edge answers itself, as a visitor of an address; return the answer."""
        self.edge.visitors.counts.admit(address)
        connection, transport = PlainVisitor(self.edge.visitors, address), FakeTransport()
        connection.makeConnection(transport)
        connection.dataReceived(GET.replace(b"app.", b"other."))
        return transport.taken

    def test_limit(self) -> None:
        """More than the burst is refused, with the time to wait; then one is served; others are not concerned."""
        answers = [self.ask("2001:db8::1"), self.ask("2001:db8::2"), self.ask("2001:db8::3")]
        self.assertEqual([answer[9:12] for answer in answers], [b"404", b"404", b"429"])
        self.assertIn(b"\r\nRetry-After: 2\r\n", answers[2])
        self.assertIn(b"reason: requests-per-address\n", answers[2])
        self.assertEqual(self.edge.metrics.refusals[TOO_MANY_REQUESTS], 1)
        self.assertEqual(self.ask("2001:db8:0:1::1")[9:12], b"404")
        self.edge.clock.advance(2.0)
        self.assertEqual([self.ask("2001:db8::1")[9:12] for _ in range(2)], [b"404", b"429"])

    def test_reload(self) -> None:
        """Another limit holds from then on, and none at all."""
        for _ in range(3):
            self.ask("192.0.2.7")
        self.edge.visitors.apply(VisitorLimits(), self.edge.visitors.timeouts)
        self.assertEqual(self.ask("192.0.2.7")[9:12], b"404")
        self.edge.visitors.apply(VisitorLimits(requests_per_second=1, request_burst=1), self.edge.visitors.timeouts)
        self.assertEqual([self.ask("192.0.2.8")[9:12] for _ in range(2)], [b"404", b"429"])

    def test_body(self) -> None:
        """A body that belongs to a refused request is never read as the next one."""
        for _ in range(2):
            self.ask("192.0.2.7")
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(POST + GET)
        self.assertEqual(transport.taken.count(b"HTTP/1.1 "), 1)
        self.assertIn(b"HTTP/1.1 429 ", transport.taken)
        self.assertTrue(transport.is_ended)


class LossTests(SynchronousTestCase):
    """Many streams that die at once."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.losses = StepQueue(self.edge.clock, 1e-9)  # a turn has time for one
        self.visitors = [self.edge.visitor() for _ in range(4)]
        for visitor, _ in self.visitors:
            visitor.dataReceived(GET)
        for stream in self.edge.streams():
            self.edge.tunnel.protocol.answer(stream)
        self.other = FakeTunnel("t-2", "agent-2")
        self.edge.table.add(self.other, [RouteOffer(id=0, hostname="app.example")])
        for stream in self.edge.streams():
            stream.lose(StreamReset())

    def test_in_turns(self) -> None:
        """They are obeyed in turns, and each request is sent again in its own."""
        self.assertEqual((self.edge.metrics.retries, len(self.edge.visitors.losses)), (1, 3))
        for visitor, _ in self.visitors:
            check_visitor(visitor)
        self.edge.clock.advance(0)
        self.assertEqual((self.edge.metrics.retries, len(self.other.protocol.opened)), (4, 4))

    def test_what_happens_meanwhile(self) -> None:
        """A visitor that leaves, or whose time is over, before its turn has none; other bytes of it do no harm."""
        self.visitors[1][0].connectionLost()
        self.visitors[2][0].timed_out()
        self.assertIn(b"HTTP/1.1 504 ", self.visitors[2][1].taken)
        self.visitors[3][0].dataReceived(GET)
        self.edge.clock.advance(0)
        self.assertEqual((self.edge.metrics.retries, len(self.other.protocol.opened)), (2, 2))
        for visitor, _ in self.visitors:
            check_visitor(visitor)


class KeptTests(SynchronousTestCase):
    """Requests that are kept to be sent again."""

    def test_large_heads(self) -> None:
        """A large head counts among the bytes that wait until the answer begins; a small one does not."""
        edge = MemoryEdge()
        (visitor, _), (small, _) = edge.visitor(), edge.visitor()
        visitor.dataReceived(GET[:-2] + b"X-Long: " + b"x" * 8_000 + b"\r\n\r\n")
        small.dataReceived(GET)
        self.assertGreater(edge.metrics.unread_bytes, 8_000)
        self.assertEqual(edge.metrics.unread_bytes, visitor.kept_bytes)
        stream = edge.streams()[0]
        edge.tunnel.protocol.answer(stream)
        edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\n")
        self.assertEqual(edge.metrics.unread_bytes, 0)


class SilentTunnelTests(SynchronousTestCase):
    """A visitor's request is on a tunnel that is suspected of being dead, and another agent serves the hostname."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.other = FakeTunnel("t-2", "agent-2")

    def ask(self, request: bytes) -> FakeTransport:
        """Ask the tunnel that is going to be silent, and let the other one join."""
        connection, transport = self.edge.visitor()
        connection.dataReceived(request)
        self.edge.table.add(self.other, [RouteOffer(id=0, hostname="app.example")])
        return transport

    def suspect(self) -> None:
        """Suspect the first tunnel, as `Suspicion` does."""
        load = self.edge.table._loads[self.edge.tunnel]
        load.standing = Standing.SUSPECTED
        self.edge.table.suspect(load)
        for lent in list(load.lent):
            lent.tunnel_suspected()

    def test_sent_elsewhere(self) -> None:
        """What may be repeated is sent to the other agent at once, and the silent stream is cut."""
        transport = self.ask(GET)
        self.suspect()
        self.assertEqual(self.edge.streams(), [])
        ((_, stream),) = self.other.protocol.opened
        self.assertIn(b"GET /a HTTP/1.1", self.other.protocol.sent()[stream.id])
        self.other.protocol.answer(stream)
        self.other.protocol.arrive(stream, OK)
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.edge.metrics.retries, 1)

    def test_asked_already(self) -> None:
        """So is a request whose origin was reached, as long as nothing of an answer has come."""
        self.ask(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.suspect()
        self.assertEqual((self.edge.streams(), len(self.other.protocol.opened)), ([], 1))

    def test_not_repeatable(self) -> None:
        """A POST waits for the silent tunnel: nobody knows what its origin has seen."""
        transport = self.ask(b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n")
        self.suspect()
        (stream,) = self.edge.streams()
        self.assertEqual((self.other.protocol.opened, transport.taken), ([], b""))
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 200"))

    def test_answer_began(self) -> None:
        """An answer that has begun is waited for."""
        self.ask(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Le")
        self.suspect()
        self.assertEqual((len(self.edge.streams()), self.other.protocol.opened), (1, []))

    def test_nobody_else(self) -> None:
        """Without another agent the request stays where it is, and is answered when the agent is heard again."""
        connection, transport = self.edge.visitor()
        connection.dataReceived(GET)
        self.suspect()
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.edge.metrics.retries, 0)


class SearchTests(SynchronousTestCase):
    """A request whose path must be compared with costly rules."""

    path = b"/" + b"ab" * 200

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.table.add(
            self.edge.tunnel,
            [
                RouteOffer(id=0, hostname="app.example"),
                *(
                    RouteOffer(id=number, hostname="rules.example", path=f"[ab]*c[ab]{{{200 + number}}}$")
                    for number in (1, 2)
                ),
                RouteOffer(id=3, hostname="rules.example"),
            ],
        )
        self.visitor, self.transport = self.edge.visitor()

    def request(self, method: bytes, *lines: bytes) -> bytes:
        """Return a request's head."""
        return b"\r\n".join([method + b" " + self.path + b" HTTP/1.1", b"Host: rules.example", *lines, b"", b""])

    def sent(self) -> bytes:
        """Return what went to the origin since the last call, without the preamble."""
        return b"".join(self.edge.tunnel.protocol.sent().values()).removeprefix(encode_preamble(3))

    def test_in_turns(self) -> None:
        """It waits for its turns, behind those of others, and is then sent where it belongs."""
        self.visitor.dataReceived(self.request(b"GET"))
        self.assertEqual((self.edge.streams(), len(self.edge.visitors.queue)), ([], 1))
        check_visitor(self.visitor)
        self.edge.clock.advance(0)
        self.assertTrue(self.sent().startswith(b"GET /abab"))
        self.assertEqual(len(self.edge.visitors.queue), 0)

    def test_new_connections(self) -> None:
        """New connections for each request gain nothing: they wait behind one another, and others do not."""
        for _ in range(50):
            self.edge.visitor()[0].dataReceived(self.request(b"GET"))
        self.assertEqual((self.edge.streams(), len(self.edge.visitors.queue)), ([], 50))
        self.visitor.dataReceived(GET)
        self.assertEqual(len(self.edge.streams()), 1)
        self.edge.clock.advance(0)
        self.assertLessEqual(len(self.edge.streams()), 1 + SLICE_PIECES)
        self.edge.clock.pump([0.1] * 100)
        self.assertEqual(len(self.edge.streams()), 51)

    def test_body(self) -> None:
        """Of its body what came with the head is kept, and what follows waits; in the end all of it is sent."""
        self.visitor.dataReceived(self.request(b"PUT", b"Content-Length: 60000") + b"x" * 30_000)
        self.assertEqual(self.edge.metrics.unread_bytes, 30_000)
        self.visitor.dataReceived(b"y" * 20_000)
        self.assertEqual((self.edge.metrics.unread_bytes, self.visitor.is_paused), (50_000, True))
        check_visitor(self.visitor)
        self.edge.clock.pump([0.1] * 10)
        check_visitor(self.visitor)
        self.assertFalse(self.visitor.is_paused)
        self.visitor.dataReceived(b"z" * 10_000)
        self.assertTrue(self.sent().endswith(b"\r\n\r\n" + b"x" * 30_000 + b"y" * 20_000 + b"z" * 10_000))
        self.assertFalse(self.visitor.conversation is not None and self.visitor.conversation.wants_data)

    def test_visitor_leaves(self) -> None:
        """A visitor that leaves meanwhile leaves the queue as well, and is logged."""
        self.visitor.dataReceived(self.request(b"PUT", b"Content-Length: 60000") + b"x" * 30_000)
        self.visitor.connectionLost()
        self.assertEqual((len(self.edge.visitors.queue), self.edge.metrics.unread_bytes), (0, 0))
        self.assertEqual(self.edge.metrics.refusals, {VISITOR_GONE: 1})
        self.edge.clock.pump([0.1] * 10)
        self.assertEqual(self.edge.streams(), [])

    def test_too_long(self) -> None:
        """A path that turns out to be too long is refused when its turn has come."""
        self.path = b"/" + b"%61" * 2_100
        self.visitor.dataReceived(self.request(b"GET") + GET)
        self.edge.clock.pump([0.1] * 10)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 414 "), self.transport.taken)
        self.assertEqual(len(self.edge.streams()), 1, "the next request is served")

    def test_waiting_is_no_fault(self) -> None:
        """A request is not timed out while it waits for its turn."""
        self.visitor.dataReceived(self.request(b"GET"))
        self.visitor.timed_out()
        self.edge.clock.advance(0)
        self.assertEqual(len(self.edge.streams()), 1)

    def test_tunnel_goes_meanwhile(self) -> None:
        """A route that has no tunnel any more when it is found is answered as such."""
        self.visitor.dataReceived(self.request(b"GET"))
        self.edge.table.remove(self.edge.tunnel)
        self.edge.clock.pump([0.1] * 10)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 503 "), self.transport.taken)
