"""Tests of asking an origin under another name, and of what is mapped between the two."""

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.http1.host_rewriting import MAPPED_LINES, BadHostHeader, HostRewriting, parse_rewriting

VISITED = b"app.example"


def request(*lines: bytes, host: bytes = VISITED, body: bytes = b"") -> bytes:
    """Return a request as the edge writes it."""
    return b"\r\n".join([b"POST /a HTTP/1.1", b"Host: " + host, *lines, b"X-Request-Id: 1", b"", body])


def answer(*lines: bytes) -> bytes:
    """Return the head of an answer as its reader hands it on."""
    return b"".join(line + b"\r\n" for line in (b"HTTP/1.1 302 Found", *lines))


class HostAloneTests(SynchronousTestCase):
    """A host without a scheme."""

    def test_only_host(self) -> None:
        """Host is replaced and nothing else, whatever the head and the body say."""
        rewriting = HostRewriting(b"internal:8000")
        sent = request(b"Origin: https://app.example", b"Referer: https://app.example/", body=b"Host: x\r\n\r\n")
        got = rewriting.request(sent, "https", VISITED)
        self.assertEqual(got, sent.replace(b"\r\nHost: app.example\r\n", b"\r\nHost: internal:8000\r\n"))
        head = answer(b"Location: http://internal:8000/b", b"Set-Cookie: a=b; Domain=internal")
        self.assertEqual(rewriting.answer(head, "https", VISITED), head)

    def test_read(self) -> None:
        """Hosts with and without a port are read; nothing asks for nothing; what is no host is refused."""
        self.assertIsNone(parse_rewriting("", ""))
        self.assertIsNone(parse_rewriting("", "http"))
        self.assertEqual(parse_rewriting("[::1]:80", "http"), HostRewriting(b"[::1]:80", b"http"))
        for text in ("a b", "a\r\nX: y", "a:99999", "a/b", "u@a", "a,b", "ä", "\udc80", "*.a"):
            self.assertRaises(BadHostHeader, parse_rewriting, text, "")


class RequestTests(SynchronousTestCase):
    """What is mapped of a request."""

    rewriting = HostRewriting(b"localhost:3000", b"http")

    def mapped(self, line: bytes, scheme: str = "https", authority: bytes = VISITED) -> bytes:
        """Return a line of a request as the origin gets it."""
        got = self.rewriting.request(request(line, host=authority), scheme, authority).split(b"\r\n")
        self.assertEqual(got[:2], [b"POST /a HTTP/1.1", b"Host: localhost:3000"])
        self.assertEqual(got[3:], [b"X-Request-Id: 1", b"", b""])
        return got[2]

    def test_own_site(self) -> None:
        """Origin and Referer of the visited site become the origin's own, in any case and with the port spelt out."""
        for line, expected in (
            (b"Origin: https://app.example", b"Origin: http://localhost:3000"),
            (b"ORIGIN:  https://APP.example:443", b"ORIGIN: http://localhost:3000"),
            (b"Referer: https://app.example/x?y=https://app.example", b"Referer: http://localhost:3000/x?y=https://app.example"),
            (b"Referer: https://app.example", b"Referer: http://localhost:3000"),
        ):  # fmt: skip
            self.assertEqual(self.mapped(line), expected)
        line = b"Origin: http://app.example:8080"
        self.assertEqual(self.mapped(line, "http", b"App.example:8080"), b"Origin: http://localhost:3000")

    def test_other_sites(self) -> None:
        """Other sites stay what they are, and so do other ports, other schemes, and names that only begin alike."""
        for line in (
            b"Origin: https://evil.example", b"Origin: null", b"Origin: http://app.example",
            b"Origin: https://app.example:8443", b"Origin: https://app.example.evil", b"Origin: https://x@app.example",
            b"Referer: https://evil.example/https://app.example/", b"Referer: /local", b"Referer: //app.example/",
            b"Originx: https://app.example", b"Referer2: https://app.example", b"X-Origin: https://app.example",
        ):  # fmt: skip
            self.assertEqual(self.mapped(line), line)

    def test_body(self) -> None:
        """What follows the head is passed on as it is."""
        body = b"Origin: https://app.example\r\n\r\nOrigin: https://app.example\r\n"
        got = self.rewriting.request(request(b"A: b", body=body), "https", VISITED)
        self.assertTrue(got.endswith(b"\r\n\r\n" + body), got)


