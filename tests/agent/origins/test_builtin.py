"""Tests of `warp_twisted.agent.origins.builtin`: requests in, answers out, without a socket."""

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.builtin import BuiltInOrigin, parse_hello, parse_status
from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.errors import InvalidSettings

ADDRESS = IPv4Address("TCP", "127.0.0.1", 0)


def answer(origin: BuiltInOrigin, request: bytes) -> bytes:
    """Return what a built-in origin answers to the bytes of a request."""
    protocol = origin.access(Clock()).factory.buildProtocol(ADDRESS)
    assert protocol is not None
    transport = StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(request)
    found: bytes = transport.value()
    return found


class HelloTests(SynchronousTestCase):
    """`hello-world`."""

    origin = parse_hello("hello-world", OriginRequest())

    def test_text(self) -> None:
        """Those who do not ask for HTML get the request as text, headers included."""
        page = answer(self.origin, b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-Test: 1\r\nConnection: close\r\n\r\n")
        self.assertTrue(page.startswith(b"HTTP/1.1 200 OK\r\n"), page)
        self.assertIn(b"Hello from Warp: GET /a?b\n", page)
        self.assertIn(b"X-Test: 1\n", page)
        self.assertIn(b"Cache-Control: no-store", page)

    def test_html_is_escaped(self) -> None:
        """What a visitor sends is text on the page."""
        page = answer(
            self.origin,
            b"GET /<b> HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\nX: <script>\r\nConnection: close\r\n\r\n",
        )
        self.assertIn(b"<code>/&lt;b&gt;</code>", page)
        self.assertNotIn(b"<script>", page)

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body."""
        head, _, body = answer(self.origin, b"HEAD / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: ", head)
        self.assertEqual(body, b"")

    def test_body_is_thrown_away(self) -> None:
        """A form is not parsed, and its type is shown like any header."""
        page = answer(
            self.origin,
            b"POST / HTTP/1.0\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\nabc",
        )
        self.assertIn(b"Content-Type: multipart/form-data; boundary=x\n", page)

    def test_alone(self) -> None:
        """Nothing may follow the word."""
        self.assertRaises(InvalidSettings, parse_hello, "hello-world:1", OriginRequest())


class StatusTests(SynchronousTestCase):
    """`http_status:`."""

    def test_status(self) -> None:
        """The answer is the status and its reason, and nothing where a status has no body."""
        for service, line, body in (
            ("http_status:404", b"HTTP/1.0 404 Not Found", b"404 Not Found\n"),
            ("http_status:204", b"HTTP/1.0 204 No Content", b""),
        ):
            head, _, found = answer(parse_status(service, OriginRequest()), b"GET / HTTP/1.0\r\n\r\n").partition(
                b"\r\n\r\n"
            )
            self.assertEqual((head.partition(b"\r\n")[0], found), (line, body))

    def test_refused(self) -> None:
        """Numbers that are no final status are refused."""
        for service in ("http_status:", "http_status:101", "http_status:99", "http_status:299x", "http_status:799"):
            self.assertRaises(InvalidSettings, parse_status, service, OriginRequest())
