"""Tests of a request body on its way: how much of it is read at once, and how fast it must come."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.visitors.memory_edge import MemoryEdge
from warp_twisted.edge.exchange.upload import Upload
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors import crowd
from warp_twisted.http1.body import CHUNKED, chunks_at_once, make_reader
from warp_twisted.http1.request_fields import FieldRules

SMALL = b"1\r\nx\r\n"
POST = b"POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(sizes: list[int]) -> bytes:
    """Return a body in chunks of these sizes."""
    return b"".join(b"%x\r\n%b\r\n" % (size, b"y" * size) for size in sizes if size) + b"0\r\n\r\n"


class UploadTests(SynchronousTestCase):
    """One body."""

    def test_length(self) -> None:
        """A body of a known length passes as it is; what follows it is left."""
        upload = Upload(5, VisitorLimits(), FieldRules())
        self.assertEqual(upload.receive(b"he"), (b"he", b""))
        self.assertFalse(upload.is_complete)
        self.assertEqual(upload.receive(b"lloGET"), (b"llo", b"GET"))
        self.assertEqual((upload.is_complete, upload.bytes_in), (True, 5))

    def test_small_chunks(self) -> None:
        """Of small chunks some are read, and passed on as one chunk; the rest waits."""
        upload = Upload(CHUNKED, VisitorLimits(), FieldRules())
        data = SMALL * 10_000
        count = chunks_at_once(len(data))
        piece, rest = upload.receive(data)
        self.assertEqual(piece, b"%x\r\n%b\r\n" % (count, b"x" * count))
        self.assertEqual(len(rest), len(data) - count * len(SMALL))
        self.assertFalse(upload.is_complete)

    def test_large_chunks(self) -> None:
        """Large chunks are read at once, however many bytes came, and passed on as one."""
        upload = Upload(CHUNKED, VisitorLimits(), FieldRules())
        piece, rest = upload.receive(chunks([1_000] * 100)[:-5])
        self.assertEqual((rest, piece), (b"", b"%x\r\n%b\r\n" % (100_000, b"y" * 100_000)))

    def test_trailers(self) -> None:
        """A trailer that is dropped in a head is dropped here, too, and so is its twin; others reach the origin."""
        rules = FieldRules(["X-Client-IP", "Remote-*"])
        data = b"0\r\nX-Sum: 9\r\nX_Client_IP: 1\r\nREMOTE-user: root\r\nX-Real-IP: 2\r\nRemoted: 3\r\n\r\n"
        self.assertEqual(
            Upload(CHUNKED, VisitorLimits(), rules).receive(data), (b"0\r\nX-Sum: 9\r\nRemoted: 3\r\n\r\n", b"")
        )

    def test_trailers_that_a_policy_takes_out(self) -> None:
        """They are dropped besides, with their twins."""
        data = b"0\r\nX-Debug: 1\r\nx.debug: 2\r\nX-Real-IP: 3\r\nX-Debugger: 4\r\n\r\n"
        upload = Upload(CHUNKED, VisitorLimits(), FieldRules(), frozenset({b"x-debug"}))
        self.assertEqual(upload.receive(data), (b"0\r\nX-Debugger: 4\r\n\r\n", b""))

    @given(st.lists(st.integers(0, 3_000), max_size=40), st.integers(1, 20_000), st.binary(max_size=20))
    def test_any_chunks(self, sizes: list[int], step: int, following: bytes) -> None:
        """Whatever the chunks and the reads, the origin gets the same body, and what follows is left."""
        upload, wanted = Upload(CHUNKED, VisitorLimits(), FieldRules()), make_reader(CHUNKED, VisitorLimits().body)
        data = chunks(sizes) + following
        sent, held = b"", b""
        for at in range(0, len(data), step):
            held += data[at : at + step]
            while held and not upload.is_complete:
                piece, held = upload.receive(held)
                sent += piece
        self.assertTrue(upload.is_complete)
        self.assertEqual(held, following)
        self.assertEqual(upload.bytes_in, len(data) - len(following))
        payload, rest = wanted.receive(sent)
        self.assertEqual((payload, rest, wanted.complete), (b"y" * sum(sizes), b"", True))

    def test_rate(self) -> None:
        """Bytes give time, but never more than there was at first; without a rate any byte gives all of it."""
        upload = Upload(1_000, VisitorLimits(), FieldRules())
        upload.slow_at = 160.0
        self.assertEqual(upload.extend_wait(100, 150.0, 60.0, 100), 161.0)
        self.assertEqual(upload.extend_wait(100_000, 155.0, 60.0, 100), 215.0)
        self.assertEqual(upload.extend_wait(1, 200.0, 60.0, 0), 260.0)


class TurnTests(SynchronousTestCase):
    """Bodies that wait for turns, on a connection."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def body(self) -> bytes:
        """Return what the origin got since the last call, without the head."""
        return b"".join(self.edge.tunnel.protocol.sent().values()).rpartition(b"chunked\r\n")[2]

    def begin(self, data: bytes) -> None:
        """Send a request with the beginning of its body, and let the agent reach the origin."""
        self.visitor.dataReceived(POST + data)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)

    def test_small_chunks(self) -> None:
        """Small chunks pass in turns, meanwhile the visitor is not read; in the end all has passed, and is counted."""
        self.begin(SMALL * 5_000)
        self.assertTrue(self.visitor.is_paused)
        self.assertLess(self.body().count(b"x"), 300)
        self.assertEqual(self.edge.metrics.unread_bytes, self.visitor.unread_bytes)
        got = 171
        for _ in range(200):
            self.edge.clock.advance(0.05)
            got += self.body().count(b"x")
        self.assertFalse(self.visitor.is_paused)
        self.assertGreaterEqual(got, 5_000)
        self.assertEqual(self.edge.metrics.unread_bytes, self.visitor.kept_bytes, "it is kept to be sent again")

    def test_origin_without_credit(self) -> None:
        """A body that waits for a turn is not read on while its stream takes nothing, and costs nothing meanwhile."""
        self.begin(SMALL * 5_000)
        stream = self.edge.streams()[0]
        self.edge.tunnel.protocol.sent()
        stream.credit = 0
        stream.write(b"")
        self.edge.clock.pump([0.05] * 100)
        self.assertLess(stream.queued_bytes, 10_000)
        self.assertTrue(self.visitor.is_paused)
        self.assertEqual(len(self.edge.visitors.queue), 0)
        got = 0
        for _ in range(200):
            stream.credit_granted(65_536)
            self.edge.clock.advance(0.05)
            got += self.body().count(b"x")
        self.assertGreaterEqual(got, 4_000)
        self.assertFalse(self.visitor.is_paused)
        self.assertEqual(self.edge.metrics.unread_bytes, self.visitor.kept_bytes, "it is kept to be sent again")

    def test_visitor_leaves_without_credit(self) -> None:
        """A visitor whose body waits for credit may leave, or be told that it was too slow, and is read to its end."""
        self.begin(SMALL * 5_000)
        stream = self.edge.streams()[0]
        stream.credit = 0
        stream.write(b"")
        self.edge.clock.pump([0.05] * 10)
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 413 no\r\nContent-Length: 0\r\n\r\n")
        self.edge.clock.pump([0.05] * 10)
        self.assertIn(b"HTTP/1.1 413 no", self.transport.taken)
        self.assertFalse(self.visitor.is_paused)
        self.assertEqual(self.edge.metrics.unread_bytes, 0)

    def test_next_request(self) -> None:
        """A request that follows such a body is served after it."""
        self.begin(SMALL * 1_000 + b"0\r\n\r\n" + POST.replace(b"/ ", b"/next "))
        stream = self.edge.streams()[0]
        self.edge.clock.pump([0.05] * 50)
        self.edge.tunnel.protocol.sent()
        self.edge.tunnel.protocol.arrive(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"POST /next ", b"".join(self.edge.tunnel.protocol.sent().values()))

    def test_small_reads(self) -> None:
        """More small reads than a network may have are gathered: the visitor is read again in its turn."""
        self.patch(crowd, "SMALL_READS_PER_SECOND", 10)
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()
        self.begin(b"")
        for _ in range(10):
            self.visitor.dataReceived(b"0")
            self.assertFalse(self.visitor.is_paused)
        self.visitor.dataReceived(b"1")
        self.assertTrue(self.visitor.is_paused)
        self.edge.clock.advance(0.01)
        self.assertFalse(self.visitor.is_paused)
