"""A visitor's connection and its exchanges: no order of events breaks what must hold, and what waits is bounded."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from tests.edge.visitors.watched import Watched, WatchedExchange
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors import connection, crowd
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.edge.visitors.states import VisitorState
from warp_twisted.http1.body import make_reader
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import BodyLimits, HeadLimits
from warp_twisted.http1.request import RequestReader
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.preamble import OpeningCode, encode_preamble
from warp_twisted.wire.states import StreamState

REFUSED = b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n"
LIMITS = VisitorLimits(
    head=HeadLimits(head_bytes=400, header_count=10, target_bytes=100),
    body=BodyLimits(body_bytes=300, trailer_bytes=60, trailer_count=3, extension_bytes=40),
    held_bytes=500,
    idle_streams=2,
)
PIECES = [
    GET,
    b"HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 280 + b"0\r\n\r\n",
    GET.replace(b"app.", b"other.") * 12,
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
    b"1\r\nx\r\n" * 60,
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello",
    b"hello",
    b"\x00",
]


@st.composite
def damaged(draw: st.DrawFn, pieces: list[bytes]) -> bytes:
    """Return one of the pieces, often whole, sometimes cut or with a byte changed."""
    piece = draw(st.sampled_from(pieces))
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
        st.tuples(st.just("half-close"), st.none()),
        st.tuples(st.just("reset"), st.none()),
        st.tuples(st.just("read"), st.integers(1, 1000)),
        st.tuples(st.just("full"), st.none()),
        st.tuples(st.just("time"), st.sampled_from([0.01, 1.0, 20.0, 80.0])),
    ),
    max_size=14,
)


class FuzzTests(SynchronousTestCase):
    """Anything, in any order."""

    def setUp(self) -> None:
        self.patch(connection, "Exchange", WatchedExchange)

    def play(
        self, edge: MemoryEdge, actions: list[tuple[str, Any]]
    ) -> tuple[PlainVisitor, FakeTransport, dict[int, bytes]]:
        """Do what the actions say; return the connection and what each stream's origin got."""
        visitor, transport = edge.visitor(Watched)
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
            elif action == "half-close" and transport.is_reading and not transport.is_closing:
                transport.is_reading = False
                visitor.readConnectionLost()
            elif action == "full":
                transport.room = 0
            elif action == "time":
                edge.clock.pump([min(value, 1.0)] * max(1, int(value)))
            self.assertLessEqual(len(visitor._held), 500 + 2_000)
            check_visitor(visitor)
            members = [member for route in edge.table.routes for member in route.members]
            counts = sum(member.load.active for member in members), sum(len(member._idle) for member in members)
            self.assertEqual(edge.table.stream_counts, counts)
        collect()
        return visitor, transport, sent

    @given(ACTIONS)
    @settings(deadline=None, max_examples=400)
    def test_nothing_breaks(self, actions: list[tuple[str, Any]]) -> None:
        """No order of events raises, leaks a stream, or lets an unclear request through."""
        self.hold(MemoryEdge(LIMITS), actions)

    @given(ACTIONS)
    @settings(deadline=None, max_examples=400)
    def test_nothing_breaks_at_a_pace(self, actions: list[tuple[str, Any]]) -> None:
        """The same where a limit of bytes holds back most of it."""
        edge = MemoryEdge(LIMITS)
        limit = "{name: pace, of: bytes, rate: 50B/s, burst: 150B}"
        edge.visitors.policy.use(loaded(self, f"rules: [{{name: r, limits: [{limit}]}}]"))
        self.hold(edge, actions)
        self.assertEqual((len(edge.visitors.schedule), edge.metrics.unread_bytes), (0, 0))

    def hold(self, edge: MemoryEdge, actions: list[tuple[str, Any]]) -> None:
        """Play, and look at what is left."""
        visitor, transport, sent = self.play(edge, actions)
        for data in sent.values():
            self.assert_clear(data.removeprefix(encode_preamble(0)))
        self.assertTrue(b"HTTP/1.1 ".startswith(transport.taken[:9]), transport.taken)
        if not transport.is_lost:
            visitor.connectionLost()
        check_visitor(visitor)
        self.assertEqual((edge.table.stream_counts[0], len(edge.visitors.half_closed)), (0, 0))
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