class AnswerTests(SynchronousTestCase):
    """What is mapped of an answer."""

    rewriting = HostRewriting(b"localhost:3000", b"http")

    def mapped(
        self, line: bytes, scheme: str = "https", authority: bytes = VISITED, rewriting: HostRewriting | None = None
    ) -> bytes:
        """Return a line of an answer as the visitor gets it."""
        got = (rewriting or self.rewriting).answer(answer(b"A: b", line), scheme, authority)
        self.assertTrue(got.startswith(answer(b"A: b")))
        return got.removeprefix(answer(b"A: b")).removesuffix(b"\r\n")

    def test_urls(self) -> None:
        """Whole URLs of the origin become the visitor's: in the origin's own scheme, in the visitor's, or in none."""
        for url, expected in (
            (b"http://localhost:3000/b?c#d", b"https://app.example/b?c#d"),
            (b"https://localhost:3000/b", b"https://app.example/b"),
            (b"http://LOCALHOST:3000", b"https://app.example"),
            (b"//localhost:3000/b", b"//app.example/b"),
        ):
            for name in (b"Location", b"content-location", b"Access-Control-Allow-Origin"):
                self.assertEqual(self.mapped(name + b": " + url), name + b": " + expected)

    def test_other_urls(self) -> None:
        """Relative ones, other hosts and ports stay as they are, and other fields do."""
        for line in (
            b"Location: /b", b"Location: b", b"Location: http://localhost/", b"Location: http://localhost:30000/",
            b"Location: http://localhost:3000.evil.example/", b"Location: http://x@localhost:3000/",
            b"Location: https://other.example/?http://localhost:3000/", b"Access-Control-Allow-Origin: *",
            b"Link: <http://localhost:3000/>; rel=next", b"X-Location: http://localhost:3000/", b"Location:",
        ):  # fmt: skip
            self.assertEqual(self.mapped(line), line)

    def test_default_ports(self) -> None:
        """A scheme's own port may be written or left out on either side."""
        for host in (b"internal", b"internal:80"):
            rewriting = HostRewriting(host, b"http")
            for url in (b"http://internal/x", b"http://internal:80/x"):
                found = self.mapped(b"Location: " + url, "http", b"app.example:8080", rewriting)
                self.assertEqual(found, b"Location: http://app.example:8080/x")

    def test_cookies(self) -> None:
        """The origin's own Domain becomes the visited host; one above it goes; others, and the value, stay."""
        rewriting = HostRewriting(b"app.internal:3000", b"http")
        for cookie, expected in (
            (b"a=Domain=app.internal; domain=App.Internal", b"a=Domain=app.internal; domain=app.example"),
            (b"a=b; Domain=.app.internal", b"a=b; Domain=app.example"),
            (b"a=b; Domain=internal; HttpOnly", b"a=b; HttpOnly"),
            (b"a=b; Domain=other.internal", b"a=b; Domain=other.internal"),
            (b"a=b; Path=/", b"a=b; Path=/"),
            (b"a=b; Domain=", b"a=b; Domain="),
            (b"domain=app.internal", b"domain=app.internal"),
        ):  # fmt: skip
            found = self.mapped(b"Set-Cookie: " + cookie, authority=b"app.example:8443", rewriting=rewriting)
            self.assertEqual(found, b"Set-Cookie: " + expected)

    def test_addresses(self) -> None:
        """Origins and visitors at bare addresses, IPv6 too."""
        rewriting = HostRewriting(b"[::1]:3000", b"http")
        found = self.mapped(b"Location: http://[::1]:3000/a", "http", b"[2001:db8::1]", rewriting)
        self.assertEqual(found, b"Location: http://[2001:db8::1]/a")
        found = self.mapped(b"Set-Cookie: a=b; Domain=[::1]", "http", b"[2001:db8::1]:8080", rewriting)
        self.assertEqual(found, b"Set-Cookie: a=b; Domain=[2001:db8::1]")


class PriceTests(SynchronousTestCase):
    """What a head may cost."""

    def test_linear(self) -> None:
        """Twice as many lines, or a line that is twice as long, cost no more than the search for them."""
        rewriting = HostRewriting(b"localhost:3000", b"http")
        for once, repeated in (
            (b"", b"Set-Cookie: a=b; Domain=localhost\r\n"),
            (b"Set-Cookie: a=b", b"; Domain=localhost"),
            (b"", b"Location: http://localhost:3000/\r\n"),
            (b"Location: http://", b"localhost:3000/"),
        ):
            few, many = (
                count_operations(partial(rewriting.answer, answer(once + repeated * size), "https", VISITED))
                for size in (500, 1_000)
            )
            self.assertLess(many, few + 100)

    def test_bounds(self) -> None:
        """Of each kind of line the first are mapped, and the others stay."""
        rewriting = HostRewriting(b"localhost:3000", b"http")
        cookies = [b"Set-Cookie: a=b; Domain=localhost"] * 300
        got = rewriting.answer(answer(*cookies, b"Location: http://localhost:3000/"), "https", VISITED)
        self.assertEqual((got.count(b"Domain=app.example\r"), got.count(b"Domain=localhost\r")), (MAPPED_LINES, 100))
        self.assertTrue(got.endswith(b"\r\nLocation: https://app.example/\r\n"))
