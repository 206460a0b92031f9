"""`wire.preamble`: what a stream is for, and whether the origin was reached."""

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.pair import Pair
from warp_twisted.testing import RecordingReceiver
from warp_twisted.wire.errors import BadOpeningReply, BadPreamble, StreamReset, WireError
from warp_twisted.wire.preamble import (
    Opening,
    OpeningCode,
    OpeningReader,
    PreambleReader,
    decode_preamble,
    encode_opening,
    encode_preamble,
)
from warp_twisted.wire.streams import Stream


class PreambleReaderTests(SynchronousTestCase):
    """The agent's side."""

    def read(self, data: bytes, chunk: int = 0, ends: bool = False, cut: bool = False) -> None:
        self.routes: list[int] = []
        self.receiver = RecordingReceiver()
        self.failures: list[WireError] = []
        pair = Pair(chunk)

        def arrived(stream: Stream, route_id: int) -> None:
            self.routes.append(route_id)
            self.receiver.attach(stream)

        def failed(stream: Stream, error: WireError) -> None:
            self.failures.append(error)

        pair.agent.stream_opened = lambda stream: PreambleReader(stream, arrived, failed, decode_preamble)  # type: ignore[assignment,method-assign]
        pair.agent.connection._stream_opened = pair.agent.stream_opened
        stream, self.opener = pair.edge.open(data)
        if ends:
            stream.end()
        pair.pump()
        if cut:
            stream.reset()
        pair.pump()

    def test_whole_and_in_pieces(self) -> None:
        """The route is found and the bytes after it are passed on, however they arrive."""
        for chunk in (0, 1, 5, 13):
            self.read(encode_preamble(7) + b"GET / HTTP/1.1", chunk)
            self.assertEqual((self.routes, self.receiver.data), ([7], b"GET / HTTP/1.1"))

    def test_mark(self) -> None:
        """What is sent after something was heard carries ACK if the edge wishes so, and nothing else does."""
        for preamble, marks in ((encode_preamble(7), True), (bytes.fromhex("0100000000000007"), False)):
            for chunk in (0, 1, 5, 13):
                pair = Pair(chunk)
                pair.agent.stream_opened = self.accept  # type: ignore[method-assign]
                pair.agent.connection._stream_opened = self.accept
                edge, heard = pair.edge.open(preamble)
                pair.pump()
                self.accepted.write(b"opened")
                pair.pump()
                self.assertEqual(edge.peer_heard, marks)
                for answer in (b"answer", b"x" * 300_000):  # the second has to wait for credit
                    edge.peer_heard = False
                    self.accepted.write(b"surplus")
                    pair.pump()
                    self.assertFalse(edge.peer_heard)
                    edge.write(b"request")
                    pair.pump()
                    self.assertFalse(edge.peer_heard)
                    self.accepted.write(answer)
                    pair.pump()
                    self.assertEqual(edge.peer_heard, marks)
                self.assertEqual(len(heard.data), len(b"opened" + b"surplus" * 2 + b"answer") + 300_000)

    def test_mark_of_a_frame_in_parts(self) -> None:
        """A frame that arrives in parts is acknowledged once, with its first part: what is sent later is no answer."""
        pair = Pair()
        pair.agent.connection._stream_opened = self.accept
        edge, _ = pair.edge.open(encode_preamble(7))
        pair.pump()
        self.accepted.write(b"opened")
        pair.pump()
        edge.peer_heard = False
        edge.write(b"request" * 100)
        data = pair.edge.connection.data_to_send()
        pair.agent.receive(data[:8])
        self.accepted.write(b"surplus")
        pair.pump()
        self.assertFalse(edge.peer_heard)
        pair.agent.receive(data[8:300])
        self.accepted.write(b"early answer")
        pair.pump()
        self.assertTrue(edge.peer_heard)
        pair.agent.receive(data[300:500])
        pair.agent.receive(data[500:])
        edge.peer_heard = False
        self.accepted.write(b"surplus")
        pair.pump()
        self.assertFalse(edge.peer_heard)

    def accept(self, stream: Stream) -> None:
        """Read the preamble of a stream, then whatever comes."""
        self.accepted = stream
        PreambleReader(
            stream,
            lambda stream, route: RecordingReceiver().attach(stream),
            lambda stream, error: None,
            decode_preamble,
        )

    def test_options_are_skipped(self) -> None:
        """Options that this version does not know are not passed on."""
        self.read(bytes.fromhex("0100000500000009") + b"later" + b"data", 1)
        self.assertEqual((self.routes, self.receiver.data), ([9], b"data"))

    def test_bad(self) -> None:
        """Another version, or options above the limit, cost the stream."""
        for head in ("0200000000000009", "0100040100000009"):
            self.read(bytes.fromhex(head) + b"x" * 2000)
            self.assertEqual((self.routes, type(self.failures[0])), ([], BadPreamble))
            self.assertIsInstance(self.opener.errors[0], StreamReset)

    def test_ends_inside(self) -> None:
        """A stream that ends inside its preamble is cut."""
        self.read(encode_preamble(7)[:5], ends=True)
        self.assertIsInstance(self.failures[0], BadPreamble)

    def test_cut_inside(self) -> None:
        """A stream that is cut inside its preamble is reported."""
        self.read(encode_preamble(7)[:5], cut=True)
        self.assertIsInstance(self.failures[0], StreamReset)