class PipelinedTests(SynchronousTestCase):
    """Requests that the edge answers by itself, sent at once."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def answers(self) -> int:
        """Count the answers so far."""
        return self.transport.taken.count(b"HTTP/1.1 404 ")

    def test_turns(self) -> None:
        """The first is answered at once, the others in turns with those of other visitors, and none is lost."""
        other, transport = self.edge.visitor()
        self.visitor.dataReceived(REFUSED * 100)
        other.dataReceived(REFUSED * 2)
        self.assertEqual((self.answers(), transport.taken.count(b"HTTP/1.1 404 ")), (1, 1))
        self.assertIs(self.visitor.state, VisitorState.QUEUED)
        self.edge.clock.advance(0)
        self.assertEqual(transport.taken.count(b"HTTP/1.1 404 "), 2)
        self.assertLess(self.answers(), 20)
        self.edge.clock.pump([0.05] * 20)
        self.assertEqual(self.answers(), 100)
        self.assertIs(self.visitor.state, VisitorState.IDLE)

    def test_held_bytes(self) -> None:
        """What waits is counted, and a visitor that sends too much of it is not read until there is room."""
        limit = self.edge.visitors.limits.held_bytes
        self.visitor.dataReceived(REFUSED * 10)
        self.visitor.dataReceived(REFUSED * (limit // len(REFUSED) + 1))
        self.assertTrue(self.visitor.is_paused)
        self.assertEqual(self.edge.metrics.unread_bytes, len(self.visitor._held))
        self.assertGreaterEqual(self.edge.metrics.unread_bytes, limit)
        while self.visitor.is_paused:
            self.edge.clock.advance(0.05)
        self.assertIs(self.visitor.state, VisitorState.QUEUED)
        while self.visitor.state is VisitorState.QUEUED:
            self.edge.clock.advance(0.05)
        self.assertEqual((self.edge.metrics.unread_bytes, self.answers()), (0, 10 + limit // len(REFUSED) + 1))

    def test_waiting_is_no_fault(self) -> None:
        """A visitor is not timed out while it waits for its turn."""
        self.visitor.dataReceived(REFUSED * 3)
        self.visitor.deadline = 0.0
        self.edge.visitors.sweep()
        self.edge.clock.pump([0.01] * 20)  # a slice of turns is one of real time, so a busy machine takes several
        self.assertEqual((self.answers(), self.transport.is_closing), (3, False))


class SmallReadTests(SynchronousTestCase):
    """More reads of a few bytes than a network may have, whatever they are part of."""

    def setUp(self) -> None:
        self.patch(crowd, "SMALL_READS_PER_SECOND", 10)
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def assert_gathered(self, data: bytes) -> None:
        """Send bytes one by one, and see that the visitor is read no more after ten, until its turn has come."""
        for at in range(10):
            self.visitor.dataReceived(data[at : at + 1])
            self.assertFalse(self.visitor.is_paused)
        self.visitor.dataReceived(data[10:11])
        self.assertTrue(self.visitor.is_paused)
        check_visitor(self.visitor)
        self.edge.clock.advance(0)
        self.assertFalse(self.visitor.is_paused)
        check_visitor(self.visitor)
        self.visitor.dataReceived(data[11:])

    def test_head(self) -> None:
        """A head byte by byte; the request is served all the same."""
        self.assert_gathered(GET)
        self.assertEqual(len(self.edge.streams()), 1)

    def test_later_head(self) -> None:
        """The same for a later request of a connection."""
        self.visitor.dataReceived(REFUSED)
        self.assert_gathered(GET)
        self.assertEqual(len(self.edge.streams()), 1)

    def test_ahead(self) -> None:
        """Requests sent ahead while another one is served."""
        self.visitor.dataReceived(GET)
        self.assert_gathered(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertTrue(self.transport.taken.endswith(b"ok"))
        self.assertIs(self.visitor.state, VisitorState.SERVING)

    def test_whole_requests(self) -> None:
        """A request that is whole is none of them, however small."""
        for _ in range(30):
            self.visitor.dataReceived(REFUSED)
        self.assertFalse(self.visitor.is_paused)
