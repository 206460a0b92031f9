"""Tests of limits of bytes on the data path, in memory and exact in time."""

import json

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from tests.policy.document.test_asked import asked
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.wire.errors import StreamReset
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

RATE = 1_000_000
BYTE = b"#"  # of bodies; no head has it
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class PacingTestCase(SynchronousTestCase):
    """An edge with a limit of 1 MB a second, and an origin that sends as much as it has credit for."""

    limits = "{name: pace, of: bytes, rate: 1MB/s, burst: 1MB}"

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.policy.use(loaded(self, f"rules: [{{name: r, limits: [{self.limits}]}}]"))
        self.to_send: dict[Stream, bytes] = {}

    def ask(self, request: bytes = GET) -> tuple[PlainVisitor, FakeTransport, Stream]:
        """Send a request that is passed on at once."""
        visitor, transport = self.edge.visitor()
        before = self.edge.streams()
        visitor.dataReceived(request)
        (stream,) = [each for each in self.edge.streams() if each not in before]
        self.edge.tunnel.protocol.answer(stream)
        return visitor, transport, stream

    def send(self) -> None:
        """Let origins send what there is credit for."""
        for stream, data in list(self.to_send.items()):
            while data and stream.state is not StreamState.CLOSED and stream.receive_credit > 0:
                piece = data[: min(16_384, stream.receive_credit)]
                data = data[len(piece) :]
                self.edge.tunnel.protocol.arrive(stream, piece)
            self.to_send[stream] = data
            self.edge.tunnel.protocol.sent()

    def pass_time(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass, with origins that send."""
        for _ in range(round(seconds / step)):
            self.edge.clock.advance(step)
            self.send()
            for connection in self.edge.visitors.connections:
                assert isinstance(connection, PlainVisitor)
                check_visitor(connection)

    def entry(self) -> dict[str, object]:
        """Return the newest line of the access log."""
        log = self.edge.visitors.access_log
        assert log is not None
        log.flush()
        line: dict[str, object] = json.loads(b"".join(self.edge.lines).splitlines()[-1])
        return line


class DownloadTests(PacingTestCase):
    """An answer that is slowed down."""

    def test_exact(self) -> None:
        """5 MB at 1 MB/s with a burst of 1 MB take four seconds: never faster, never slower by more than a piece."""
        _, transport, stream = self.ask()
        self.to_send[stream] = HEAD % 5_000_000 + BYTE * 5_000_000
        self.send()
        for tenth in range(1, 40):
            self.pass_time(0.1)
            allowed = RATE * (1 + tenth / 10)
            self.assertLessEqual(len(transport.taken), allowed)
            self.assertGreater(len(transport.taken), allowed - 2 * 65_536 - 1_000)
        self.pass_time(0.2)
        self.assertEqual(transport.taken[-5_000_000:], BYTE * 5_000_000)
        entry = self.entry()
        self.assertLess(abs(float(str(entry["held_ms"])) - 4_000), 100)
        self.assertLess(abs(float(str(entry["duration_ms"])) - 4_000), 100)

    def test_one_window_at_most(self) -> None:
        """What waits is a window at most, has no credit, and counts as unread."""
        visitor, _, stream = self.ask()
        self.to_send[stream] = HEAD % 9_000_000 + BYTE * 9_000_000
        self.send()
        self.pass_time(1)
        self.assertLessEqual(visitor.kept_bytes, stream.window)
        self.assertGreaterEqual(stream.unread_bytes, visitor.kept_bytes)
        self.assertEqual(self.edge.metrics.unread_bytes, visitor.kept_bytes)
        visitor.abort()
        self.assertEqual((self.edge.metrics.unread_bytes, len(self.edge.visitors.schedule)), (0, 0))

    def test_progress(self) -> None:
        """Who goes when too much waits: one that is held back counts like a slow reader, by the last piece it got."""
        visitor, _, stream = self.ask()
        self.to_send[stream] = HEAD % 9_000_000 + BYTE * 9_000_000
        self.send()
        self.pass_time(3)
        self.assertLess(visitor.deadline - self.edge.visitors.now, self.edge.visitors.timeouts.visitor_stall + 1)
        self.assertGreater(visitor.deadline - self.edge.visitors.now, self.edge.visitors.timeouts.visitor_stall - 3)

    def test_small_answers_are_not_faster(self) -> None:
        """Many small answers on many connections pass no faster than one large one."""
        answered = 0
        body = BYTE * 50_000
        for _ in range(100):
            visitor, transport = self.edge.visitor()
            before = self.edge.streams()
            visitor.dataReceived(GET)
            for stream in [each for each in self.edge.streams() if each not in before]:
                self.edge.tunnel.protocol.answer(stream)
                self.edge.tunnel.protocol.arrive(stream, HEAD % len(body) + body)
            answered += len(transport.taken)
        self.assertLessEqual(answered, RATE)

    def test_others_are_not_slowed(self) -> None:
        """Another visitor of the same hostname has a count of its own."""
        _, _, stream = self.ask()
        self.to_send[stream] = HEAD % 9_000_000 + BYTE * 9_000_000
        self.send()
        self.edge.visitors.counts.admit("192.0.2.8")
        other, transport = PlainVisitor(self.edge.visitors, "192.0.2.8"), FakeTransport()
        other.makeConnection(transport)
        before = self.edge.streams()
        other.dataReceived(GET)
        (quick,) = [each for each in self.edge.streams() if each not in before]
        self.edge.tunnel.protocol.answer(quick)
        self.edge.tunnel.protocol.arrive(quick, OK)
        self.assertTrue(transport.taken.endswith(b"ok"))

    def test_the_origin_is_done_first(self) -> None:
        """An origin that closes, or cuts, is heard of after what it had sent."""
        for ends in (True, False):
            _, transport, stream = self.ask()
            self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            self.edge.tunnel.protocol.arrive(stream, BYTE * 1_000_000)
            self.edge.tunnel.protocol.arrive(stream, b"y" * 100_000)
            if ends:
                stream.peer_ended()
            else:
                stream.lose(StreamReset())
            self.assertFalse(transport.is_closing or transport.is_aborted)
            self.pass_time(1)
            self.assertEqual(transport.taken.count(b"y"), 100_000)
            self.assertEqual(b"\r\n0\r\n\r\n" in transport.taken, ends)
            self.assertEqual(self.entry().get("reason"), None if ends else "cut-short")
            self.pass_time(5, 0.5)

    def test_more_than_was_asked(self) -> None:
        """A stream on which more waited than the answer is not used again."""
        _, transport, stream = self.ask()
        self.edge.tunnel.protocol.arrive(stream, HEAD % 1_200_000)
        self.edge.tunnel.protocol.arrive(stream, BYTE * 1_200_000 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.pass_time(2)
        self.assertEqual(transport.taken.count(BYTE), 1_200_000)
        self.assertEqual(transport.taken.count(b"HTTP/1.1"), 1)
        self.assertIs(stream.state, StreamState.CLOSED)

    def test_slow_reader(self) -> None:
        """A visitor that reads nothing is cut after its time, although a limit holds the rest back."""
        _, transport, stream = self.ask()
        transport.room = 0
        self.to_send[stream] = HEAD % 9_000_000 + BYTE * 9_000_000
        self.send()
        self.pass_time(65, 0.5)
        self.assertTrue(transport.is_aborted)
        self.assertEqual(self.entry()["reason"], "visitor-too-slow")

    def test_counted(self) -> None:
        """Metrics say which limit held how many requests for how long."""
        _, _, stream = self.ask()
        self.to_send[stream] = HEAD % 2_000_000 + BYTE * 2_000_000
        self.send()
        self.pass_time(1.5)
        samples = {
            sample.name: (sample.labels, sample.value)
            for family in self.edge.visitors.policy.collect()
            for sample in family.samples
        }
        labels = {"rule": "r", "limit": "pace"}
        self.assertEqual(samples["warp_edge_policy_held_requests_total"], (labels, 1))
        self.assertEqual(samples["warp_edge_policy_held_seconds_total"][0], labels)
        self.assertLess(abs(samples["warp_edge_policy_held_seconds_total"][1] - 1.0), 0.1)


class SlowTests(PacingTestCase):
    """A rate at which everything takes longer than any time-out."""

    limits = "{name: pace, of: bytes, rate: 1kB/s, burst: 1kB}"

    def test_no_time_out(self) -> None:
        """What a limit holds back for minutes is not taken for a slow origin or a slow visitor."""
        _, transport, stream = self.ask()
        self.to_send[stream] = HEAD % 200_000 + BYTE * 200_000
        self.send()
        self.pass_time(210, 0.5)
        self.assertEqual(transport.taken.count(BYTE), 200_000)
        self.assertNotIn("reason", self.entry())

    def test_a_request_waits_for_what_came_before(self) -> None:
        """The next request is not passed on before what its visitor owes is paid; a refusal costs nothing."""
        self.ask()
        self.ask(GET[:-2] + b"X-Padding: " + BYTE * 880 + b"\r\n\r\n")
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(GET[:-2] + b"X-Padding: " + BYTE * 4_000 + b"\r\n\r\n")
        self.assertEqual(len(self.edge.streams()), 2)
        check_visitor(visitor)
        self.pass_time(3.8, 0.1)
        self.assertEqual(len(self.edge.streams()), 2)
        self.pass_time(0.4, 0.1)
        self.assertEqual(len(self.edge.streams()), 3)
        self.assertEqual(transport.taken, b"")

    def test_who_leaves_owes_nothing(self) -> None:
        """What was to be paid for a request that its visitor gave up is there for the next one."""
        for _ in range(50):
            visitor, _ = self.edge.visitor()
            visitor.dataReceived(GET[:-2] + b"X-Padding: " + BYTE * 4_000 + b"\r\n\r\n")
            visitor.abort()
        visitor, _ = self.edge.visitor()
        visitor.dataReceived(GET)
        self.assertEqual(len(self.edge.streams()), 1)
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_asked_meanwhile(self) -> None:
        """What a tunnel asks for that came while a request was held back holds for it."""
        self.ask(GET[:-2] + b"X-Padding: " + BYTE * 940 + b"\r\n\r\n")
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(GET)
        self.assertEqual(len(self.edge.streams()), 1)
        policies = self.edge.visitors.policy.asked
        reading = policies.read(
            asked("app.example", sources={"deny": ["192.0.2.7"]}), {"app.example": "app.example"}, "a-1"
        )
        policies.put("t-2", self.successResultOf(Deferred.fromCoroutine(reading)))
        self.pass_time(2, 0.1)
        self.assertEqual(len(self.edge.streams()), 1)
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 403 "), transport.taken)


class UploadTests(PacingTestCase):
    """A body that is slowed down."""

    def upload(self, request: bytes, size: int, seconds: float) -> int:
        """Upload as fast as the visitor is read; return how much has reached the tunnel."""
        visitor, transport, stream = self.ask(request)
        sent, left = 0, size
        for _ in range(round(seconds / 0.01)):
            while transport.is_reading and left:
                piece = BYTE * min(65_536, left)
                left -= len(piece)
                visitor.dataReceived(piece)
            self.edge.clock.advance(0.01)
            check_visitor(visitor)
            wanted = self.edge.tunnel.protocol.sent().get(stream.id, b"").count(BYTE)
            sent += wanted
            stream.credit_granted(wanted)
        return sent

    def test_exact(self) -> None:
        """A body passes at the rate, after the burst, and all of it."""
        request = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3000000\r\n\r\n"
        sent = self.upload(request, 3_000_000, 1.0)
        self.assertLessEqual(sent, 2_000_000)
        self.assertGreater(sent, 2_000_000 - 2 * 65_536)

    def test_whole(self) -> None:
        """Nothing is lost of a body whose pieces waited, and the answer is passed on."""
        request = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3000000\r\n\r\n"
        self.assertEqual(self.upload(request, 3_000_000, 2.2), 3_000_000)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertEqual((self.entry()["status"], self.entry()["bytes_in"]), (200, 3_000_000 + len(request)))

    def test_chunks(self) -> None:
        """Chunks that wait for turns and for the limit are paid for once."""
        request = b"POST /a HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        visitor, transport, stream = self.ask(request)
        chunk = b"80\r\n" + BYTE * 128 + b"\r\n"
        for _ in range(20_000):
            if transport.is_reading:
                visitor.dataReceived(chunk * 100)
            self.edge.clock.advance(0.001)
            stream.credit_granted(len(self.edge.tunnel.protocol.sent().get(stream.id, b"")))
        self.assertLess(abs(visitor.conversation._bytes_in / 21_000_000 - 1.0), 0.02)  # type: ignore[union-attr]


class UpgradeTests(PacingTestCase):
    """An upgraded connection that is slowed down."""

    def setUp(self) -> None:
        super().setUp()
        self.visitor, self.transport, self.stream = self.ask(UPGRADE)
        self.edge.tunnel.protocol.arrive(self.stream, SWITCH)

    def test_to_the_visitor(self) -> None:
        """The origin's bytes pass at the rate; its end comes after them."""
        self.to_send[self.stream] = BYTE * 2_000_000
        self.send()
        self.pass_time(0.5)
        self.assertLess(abs(self.transport.taken.count(BYTE) - 1_500_000), 70_000)
        stall = self.edge.visitors.timeouts.visitor_stall
        self.assertLess(abs(self.visitor.deadline - self.edge.visitors.now - stall), 3)
        self.pass_time(0.45)
        self.stream.peer_ended()
        self.assertFalse(self.transport.is_ended)
        self.pass_time(0.3)
        self.assertEqual(self.transport.taken.count(BYTE), 2_000_000)
        self.assertTrue(self.transport.is_ended)

    def test_end_of_the_visitor(self) -> None:
        """The visitor's end reaches the origin behind what it sent, at the rate."""
        self.visitor.dataReceived(BYTE * 1_200_000)
        self.visitor.readConnectionLost()
        self.assertIs(self.stream.state, StreamState.OPEN)
        for _ in range(10):
            self.pass_time(0.1)
            self.edge.tunnel.protocol.sent()
            self.stream.credit_granted(500_000)
        self.edge.tunnel.protocol.sent()
        self.assertIs(self.stream.state, StreamState.LOCAL_ENDED)

    def test_to_the_origin(self) -> None:
        """The visitor is read at the rate; what it sent last reaches the origin though it leaves."""
        sent = given = 0
        for _ in range(50):
            while self.transport.is_reading:
                self.visitor.dataReceived(BYTE * 50_000)
                given += 50_000
            self.edge.clock.advance(0.01)
            check_visitor(self.visitor)
            count = self.edge.tunnel.protocol.sent().get(self.stream.id, b"").count(BYTE)
            self.stream.credit_granted(count)
            sent += count
        self.assertLess(abs(sent - 1_500_000), 70_000)
        self.visitor.connectionLost()
        sent += self.edge.tunnel.protocol.sent().get(self.stream.id, b"").count(BYTE)
        self.assertEqual(sent, given)
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_both_ways_share(self) -> None:
        """Bytes of both directions are counted together."""
        self.to_send[self.stream] = BYTE * 900_000
        self.send()
        self.visitor.dataReceived(b"y" * 90_000)
        self.assertTrue(self.transport.is_reading)
        self.visitor.dataReceived(b"y" * 20_000)
        self.assertFalse(self.transport.is_reading)


class CrowdTests(PacingTestCase):
    """Thousands that share a limit."""

    limits = "{name: pace, of: bytes, rate: 100kB/s, burst: 100kB, key: hostname}"

    def test_fair(self) -> None:
        """Two that share a key get half each."""
        transports = []
        for _ in range(2):
            _, transport, stream = self.ask()
            self.to_send[stream] = HEAD % 9_000_000 + BYTE * 9_000_000
            transports.append(transport)
        self.send()
        self.pass_time(20, 0.05)
        first, second = (len(transport.taken) for transport in transports)
        self.assertLess(abs(first + second - 2_100_000), 110_000)
        self.assertLess(abs(first - second), 160_000)
