"""
Differential tests against llhttp: whatever we accept, it accepts with the same meaning.

llhttp (the parser of Node, by httptools) is more lenient, so the other direction does not hold. Messages are made
by breaking good ones, which finds more than random bytes would.
"""

import contextlib
from typing import Any

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http1.samples import request_reader
from warp_twisted.http1.body import CHUNKED, UNTIL_CLOSE, encode_piece, make_reader
from warp_twisted.http1.limits import BodyLimits, HeadLimits, ResponseRules
from warp_twisted.http1.refusals import MessageRefused, Refusal
from warp_twisted.http1.response import ResponseHead, ResponseReader

# Methods that llhttp knows; it refuses others, which a proxy must not.
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH", b"PROPFIND", b"QUERY")
LINES = [
    b"Host: app.example",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Transfer-Encoding: chunked",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Expect: 100-continue",
    b"X-A: b\xff\tc",
    b"X-Empty:",
    b"Cookie: a=b; c=d",
]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n"]
NOISE = [
    *[bytes([byte]) for byte in b"\r\n \t\x00\x0b\x7f\xff:,_5;0-+"],
    *[b"\r\n", b"chunked", b"HTTP/1.1", b"Content-Length: 6\r\n", b"Transfer-Encoding: x\r\n", b"Host: b\r\n"],
]


class Heard:
    """What llhttp heard of one message."""

    def __init__(self) -> None:
        self.url = b""
        self.names: list[bytes] = []
        self.body = b""
        self.complete = False
        self.parser: Any = None
        self.keeps_alive = False

    def on_headers_complete(self) -> None:
        self.keeps_alive = self.parser.should_keep_alive()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.append(name.lower())

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


@st.composite
def broken(draw: Any, first_lines: list[bytes]) -> bytes:
    """Build a message, and put noise in at up to three places or leave bytes out."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=5))
    data = b"\r\n".join([draw(st.sampled_from(first_lines)), *lines, b"", b""]) + draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from(NOISE)) + data[at + draw(st.integers(0, 2)) :]
    return bytes(data)


REQUEST_LINES = [method + b" /a?b=c HTTP/1.1" for method in METHODS] + [
    b"GET http://app.example/x HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"POST /a HTTP/1.0",
]
STATUS_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 304 x", b"HTTP/1.1 200"]


class RequestTests(SynchronousTestCase):
    """Requests, read by both."""

    @given(broken(REQUEST_LINES))
    @example(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\r\n\r\n")
    @example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 ; a\r\nx\r\n0\t\r\n\r\n")
    @settings(deadline=None, max_examples=1500)
    def test_accepted_by_both_alike(self, data: bytes) -> None:
        """A message that we would pass on has the same target, fields, body and end for llhttp."""
        try:
            head = request_reader(HeadLimits()).read(data)
            if head is None or not head.method.startswith(METHODS):
                return
            reader = make_reader(head.fields.length, BodyLimits())
            payload, rest = (b"", data[head.size :]) if reader.complete else reader.receive(data[head.size :])
        except MessageRefused:
            return
        if head.method not in METHODS or not reader.complete:
            return
        try:
            heard, parser = self.read(data[: len(data) - len(rest)])
        except httptools.HttpParserError:  # it takes no whitespace in chunk lines: it gets what the origin gets
            self.assertEqual(head.fields.length, CHUNKED, data)
            heard, parser = self.read(data[: head.size] + encode_piece(payload, reader))
        self.assertTrue(heard.complete)
        self.assertEqual(heard.body, payload)
        self.assertTrue(heard.url.endswith(head.target) or head.target in (b"/", b"*"), (heard.url, head.target))
        self.assertEqual(parser.get_method(), head.method)
        self.assertEqual(heard.names.count(b"host"), 1)
        # Not the reverse: with both close and keep-alive in HTTP/1.0 we close (RFC 9112 §9.3), llhttp does not.
        self.assertTrue(heard.keeps_alive or not head.fields.persistent, data)

    @staticmethod
    def read(data: bytes) -> tuple[Heard, Any]:
        """Have llhttp read a request."""
        heard = Heard()
        parser = heard.parser = httptools.HttpRequestParser(heard)
        parser.feed_data(data)
        return heard, parser

    @given(broken(REQUEST_LINES))
    @settings(deadline=None, max_examples=500)
    def test_what_is_passed_on_is_clean(self, data: bytes) -> None:
        """The head for the origin is one that we and llhttp read again, with the same framing."""
        try:
            head = request_reader(HeadLimits()).read(data)
        except MessageRefused:
            return
        if head is None or head.method not in METHODS:
            return
        sent = head.for_origin(b"id")
        again = request_reader(HeadLimits(header_count=200, head_bytes=65536)).read(sent)
        assert again is not None
        self.assertEqual(again.size, len(sent))
        self.assertEqual((again.method, again.target), (head.method, head.target))
        self.assertEqual((again.fields.length, again.fields.host), (head.fields.length, head.fields.host))
        heard = Heard()
        heard.parser = httptools.HttpRequestParser(heard)
        heard.parser.feed_data(sent)

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=300)
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are read, waited on or refused; nothing else is raised."""
        try:
            head = request_reader().read(data)
        except MessageRefused as error:
            self.assertGreaterEqual(error.refusal.status, 400)
        else:
            self.assertTrue(head is None or 0 < head.size <= len(data))


class ResponseTests(SynchronousTestCase):
    """Responses, read by both."""

    @given(broken(STATUS_LINES))
    @settings(deadline=None, max_examples=1500)
    def test_accepted_by_both_alike(self, data: bytes) -> None:
        """A response as it is passed on means the same to llhttp; as it came, too, unless llhttp refuses it."""
        try:
            head = ResponseReader(ResponseRules()).read(data)
            if head is None or head.length == UNTIL_CLOSE:
                return
            reader = make_reader(head.length, BodyLimits())
            rest = data[head.size :]
            payload, rest = (b"", rest) if reader.complete else reader.receive(rest)
        except MessageRefused:
            return
        if not reader.complete:
            return
        framing = b"Transfer-Encoding: chunked\r\n" if head.length == CHUNKED else head.framing
        sent = b"%b%b\r\n%b" % (
            head.start,
            framing,
            encode_piece(payload, reader) if head.length == CHUNKED else payload,
        )
        self.check(sent, head, payload)
        # What a status has no body for may follow it: the connection is not used again.
        with contextlib.suppress(httptools.HttpParserError if head.status != 304 else Exception):
            self.check(data[: len(data) - len(rest)], head, payload)

    def check(self, data: bytes, head: ResponseHead, payload: bytes) -> None:
        """Have llhttp read a response, which must mean the same to it."""
        heard = Heard()
        parser = heard.parser = httptools.HttpResponseParser(heard)
        parser.feed_data(data)
        self.assertTrue(heard.complete, data)
        self.assertEqual(heard.body, payload)
        self.assertEqual(parser.get_status_code(), head.status)

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=300)
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are read, waited on or refused; nothing else is raised."""
        try:
            head = ResponseReader(ResponseRules()).read(data)
        except MessageRefused as error:
            self.assertIsInstance(error.refusal, Refusal)
        else:
            self.assertTrue(head is None or 0 < head.size <= len(data))
