"""Tests of body readers and of the chunked coding."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1 import refusals
from warp_twisted.http1.body import (
    CHUNK_BYTES,
    CHUNKED,
    FREE_CHUNKS,
    UNTIL_CLOSE,
    BodyReader,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
    chunks_at_once,
    encode_piece,
    make_reader,
)
from warp_twisted.http1.limits import BodyLimits
from warp_twisted.http1.refusals import MessageRefused, Refusal

LIMITS = BodyLimits(body_bytes=0, trailer_bytes=200, trailer_count=4, extension_bytes=100)
SMALL = BodyLimits(body_bytes=10)


def read_in(reader: BodyReader, data: bytes, size: int) -> tuple[bytes, bytes]:
    """Feed data in pieces of a size; return the payload and what followed the body."""
    payload = b""
    for at in range(0, len(data), size):
        piece, rest = reader.receive(data[at : at + size])
        payload += piece
        if reader.complete:
            return payload, rest + data[at + size :]
        assert rest == b""
    return payload, b""


class LengthTests(SynchronousTestCase):
    """Bodies of a known length."""

    def test_every_cut(self) -> None:
        """The body ends after its bytes, whatever the pieces; what follows is given back."""
        for size in range(1, 12):
            reader = LengthReader(5, LIMITS)
            self.assertEqual(read_in(reader, b"hellomore", size), (b"hello", b"more"))
            self.assertTrue(reader.complete)

    def test_no_body(self) -> None:
        """Length 0 is complete from the start."""
        self.assertTrue(LengthReader(0, LIMITS).complete)

    def test_limit(self) -> None:
        """A body over the limit is refused before its first byte."""
        LengthReader(10, SMALL)
        with self.assertRaises(MessageRefused) as caught:
            LengthReader(11, SMALL)
        self.assertIs(caught.exception.refusal, refusals.BODY_TOO_LARGE)

    def test_until_close(self) -> None:
        """A body without a length passes everything and never completes by itself."""
        reader = UntilCloseReader()
        self.assertEqual(reader.receive(b"abc"), (b"abc", b""))
        self.assertFalse(reader.complete)

    def test_reader_of_a_length(self) -> None:
        """Each kind of length has its reader."""
        self.assertIsInstance(make_reader(CHUNKED, LIMITS), ChunkedReader)
        self.assertIsInstance(make_reader(UNTIL_CLOSE, LIMITS), UntilCloseReader)
        self.assertIsInstance(make_reader(5, LIMITS), LengthReader)


class ChunkedTests(SynchronousTestCase):
    """Reading the chunked coding."""

    def refusal_of(self, data: bytes, limits: BodyLimits = LIMITS) -> Refusal:
        """Return why a body is refused, checked in pieces of 1, 2, 3 bytes and whole."""
        found: set[Refusal] = set()
        for size in (1, 2, 3, len(data)):
            with self.assertRaises(MessageRefused, msg=(data, size)) as caught:
                read_in(ChunkedReader(limits), data, size)
            found.add(caught.exception.refusal)
        self.assertEqual(len(found), 1, (data, found))
        return found.pop()

    def test_every_cut(self) -> None:
        """Payload, trailers and the body's end come out the same whatever the pieces."""
        data = b'5\r\nhello\r\n00A;x=y;z="a\\"b"\r\n 123456789\r\n0\r\nX-Sum: 1\r\nEmpty:\r\n\r\nGET /'
        for size in range(1, len(data) + 1):
            reader = ChunkedReader(LIMITS)
            self.assertEqual(read_in(reader, data, size), (b"hello 123456789", b"GET /"))
            self.assertEqual(reader.trailers, b"X-Sum: 1\r\nEmpty:\r\n")

    def test_payload_is_not_held_back(self) -> None:
        """Part of a chunk comes out as soon as it arrives."""
        reader = ChunkedReader(LIMITS)
        self.assertEqual(reader.receive(b"a\r\n123"), (b"123", b""))
        self.assertEqual(reader.receive(b"4567"), (b"4567", b""))
        self.assertEqual(reader.receive(b"890\r"), (b"890", b""))
        self.assertEqual(reader.receive(b"\n1\r\nx"), (b"x", b""))
        self.assertFalse(reader.complete)

    @given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 9), st.integers(1, 500), st.binary(max_size=20))
    def test_some_at_once(self, sizes: list[int], most: int, step: int, following: bytes) -> None:
        """No more chunks are begun than asked for, and given again what is left reads as if it had come later."""
        reader, payload, held = ChunkedReader(LIMITS), b"", b""
        data = b"".join(b"%x\r\n%b\r\n" % (size, b"y" * size) for size in sizes) + b"0\r\nA: b\r\n\r\n" + following
        for at in range(0, len(data), step):
            held += data[at : at + step]
            while held and not reader.complete:
                piece, held = reader.receive(held, most)
                self.assertLessEqual(len(piece), (most + 1) * 300)
                payload += piece
        self.assertEqual((reader.complete, payload, held), (True, b"y" * sum(sizes), following))
        self.assertEqual(reader.trailers, b"A: b\r\n")

    def test_how_many_at_once(self) -> None:
        """A few chunks of any size; of large ones all."""
        self.assertEqual(chunks_at_once(1), FREE_CHUNKS)
        self.assertEqual(chunks_at_once(100 * CHUNK_BYTES), FREE_CHUNKS + 100)
        payload, rest = ChunkedReader(LIMITS).receive(b"1\r\nx\r\n" * 50, FREE_CHUNKS)
        self.assertEqual((payload, rest), (b"x" * FREE_CHUNKS, b"1\r\nx\r\n" * (50 - FREE_CHUNKS)))

    def test_refusals(self) -> None:
        """Each malformed body has its refusal."""
        cases = [
            (b"\r\n", refusals.BAD_CHUNK),
            (b"x\r\n", refusals.BAD_CHUNK),
            (b"-1\r\n", refusals.BAD_CHUNK),
            (b"+1\r\n", refusals.BAD_CHUNK),
            (b"0x1\r\n", refusals.BAD_CHUNK),
            (b"1_0\r\n", refusals.BAD_CHUNK),
            (b" 1\r\n", refusals.BAD_CHUNK),
            (b"1\n", refusals.BAD_CHUNK),
            (b"1 1\r\n", refusals.BAD_EXTENSION),
            (b"f" * 16 + b"\r\n", refusals.BAD_CHUNK),
            (b"1\r\nab\r\n", refusals.BAD_CHUNK),
            (b"1\r\na\n0\r\n", refusals.BAD_CHUNK),
            (b"1\r\na\rx", refusals.BAD_CHUNK),
            (b"1\r\na0\r\n", refusals.BAD_CHUNK),
            (b"1;\r\n", refusals.BAD_EXTENSION),
            (b"1;a=\r\n", refusals.BAD_EXTENSION),
            (b"1;a b\r\n", refusals.BAD_EXTENSION),
            (b"1 ;\r\n", refusals.BAD_EXTENSION),
            (b"1;a\x00\r\n", refusals.BAD_EXTENSION),
            (b'1;a="b\r\n', refusals.BAD_EXTENSION),
            (b"1;a\rb\r\n", refusals.BAD_EXTENSION),
            (b"0\r\nbad\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\nA : b\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\nA: b\r\n c\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\nA: b\n\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\nContent-Length: 5\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\nTransfer_Encoding: chunked\r\n\r\n", refusals.BAD_TRAILER),
            (b"0\r\n\n", refusals.BAD_TRAILER),
            (b"0\r\n" + b"A: b\r\n" * 5 + b"\r\n", refusals.TRAILERS_TOO_LARGE),
            (b"0\r\nA: " + b"b" * 300, refusals.TRAILERS_TOO_LARGE),
        ]
        for data, refusal in cases:
            self.assertIs(self.refusal_of(data), refusal, data)

    def test_whitespace_in_chunk_lines(self) -> None:
        """Around the parts of extensions, and behind a padded size, is whitespace; nothing of it is passed on."""
        for line in (b"1 ", b"1 \t", b"1;a ", b"1\t; a", b"1; a = b ;c", b'1 ;a= "b c"  '):
            for end in range(len(line) + 3):
                reader, data = ChunkedReader(LIMITS), line + b"\r\nx\r\n0 \r\n\r\n"
                first, _ = reader.receive(data[:end])
                second, rest = reader.receive(data[end:])
                self.assertEqual((first + second, rest, reader.complete), (b"x", b"", True), line)

    def test_a_bare_lf_in_an_extension(self) -> None:
        """An LF inside an unfinished chunk line is refused at once: it ends the line for lenient readers."""
        with self.assertRaises(MessageRefused):
            ChunkedReader(LIMITS).receive(b"1;a\nb")

    def test_extension_limits(self) -> None:
        """One long extension and many small ones are refused."""
        self.assertIs(self.refusal_of(b"1;" + b"a" * 1100), refusals.BAD_EXTENSION)
        self.assertIs(self.refusal_of(b"1;abcdefghi\r\nx\r\n" * 11), refusals.BAD_EXTENSION)

    def test_body_limit(self) -> None:
        """The chunk that crosses the limit is refused by its size line."""
        read_in(ChunkedReader(SMALL), b"a\r\n1234567890\r\n0\r\n\r\n", 3)
        self.assertIs(self.refusal_of(b"9\r\n123456789\r\n2\r\n", SMALL), refusals.BODY_TOO_LARGE)

    def test_trailers_that_must_not_trail(self) -> None:
        """Fields of routing, identity and authentication are dropped from the trailers."""
        reader = ChunkedReader(BodyLimits())
        names = [b"Host", b"Content-Type", b"Authorization", b"Connection", b"X-Forwarded-For",
                 b"Content_Type", b"X_Forwarded_For", b"Set-Cookie", b"X-Request-Id", b"Via"]  # fmt: skip
        reader.receive(b"0\r\n" + b"".join(name + b": 1\r\n" for name in names) + b"Grpc-Status: 0\r\n\r\n")
        self.assertEqual(reader.trailers, b"Grpc-Status: 0\r\n")

    @given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 20))
    @settings(deadline=None, max_examples=150)
    def test_what_is_encoded_is_read_back(self, pieces: list[bytes], size: int) -> None:
        """Coding a payload and reading it gives the payload, whatever the pieces on the way."""
        source = ChunkedReader(LIMITS)
        data = b"".join(encode_piece(piece, source) for piece in pieces)
        source.receive(b"0\r\nA: b\r\n\r\n")
        data += encode_piece(b"", source)
        reader = ChunkedReader(LIMITS)
        self.assertEqual(read_in(reader, data + b"rest", size), (b"".join(pieces), b"rest"))
        self.assertEqual(reader.trailers, b"A: b\r\n")

    @given(st.binary(max_size=80), st.integers(1, 9))
    @settings(deadline=None, max_examples=300)
    def test_any_bytes(self, data: bytes, size: int) -> None:
        """Any bytes are read or refused, and nothing beyond the bounds is held."""
        reader = ChunkedReader(LIMITS)
        try:
            payload, rest = read_in(reader, data, size)
        except MessageRefused:
            return
        self.assertLessEqual(len(payload) + len(rest), len(data))
