"""Tests of a visitor's connection in memory: fuzz, and what sockets cannot show exactly."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from tests.edge.fakes import FakeTransport, FakeTunnel
from warp_twisted.edge.refusals import TOO_MUCH_UNREAD
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.edge.visitors.access_log import AccessLog
from warp_twisted.edge.visitors.crowd import Visitors
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.secure import SecureVisitor
from warp_twisted.http1.body import make_reader
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import BodyLimits, HeadLimits
from warp_twisted.http1.request import RequestReader
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode, encode_preamble
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

GET = b"GET /a HTTP/1.1\r\nHost: app.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITS = VisitorLimits(
    head=HeadLimits(head_bytes=400, header_count=10, target_bytes=100),
    body=BodyLimits(body_bytes=300, trailer_bytes=60, trailer_count=3, extension_bytes=40),
    held_bytes=500,
    idle_streams=2,
)


class Edge:
    """Everything behind one listener, with a clock and a tunnel of the test's."""

    def __init__(self, limits: VisitorLimits | None = None) -> None:
        self.clock = Clock()
        self.metrics = DataPathMetrics()
        self.table = RouteTable(self.metrics, limits)
        self.lines: list[bytes] = []
        self.visitors = Visitors(
            self.table,
            self.metrics,
            self.clock,
            access_log=AccessLog(self.lines.append),
            limits=limits,
            timeouts=VisitorTimeouts(),
            via="",
            seconds=self.clock.seconds,
        )
        self.visitors.start()
        self.tunnel = FakeTunnel("t-1")
        self.table.add(self.tunnel, [RouteOffer(id=0, hostname="app.example")])

    def visitor(self) -> tuple[PlainVisitor, FakeTransport]:
        """Connect."""
        self.visitors.counts.admit("192.0.2.7")
        connection, transport = PlainVisitor(self.visitors, "192.0.2.7"), FakeTransport()
        connection.makeConnection(transport)
        return connection, transport

    def streams(self) -> list[Stream]:
        """Return the streams that are open, in the order in which they were opened."""
        return [stream for _, stream in self.tunnel.protocol.opened if stream.state is not StreamState.CLOSED]


class InterfaceTests(SynchronousTestCase):
    """What Twisted is promised."""

    def test_producers(self) -> None:
        """Both connections are the producers that they say."""
        verifyClass(IPullProducer, PlainVisitor)
        verifyClass(IPushProducer, SecureVisitor)


