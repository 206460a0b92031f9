"""Tests of response heads: what they mean, what is passed on, and what is refused."""

from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import LIMITS, read_response, refusal_of_response
from warp_twisted.http1 import refusals
from warp_twisted.http1.body import CHUNKED, UNTIL_CLOSE
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
        reader = ResponseReader(LIMITS)
        for end in range(1, len(data)):
            self.assertIsNone(reader.read(data[:end]))
        head = reader.read(data + b"x")
        assert head is not None
        self.assertEqual(head.size, len(data))

    def test_the_same_head_again(self) -> None:
        """A head that repeats is taken from memory, after a partial arrival too."""
        data = response(b"Content-Length: 5")
        reader = ResponseReader(LIMITS)
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
            (response(line=b"HTTP/1.1 600 OK"), refusals.BAD_STATUS_LINE),
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
            (response(b"A: b", b" folded"), refusals.BAD_FIELD),
            (response(b"Content-Length: 5", b"Content-Length: 5"), refusals.LENGTH_REPEATED),
            (response(b"Content-Length: 5,5"), refusals.BAD_LENGTH),
            (response(b"Content-Length: -1"), refusals.BAD_LENGTH),
            (response(b"Content-Length: 5", b"Transfer-Encoding: chunked"), refusals.LENGTH_AND_CODING),
            (response(b"Transfer-Encoding: gzip, chunked"), refusals.BAD_CODING),
            (response(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"), refusals.CODING_TOO_EARLY),
            (response(b"Content-Length: 5", line=b"HTTP/1.1 204 x"), refusals.UNEXPECTED_BODY),
            (response(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 204 x"), refusals.UNEXPECTED_BODY),
            (response(b"Content-Length: 5", line=b"HTTP/1.1 100 x"), refusals.UNEXPECTED_BODY),
            (response(b"Connection: content-type"), refusals.BAD_CONNECTION),
            (response(*[b"A: b"] * (LIMITS.header_count + 1)), refusals.TOO_MANY_FIELDS),
            (response(b"A: " + b"x" * LIMITS.head_bytes), refusals.HEAD_TOO_LARGE),
            (b"HTTP/1.1 200 OK\r\nA: " + b"x" * LIMITS.head_bytes, refusals.HEAD_TOO_LARGE),
        ]
        for data, refusal in cases:
            self.assertIs(refusal_of_response(data), refusal, data)

    def test_one_bad_byte_early(self) -> None:
        """A bad byte in a head that is still arriving is refused at once, however it is cut."""
        data = b"HTTP/1.1 200 OK\r\nA: b\n"
        reader = ResponseReader(LIMITS)
        for end in range(1, len(data)):
            self.assertIsNone(reader.read(data[:end]))
        self.assertRaises(MessageRefused, reader.read, data)
