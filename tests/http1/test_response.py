"""Tests of response heads: what they mean, what is passed on, and what is refused."""

from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import RULES, read_response, refusal_of_response
from warp_twisted.http1 import refusals
from warp_twisted.http1.body import CHUNKED, TWO_LENGTHS, UNTIL_CLOSE, make_reader
from warp_twisted.http1.limits import BodyLimits, ResponseRules
from warp_twisted.http1.refusals import MessageRefused
from warp_twisted.http1.response import ResponseReader


def response(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return a response head."""
    return b"\r\n".join([line, *lines, b"", b""])


class ReadingTests(SynchronousTestCase):
    """What a good head means."""

    def test_plain(self) -> None:
        """Status, length and end-to-end fields are read; framing is kept apart."""
        data = response(b"Date: x", b"Content-Length: 5", b"Content-Type: a/b", b"X-Request-Id: theirs")
        head = read_response(data + b"hello")
        self.assertEqual(head.size, len(data))
        self.assertEqual((head.status, head.length, head.persistent, head.has_date), (200, 5, True, True))
        self.assertEqual(head.start, b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: a/b\r\n")
        self.assertEqual(head.framing, b"Content-Length: 5\r\n")

    def test_every_cut(self) -> None:
        """Cut anywhere, a head is incomplete until its last byte."""
        data = response(b"A: b", b"Content-Length: 0")
        reader = ResponseReader(RULES)
        for end in range(1, len(data)):
            self.assertIsNone(reader.read(data[:end]))
        head = reader.read(data + b"x")
        assert head is not None
        self.assertEqual(head.size, len(data))

    def test_the_same_head_again(self) -> None:
        """A head that repeats is taken from memory, after a partial arrival too."""
        data = response(b"Content-Length: 5")
        reader = ResponseReader(RULES)
        first = reader.read(data)
        self.assertIsNone(reader.read(data[:-1]))
        self.assertIs(reader.read(data + b"hello"), first)
        other = reader.read(response(b"Content-Length: 5", b"X: y"))
        assert other is not None
        self.assertIn(b"X: y", other.start)

    def test_status_lines(self) -> None:
        """The reason may be empty or left out with its space; the version is raised to ours."""
        for line, start in (
            (b"HTTP/1.1 204 No Content", b"HTTP/1.1 204 No Content\r\n"),
            (b"HTTP/1.1 200 ", b"HTTP/1.1 200 \r\n"),
            (b"HTTP/1.1 200", b"HTTP/1.1 200 \r\n"),
            (b"HTTP/1.0 599 a\tb \xff", b"HTTP/1.1 599 a\tb \xff\r\n"),
        ):
            self.assertEqual(read_response(response(line=line)).start, start)

    def test_lengths(self) -> None:
        """Length, coding, or the end of the connection frame a body; some statuses have none."""
        cases = [
            (response(b"Content-Length: 7"), 7, b"Content-Length: 7\r\n"),
            (response(b"Transfer-Encoding: CHUNKED"), CHUNKED, b""),
            (response(), UNTIL_CLOSE, b""),
            (response(line=b"HTTP/1.1 204 x"), 0, b""),
            (response(b"Content-Length: 0", line=b"HTTP/1.1 204 x"), 0, b""),
            (response(b"Content-Length: 7", line=b"HTTP/1.1 304 x"), 0, b"Content-Length: 7\r\n"),
            (response(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 304 x"), 0, b""),
            (response(line=b"HTTP/1.1 103 Early Hints"), 0, b""),
        ]
        for data, length, framing in cases:
            head = read_response(data)
            self.assertEqual((head.length, head.framing), (length, framing), data)

    def test_no_body_however_it_is_announced(self) -> None:
        """204, or a chunked 304, has none; as one may follow all the same, the connection is not used again."""
        for line in (b"HTTP/1.1 204 x", b"HTTP/1.1 304 x"):
            head = read_response(response(b"Transfer-Encoding: chunked", line=line))
            self.assertEqual((head.length, head.framing, head.persistent), (0, b"", False))
        head = read_response(response(b"Content-Length: 5", line=b"HTTP/1.1 204 x"))
        self.assertEqual((head.length, head.framing, head.persistent), (0, b"", False))
        self.assertTrue(read_response(response(b"Content-Length: 5", line=b"HTTP/1.1 304 x")).persistent)

    def test_two_lengths(self) -> None:
        """A length beside the coding is refused with the body; an answer to HEAD has none (RFC 9112 §6.3)."""
        reader = ResponseReader(RULES)
        for length in (b"5", b"5", b"6"):
            head = reader.read(response(b"Content-Length: " + length, b"Transfer-Encoding: chunked"))
            assert head is not None
            self.assertEqual((head.length, head.framing), (TWO_LENGTHS, b""))
            with self.assertRaises(MessageRefused) as raised:
                make_reader(head.length, BodyLimits())
            self.assertIs(raised.exception.refusal, refusals.LENGTH_AND_CODING)

    def test_equal_lengths(self) -> None:
        """A length that is repeated, in lines or in a list, is one (RFC 9110 §8.6), and is not learned from."""
        reader = ResponseReader(RULES)
        for lines in ([b"Content-Length: 5", b"content-length:5 "], [b"Content-Length: 5, 5"]):
            head = reader.read(response(*lines))
            assert head is not None
            self.assertEqual((head.length, head.framing), (5, b"Content-Length: 5\r\n"))
            self.assertEqual(head.start, b"HTTP/1.1 200 OK\r\n")
        for _ in range(2):
            reader.read(response(b"Content-Length: 5", b"Content-Length: 5"))
        with self.assertRaises(MessageRefused):
            reader.read(response(b"Content-Length: 5", b"Content-Length: 6"))

    def test_folded_line(self) -> None:
        """A line that goes on in the next is passed on as one, each fold one space (RFC 9112 §5.2)."""
        head = read_response(response(b"X-Long: a ", b"\t b", b"  c", b"Content-Length: 2"))
        self.assertEqual(head.start, b"HTTP/1.1 200 OK\r\nX-Long: a b c\r\n")
        self.assertEqual(head.size, len(response(b"X-Long: a ", b"\t b", b"  c", b"Content-Length: 2")))

    def test_bare_line_feeds(self) -> None:
        """Where it is allowed, lines may end with LF alone, however they arrive; otherwise no line may."""
        data = b"HTTP/1.1 200 OK\nA: b\r\nContent-Length: 2\n\n"
        reader = ResponseReader(ResponseRules(bare_lf=True))
        for _ in range(2):
            for end in range(1, len(data)):
                self.assertIsNone(reader.read(data[:end]))
            head = reader.read(data + b"hi")
            assert head is not None
            self.assertEqual((head.size, head.length), (len(data), 2))
            self.assertEqual(head.start, b"HTTP/1.1 200 OK\r\nA: b\r\n")
        usual = response(b"Content-Length: 2")
        head = reader.read(usual + b"\n\n")
        assert head is not None
        self.assertEqual(head.size, len(usual))
        self.assertRaises(MessageRefused, reader.read, b"HTTP/1.1 200 OK\nA: \rb\n\n")
        self.assertRaises(MessageRefused, ResponseReader(RULES).read, data)

    def test_odd_statuses(self) -> None:
        """Statuses of applications' own, up to 999, are passed on."""
        self.assertEqual(read_response(response(line=b"HTTP/1.1 999 Odd")).status, 999)

    def test_persistence(self) -> None:
        """HTTP/1.1 persists unless it says close; HTTP/1.0 is not used again."""
        cases = [
            (response(), True),
            (response(b"Connection: Close"), False),
            (response(line=b"HTTP/1.0 200 OK"), False),
            (response(b"Connection: keep-alive", line=b"HTTP/1.0 200 OK"), False),
        ]
        for data, persistent in cases:
            self.assertEqual(read_response(data).persistent, persistent, data)

    def test_hop_by_hop_fields_stay_here(self) -> None:
        """Fields for the origin's connection, named by RFC 9110 or by Connection, are left out."""
        head = read_response(
            response(
                b"Connection: X-Hop",
                b"x-hop: 1",
                b"Keep-Alive: 5",
                b"Upgrade: h2c",
                b"Proxy-Authenticate: x",
                b"Trailer: X-Sum",
                b"Content-Length: 0",
            )
        )
        self.assertEqual(head.start, b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n")

    def test_upgrade(self) -> None:
        """The protocol switched to counts with 101 and its connection option only."""
        both = (b"Connection: Upgrade", b"Upgrade: WebSocket")
        line = b"HTTP/1.1 101 Switching Protocols"
        self.assertEqual(read_response(response(*both, line=line)).upgrade, b"websocket")
        for data in (
            response(*both),
            response(both[1], line=line),
            response(*both, both[1], line=line),
        ):
            self.assertEqual(read_response(data).upgrade, b"", data)

    def test_missing_date(self) -> None:
        """Whether the origin said the time is noted."""
        self.assertFalse(read_response(response(b"X-Date: 1")).has_date)


class RefusalTests(SynchronousTestCase):
    """Heads of which nothing is passed on."""

    def test_refusals(self) -> None:
        """Each malformed or ambiguous head has its refusal."""
        cases = [
            (response(line=b"HTTP/1.2 200 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/2 200 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"http/1.1 200 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/1.1  200 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/1.1 20 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/1.1 2000 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/1.1 099 OK"), refusals.BAD_STATUS_LINE),
            (response(line=b"HTTP/1.1 200 O\x00K"), refusals.BAD_STATUS_LINE),
            (b"\r\n" + response(), refusals.BAD_STATUS_LINE),
            (b"ICY 200 OK\r\n", refusals.BAD_STATUS_LINE),
            (b"SSH-2.0-x", refusals.BAD_STATUS_LINE),
            (b"HTTP/1.1\r", refusals.BAD_STATUS_LINE),
            (b"HTTP/1.1 200 OK\nA: b\n\n", refusals.BAD_LINE_END),
            (response(b"A: b\nC: d"), refusals.BAD_LINE_END),
            (response(b"A: b\rC: d"), refusals.BAD_LINE_END),
            (response(b"A: \x00"), refusals.BAD_LINE_END),
            (response(b"A : b"), refusals.BAD_FIELD),
            (response(b" folded"), refusals.BAD_FIELD),
            (response(b"Content-Length:", b" 5"), refusals.BAD_FIELD),
            (response(b"Connection: close", b"\t, x"), refusals.BAD_FIELD),
            (response(b"X Y: b"), refusals.BAD_FIELD),
            (response(b"Content-Length: 5", b"Content-Length: 6"), refusals.LENGTHS_DIFFER),
            (response(b"Content-Length: 5,6"), refusals.LENGTHS_DIFFER),
            (response(b"Content-Length: 5,"), refusals.BAD_LENGTH),
            (response(b"Content-Length: +5"), refusals.BAD_LENGTH),
            (response(b"Content-Length: -1"), refusals.BAD_LENGTH),
            (response(b"Transfer-Encoding: gzip, chunked"), refusals.BAD_CODING),
            (response(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"), refusals.CODING_TOO_EARLY),
            (response(b"Content-Length: 5", line=b"HTTP/1.1 100 x"), refusals.UNEXPECTED_BODY),
            (response(b"Connection: content-type"), refusals.BAD_CONNECTION),
            (response(*[b"A: b"] * (RULES.header_count + 1)), refusals.TOO_MANY_FIELDS),
            (response(b"A: " + b"x" * RULES.head_bytes), refusals.HEAD_TOO_LARGE),
            (b"HTTP/1.1 200 OK\r\nA: " + b"x" * RULES.head_bytes, refusals.HEAD_TOO_LARGE),
        ]
        for data, refusal in cases:
            self.assertIs(refusal_of_response(data), refusal, data)

    def test_one_bad_byte_early(self) -> None:
        """A bad byte in a head that is still arriving is refused at once, however it is cut."""
        data = b"HTTP/1.1 200 OK\r\nA: b\n"
        reader = ResponseReader(RULES)
        for end in range(1, len(data)):
            self.assertIsNone(reader.read(data[:end]))
        self.assertRaises(MessageRefused, reader.read, data)