class WritingTests(SynchronousTestCase):
    """Bytes that the visitor's socket does not take."""

    def setUp(self) -> None:
        self.edge = Edge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(GET)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def arrive(self, data: bytes) -> None:
        self.edge.tunnel.protocol.arrive(self.stream, data)

    def test_order(self) -> None:
        """Whatever the socket takes and when, the visitor gets every byte once and in order."""
        self.transport.room = 50
        body = bytes(range(256)) * 900
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 70_000):
            self.arrive(body[at : at + 70_000])
        self.assertTrue(self.visitor.is_clogged)
        while self.visitor.is_clogged:
            self.transport.read(33_333)
        self.assertEqual(self.transport.taken.partition(b"\r\n\r\n")[2], body)

    def test_credit_is_held_back(self) -> None:
        """No credit is returned while bytes wait, and all of it when they are gone."""
        self.transport.room = 0
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
        self.arrive(b"x" * 200_000)
        before = self.stream.unread_bytes
        self.assertGreaterEqual(before, 200_000)
        self.transport.read(1 << 20)
        self.assertEqual(self.stream.unread_bytes, 0)
        self.arrive(b"x" * 100_000)
        self.assertEqual(self.stream.unread_bytes, 0)

    def test_next_request_waits(self) -> None:
        """A pipelined request is not begun while the last answer waits to be read."""
        self.transport.room = 10
        self.visitor.dataReceived(GET)
        self.arrive(OK)
        self.assertEqual(self.edge.table.stream_counts, (0, 1))
        self.transport.read(1 << 20)
        self.assertEqual(self.edge.table.stream_counts, (1, 0))

    def test_progress_counts(self) -> None:
        """A visitor that reads 64 KiB in each time-out stays; one that reads less does not."""
        self.transport.room = 0
        self.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 250_000)
        stall = self.edge.visitors.timeouts.visitor_stall
        for _ in range(3):
            self.edge.clock.pump([1.0] * int(stall - 2))
            self.transport.read(66_000)
            self.assertFalse(self.transport.is_closing)
        self.edge.clock.pump([1.0] * int(stall + 3))
        self.assertTrue(self.transport.is_aborted)

    def test_close_waits_for_the_reader(self) -> None:
        """The connection closes when the last byte is gone, not before, and not at the linger time-out."""
        self.visitor.dataReceived(b"")
        edge = Edge()
        visitor, transport = edge.visitor()
        visitor.dataReceived(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        (stream,) = edge.streams()
        edge.tunnel.protocol.answer(stream)
        transport.room = 0
        edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        edge.clock.pump([1.0] * 30)
        self.assertFalse(transport.is_closing)
        transport.read(1 << 20)
        self.assertTrue(transport.is_closing)
        self.assertTrue(transport.taken.endswith(b"x" * 100_000))

    def test_upload_waits_for_credit(self) -> None:
        """While the stream takes no more the visitor is not read, and then it is read again."""
        edge = Edge()
        visitor, transport = edge.visitor()
        visitor.dataReceived(b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000\r\n\r\n")
        (stream,) = edge.streams()
        for _ in range(5):
            if transport.is_reading:
                visitor.dataReceived(b"x" * 64_000)
        self.assertFalse(transport.is_reading)
        edge.tunnel.protocol.sent()
        stream.credit_granted(500_000)
        edge.tunnel.protocol.sent()
        self.assertTrue(transport.is_reading)


class UnreadTests(SynchronousTestCase):
    """What waits for all visitors together."""

    limit = 1_000_000
    piece = 120_000

    def setUp(self) -> None:
        self.edge = Edge(VisitorLimits(unread_bytes=self.limit))

    def asking(self) -> tuple[PlainVisitor, FakeTransport, Stream]:
        """Let a visitor ask for something long that it does not read."""
        visitor, transport = self.edge.visitor()
        transport.room = 0
        visitor.dataReceived(GET)
        stream = self.edge.streams()[-1]
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        return visitor, transport, stream

    def arrive(self, stream: Stream) -> None:
        self.edge.tunnel.protocol.arrive(stream, b"x" * self.piece)

    def test_slowest_are_cut(self) -> None:
        """At the limit those are cut that have not read for the longest time, and no more of them than needed."""
        asking = []
        for _ in range(8):
            asking.append(self.asking())
            self.arrive(asking[-1][2])
            self.edge.clock.advance(1.0)
        for _, transport, _ in asking[:6]:  # the two who came last have not read since
            transport.read(70_000)
        self.edge.clock.advance(1.0)
        fast = self.asking()
        self.assertLess(self.edge.metrics.unread_bytes, self.limit)
        for _ in range(4):
            self.arrive(fast[2])
        self.assertGreater(self.edge.metrics.unread_bytes, self.limit)
        self.assertFalse(any(transport.is_aborted for _, transport, _ in asking))
        self.edge.clock.advance(0)
        self.assertEqual([transport.is_aborted for _, transport, _ in asking], [False] * 6 + [True] * 2)
        self.assertFalse(fast[1].is_aborted)
        self.assertLessEqual(self.edge.metrics.unread_bytes, self.limit * 7 // 8)
        self.assertEqual([asking[at][2].state for at in (6, 7)], [StreamState.CLOSED] * 2)
        self.assertEqual(self.edge.metrics.refusals[TOO_MUCH_UNREAD], 2)

    def test_count(self) -> None:
        """Every byte that waits is counted, until it is read, its visitor leaves or the edge stops."""
        first, second, third = (self.asking() for _ in range(3))
        for _, _, stream in (first, second, third):
            self.arrive(stream)
        counts = [visitor.unread_bytes for visitor, _, _ in (first, second, third)]
        self.assertEqual(counts[0], len(first[1].waiting) + sum(map(len, first[0]._queue)))
        self.assertEqual(self.edge.metrics.unread_bytes, sum(counts))
        first[1].read(70_000)
        self.assertEqual(first[0].unread_bytes, 54_464)  # a piece of 64 KiB is gone, and of the next not all
        first[1].read(1 << 20)
        self.assertEqual((first[0].unread_bytes, self.edge.metrics.unread_bytes), (0, sum(counts[1:])))
        second[0].connectionLost()
        self.assertEqual((second[0].unread_bytes, self.edge.metrics.unread_bytes), (0, counts[2]))
        self.edge.visitors.stop()
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_read_in_time(self) -> None:
        """Nobody is cut if enough was read by the end of the turn, or if the edge stops first."""
        for stops in (False, True):
            (_, transport, stream), (_, _, other) = self.asking(), self.asking()
            for _ in range(5):
                self.arrive(stream)
                self.arrive(other)
            self.assertGreater(self.edge.metrics.unread_bytes, self.limit)
            if stops:
                self.edge.visitors.stop()
            else:
                transport.read(1 << 20)
            self.edge.clock.advance(0)
            self.assertNotIn(TOO_MUCH_UNREAD, self.edge.metrics.refusals)


class SpliceTests(SynchronousTestCase):
    """An upgraded connection."""

    def setUp(self) -> None:
        self.edge = Edge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(
            b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)
        self.arrive(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")

    def arrive(self, data: bytes) -> None:
        self.edge.tunnel.protocol.arrive(self.stream, data)

    def test_slow_visitor(self) -> None:
        """Credit is held back while bytes wait for the visitor."""
        self.transport.room = 0
        self.arrive(b"x" * 200_000)
        self.assertGreaterEqual(self.stream.unread_bytes, 200_000)
        self.transport.read(1 << 20)
        self.assertEqual(self.stream.unread_bytes, 0)
        self.assertTrue(self.transport.taken.endswith(b"x" * 200_000))

    def test_stalled_visitor(self) -> None:
        """A visitor that reads nothing is cut after its time, one that is only quiet much later."""
        self.transport.room = 0
        self.arrive(b"x")
        self.edge.clock.pump([1.0] * 62)
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(self.edge.table.stream_counts, (0, 0))

    def test_slow_origin(self) -> None:
        """The visitor is not read while the stream takes no more."""
        for _ in range(5):
            if self.transport.is_reading:
                self.visitor.dataReceived(b"x" * 64_000)
        self.assertFalse(self.transport.is_reading)
        self.edge.tunnel.protocol.sent()
        self.stream.credit_granted(500_000)
        self.edge.tunnel.protocol.sent()
        self.assertTrue(self.transport.is_reading)

    def test_stream_dies(self) -> None:
        """A stream that dies resets the visitor's connection, as it cannot be seen to have ended in order."""
        self.stream.lose(StreamReset())
        self.assertTrue(self.transport.is_aborted)
        self.assertEqual(self.edge.metrics.hosts["app.example"].by_class[1], 1)

    def test_visitor_leaves(self) -> None:
        """What the visitor sent last reaches the origin, which is then not waited for longer than it takes."""
        self.edge.tunnel.protocol.sent()
        self.visitor.dataReceived(b"bye")
        self.visitor.connectionLost()
        self.assertEqual(self.edge.tunnel.protocol.sent()[self.stream.id], b"bye")
        self.assertIs(self.stream.state, StreamState.LOCAL_ENDED)
        self.edge.clock.pump([1.0] * 4)
        self.assertIs(self.stream.state, StreamState.CLOSED)


class MistakeTests(SynchronousTestCase):
    """A mistake of ours in one request."""

    def setUp(self) -> None:
        self.edge = Edge()
        self.visitor, self.transport = self.edge.visitor()
        self.visitor.dataReceived(GET)
        (self.stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(self.stream)

    def break_log(self) -> None:
        """Make the access log fail once."""
        log = self.edge.visitors.access_log
        assert log is not None

        def fail(entry: object) -> None:
            del log.record  # type: ignore[method-assign]
            raise ZeroDivisionError

        log.record = fail  # type: ignore[method-assign]

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
        reader = self.visitor.visitors
        interim = reader.limits
        reader.limits = None  # type: ignore[assignment]
        self.edge.tunnel.protocol.arrive(self.stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        reader.limits = interim
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 500 "), self.transport.taken)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


PIECES = [
    GET,
    b"HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: app.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
    b"hello",
    b"\r\n",
    b"\x00",
    b"Content-Length: 5\r\n",
]
ANSWERS = [
    OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello",
    b"hello",
    b"\x00",
]


@st.composite
def damaged(draw: Any, pieces: list[bytes]) -> bytes:
    """Return one of the pieces, often whole, sometimes cut or with a byte changed."""
    piece: bytes = draw(st.sampled_from(pieces))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return piece[: draw(st.integers(0, len(piece)))]
    if kind == 1:
        at = draw(st.integers(0, len(piece)))
        return piece[:at] + draw(st.binary(min_size=1, max_size=2)) + piece[at + 1 :]
    return piece


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("visitor"), damaged(PIECES)),
        st.tuples(st.just("origin"), damaged(ANSWERS)),
        st.tuples(st.just("opening"), st.sampled_from(list(OpeningCode)[:2])),
        st.tuples(st.just("end"), st.none()),
        st.tuples(st.just("reset"), st.none()),
        st.tuples(st.just("read"), st.integers(1, 1000)),
        st.tuples(st.just("full"), st.none()),
        st.tuples(st.just("time"), st.sampled_from([1.0, 20.0, 80.0])),
    ),
    max_size=14,
)


class FuzzTests(SynchronousTestCase):
    """Anything, in any order."""

    def play(self, edge: Edge, actions: list[tuple[str, Any]]) -> tuple[PlainVisitor, FakeTransport, dict[int, bytes]]:
        """Do what the actions say; return the connection and what each stream's origin got."""
        visitor, transport = edge.visitor()
        opener = edge.tunnel.protocol
        unanswered: set[int] = set()
        sent: dict[int, bytes] = {}

        def collect() -> None:
            for stream_id, data in opener.sent().items():
                if stream_id not in sent:
                    unanswered.add(stream_id)
                sent[stream_id] = sent.get(stream_id, b"") + data

        for action, value in [("visitor", GET), ("opening", OpeningCode.OPENED), *actions]:
            collect()
            streams = edge.streams()
            latest = streams[-1] if streams else None
            if action == "visitor" and transport.is_reading and not transport.is_closing and value:
                visitor.dataReceived(value)
            elif action == "opening" and latest is not None and latest.id in unanswered:
                unanswered.discard(latest.id)
                opener.answer(latest, value)
            elif action == "origin" and latest is not None and latest.id not in unanswered and value:
                if latest.receive_credit >= len(value):
                    opener.arrive(latest, value)
            elif action == "end" and latest is not None and latest.receive_credit >= 0:
                latest.peer_ended()
            elif action == "reset" and latest is not None:
                latest.lose(StreamReset())
            elif action == "read":
                transport.read(value)
            elif action == "full":
                transport.room = 0
            elif action == "time":
                edge.clock.pump([1.0] * int(value))
            self.assertLessEqual(len(visitor._held), 500 + 600)
        collect()
        return visitor, transport, sent

    @given(ACTIONS)
    @settings(deadline=None, max_examples=400)
    def test_nothing_breaks(self, actions: list[tuple[str, Any]]) -> None:
        """No order of events raises, leaks a stream, or lets an unclear request through."""
        edge = Edge(LIMITS)
        visitor, transport, sent = self.play(edge, actions)
        for data in sent.values():
            self.assert_clear(data.removeprefix(encode_preamble(0)))
        self.assertTrue(b"HTTP/1.1 ".startswith(transport.taken[:9]), transport.taken)
        visitor.connectionLost()
        self.assertEqual(edge.table.stream_counts[0], 0)
        self.assertEqual((edge.visitors.counts.total, len(edge.visitors.connections)), (0, 0))
        edge.clock.pump([1.0] * 70)
        self.assertEqual([stream for stream in edge.streams() if stream.state is StreamState.OPEN], [])
        edge.visitors.stop()
        self.assertEqual(edge.metrics.requests, b"".join(edge.lines).count(b"\n"))

    def assert_clear(self, data: bytes) -> None:
        """Check that what an origin got can be read one way only, up to where it was cut or upgraded."""
        reader = RequestReader(HeadLimits(header_count=50), Forwarding("192.0.2.1", "http"))
        while data:
            head = reader.read(data)
            assert head is not None, data
            data = data[head.size :]
            if head.fields.upgrade:
                return
            body = make_reader(head.fields.length, BodyLimits())
            if not body.complete:
                _, data = body.receive(data)
                if not body.complete:
                    self.assertEqual(data, b"")
                    return
