"""Tests of `warp_twisted.agent.health.answer`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.agent.health.answer import GOOD, Answer, request_bytes
from warp_twisted.agent.health.settings import BODY_BYTES, Expect, Health

ANY = Health(path="/")
TEXT = Health(path="/", expect=Expect(body="all good"))
INVALID = "its answer is not valid HTTP"
NOT_IN = "'all good' is not in its answer"


class RequestTests(SynchronousTestCase):
    """What a probe sends."""

    def test_request(self) -> None:
        """One request on a connection of its own, that says who asks."""
        self.assertEqual(
            request_bytes(Health(path="/healthz?deep=1"), "app.example"),
            b"GET /healthz?deep=1 HTTP/1.1\r\nHost: app.example\r\nUser-Agent: warp-agent (health)\r\n"
            b"Accept: */*\r\nConnection: close\r\n\r\n",
        )


class AnswerTests(SynchronousTestCase):
    """What an answer says."""

    def verdict(self, data: bytes, health: Health = ANY) -> str | None:
        """Read an answer whole, byte by byte, and with an end after it: the verdict is the same."""
        whole, single = Answer(health), Answer(health)
        whole.receive(data)
        for at in range(len(data)):
            single.receive(data[at : at + 1])
        self.assertEqual(whole.verdict, single.verdict)
        whole.receive(b"trailing bytes")
        if single.verdict is not None:
            self.assertEqual(whole.verdict, single.verdict)
        single.ended()
        return single.verdict

    def test_status(self) -> None:
        """The status decides as soon as the head is there; a redirection is good unless another is asked for."""
        for status, verdict in (
            ("200 OK", GOOD), ("204 No Content", GOOD), ("302 Found", GOOD), ("404 Not Found", "it answers 404"),
            ("500 Oh", "it answers 500"), ("503", "it answers 503"),
        ):  # fmt: skip
            self.assertEqual(self.verdict(f"HTTP/1.1 {status}\r\nA: b\r\n\r\n".encode()), verdict)
        self.assertEqual(self.verdict(b"HTTP/1.1 302 F\r\n\r\n", Health(path="/", expect=200)), "it answers 302")
        answer = Answer(ANY)
        answer.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        self.assertEqual(answer.verdict, GOOD)

    def test_interim(self) -> None:
        """Interim answers are passed over, but not without end."""
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        self.assertEqual(self.verdict(3 * interim + b"HTTP/1.1 200 OK\r\n\r\n"), GOOD)
        self.assertEqual(self.verdict(20 * interim), "it does not come to an answer")

    def test_not_http(self) -> None:
        """What is not HTTP, or could be read in two ways, is a failure at once."""
        for data in (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\nA: b\n\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 12_000,
        ):
            self.assertEqual(self.verdict(data), INVALID)

    def test_cut(self) -> None:
        """An origin that hangs up before its head is whole has not answered."""
        cut = "it closed the connection without a whole answer"
        self.assertEqual(self.verdict(b""), cut)
        self.assertEqual(self.verdict(b"HTTP/1.1 200 OK\r\nA: "), cut)

    def test_body(self) -> None:
        """The text may be anywhere in the first 64 KiB, in any framing, cut wherever it may be."""
        for head, body in (
            (b"Content-Length: 12\r\n", b"now all good"),
            (b"Transfer-Encoding: chunked\r\n", b"6\r\nnow al\r\n6\r\nl good\r\n0\r\n\r\n"),
            (b"", b"now all good"),
            (b"Content-Length: 999999999999\r\n", b"all good, and much that nobody reads"),
        ):
            self.assertEqual(self.verdict(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, TEXT), GOOD)

    def test_wrong_body(self) -> None:
        """A body without the text is a failure, as is an answer that has none."""
        for head, body in (
            (b"Content-Length: 4\r\n", b"oops"), (b"Transfer-Encoding: chunked\r\n", b"4\r\noops\r\n0\r\n\r\n"),
            (b"", b"oops"), (b"Content-Length: 0\r\n", b""),
        ):  # fmt: skip
            self.assertEqual(self.verdict(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, TEXT), NOT_IN)
        self.assertEqual(self.verdict(b"HTTP/1.1 204 No Content\r\n\r\n", TEXT), NOT_IN)
        self.assertEqual(self.verdict(b"HTTP/1.1 500 Oh\r\nContent-Length: 8\r\n\r\nall good", TEXT), "it answers 500")

    def test_bounded(self) -> None:
        """Of an endless body 64 KiB are looked at, and kept; what comes after does not count."""
        answer = Answer(TEXT)
        answer.receive(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(BODY_BYTES // 1_000):
            answer.receive(b"x" * 1_000)
            self.assertIsNone(answer.verdict)
        answer.receive(b"x" * 1_000)
        self.assertEqual(answer.verdict, NOT_IN)
        late = Answer(TEXT)
        late.receive(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BODY_BYTES + b"all good")
        self.assertEqual(late.verdict, NOT_IN)

    def test_small_pieces(self) -> None:
        """A body in chunks of a byte ends the probe, and byte by byte it costs no more the more has come."""
        answer = Answer(TEXT)
        chunks = b"1\r\nx\r\n" * 10_000
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertLess(count_operations(lambda: answer.receive(head + chunks)), 60_000)
        self.assertEqual(answer.verdict, "its answer is cut into too many chunks")

    @given(st.lists(st.binary(max_size=60), max_size=10), st.sampled_from([ANY, TEXT]))
    def test_anything(self, pieces: list[bytes], health: Health) -> None:
        """Whatever comes, at the end there is a verdict, and nothing is raised."""
        for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
            answer = Answer(health)
            answer.receive(start)
            for piece in pieces:
                answer.receive(piece)
            answer.ended()
            self.assertIsNotNone(answer.verdict)