class OpeningReaderTests(SynchronousTestCase):
    """The edge's side."""

    def setUp(self) -> None:
        self.receiver = RecordingReceiver()

    def read(self, data: bytes, chunk: int = 0, ends: bool = False, we_end: bool = False) -> Pair:
        self.receiver = RecordingReceiver()
        pair = Pair(chunk)
        reader = OpeningReader(self.receiver)
        stream = reader.stream = self.receiver.stream = pair.edge.connection.open_stream(reader, encode_preamble(1))
        if we_end:
            stream.end()
        pair.pump()
        pair.agent.opened[0].write(data)
        if ends:
            pair.agent.opened[0].end()
        pair.pump()
        return pair

    def test_opened(self) -> None:
        """The reply is heard first and the origin's bytes after it, however they arrive."""
        for chunk in (0, 1, 3, 14):
            self.read(encode_opening(OpeningCode.OPENED) + b"HTTP/1.1 200", chunk, ends=True)
            self.assertEqual(self.receiver.openings, [Opening(code=OpeningCode.OPENED)])
            self.assertTrue(self.receiver.openings[0].is_opened)
            self.assertEqual((self.receiver.data, self.receiver.has_ended), (b"HTTP/1.1 200", True))

    def test_refused(self) -> None:
        """A refusal is heard with its reason, nothing after it, and the stream is gone."""
        for chunk in (0, 1):
            pair = self.read(encode_opening(OpeningCode.TLS_FAILED, "no such ä") + b"noise", chunk)
            self.assertEqual(self.receiver.openings, [Opening(code=OpeningCode.TLS_FAILED, detail="no such ä")])
            self.assertEqual((self.receiver.data, self.receiver.errors), (b"", []))
            self.assertEqual(pair.edge.connection.stream_count, 0)

    def test_unknown_code_at_once(self) -> None:
        """A code that is not known costs the stream with its first byte, whatever detail it announces."""
        for data in (bytes([99]), bytes([99, 255]) + b"x" * 3):
            pair = self.read(data)
            self.assertIsInstance(self.receiver.errors[0], BadOpeningReply)
            self.assertEqual((len(self.receiver.errors), pair.edge.connection.stream_count), (1, 0))

    def test_unknown_code(self) -> None:
        """A code that does not exist costs the stream."""
        self.read(b"\xff\x00")
        self.assertIsInstance(self.receiver.errors[0], BadOpeningReply)

    def test_no_reply(self) -> None:
        """A stream that ends before its reply is reported as lost, also if this side has ended."""
        for we_end in (False, True):
            self.read(b"\x00", ends=True, we_end=we_end)
            self.assertEqual([type(error) for error in self.receiver.errors], [BadOpeningReply])

    def test_loss_and_credit_are_passed_on(self) -> None:
        """Before the reply the receiver hears of credit and of loss."""
        pair = Pair()
        reader = OpeningReader(self.receiver)
        reader.stream = pair.edge.connection.open_stream(reader, encode_preamble(1))
        reader.stream.write(b"x" * 1_000_000)
        for _ in range(10):
            pair.pump()
        self.assertEqual(self.receiver.credits, 1)
        pair.agent.opened[0].reset()
        pair.pump()
        self.assertIsInstance(self.receiver.errors[0], StreamReset)

    def test_long_detail_is_cut(self) -> None:
        """A detail above 255 bytes is cut between characters."""
        reply = encode_opening(OpeningCode.INTERNAL_ERROR, "ä" * 200)
        self.assertEqual((len(reply), reply[1]), (256, 254))
        self.assertEqual(reply[2:].decode(), "ä" * 127)
