"""Tests of request lines and authorities."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.refusals import (
    BAD_HOST,
    BAD_LINE_END,
    BAD_METHOD,
    BAD_REQUEST_LINE,
    BAD_TARGET,
    BAD_VERSION,
    HOST_MISMATCH,
    METHOD_NOT_ALLOWED,
    MISDIRECTED,
    TARGET_TOO_LONG,
    MessageRefused,
)
from warp_twisted.http1.target import Authority, check_same_authority, parse_authority, parse_request_line


class RequestLineTests(SynchronousTestCase):
    """`parse_request_line`."""

    def test_forms(self) -> None:
        """Origin-form, absolute-form and asterisk-form are read; an absolute target is cut to its path."""
        cases = [
            (b"GET /a?b=%20 HTTP/1.1", b"/a?b=%20", None),
            (b"GET //a HTTP/1.0", b"//a", None),
            (b"OPTIONS * HTTP/1.1", b"*", None),
            (b"GET http://app.example/a?b HTTP/1.1", b"/a?b", Authority("app.example", 0)),
            (b"GET HTTP://App.Example.:80 HTTP/1.1", b"/", Authority("app.example", 80)),
            (b"GET http://app.example?q HTTP/1.1", b"/?q", Authority("app.example", 0)),
            (b"OPTIONS http://app.example HTTP/1.1", b"*", Authority("app.example", 0)),
            (b"VERSION-CONTROL /a HTTP/1.1", b"/a", None),
        ]
        for line, target, authority in cases:
            read = parse_request_line(line, "http", 100)
            self.assertEqual((read.target, read.authority), (target, authority), line)

    def test_refusals(self) -> None:
        """Each way to be wrong has its refusal."""
        cases = [
            (b"", BAD_REQUEST_LINE),
            (b"GET /", BAD_REQUEST_LINE),
            (b"GET  / HTTP/1.1", BAD_REQUEST_LINE),
            (b" GET / HTTP/1.1", BAD_REQUEST_LINE),
            (b"GET / HTTP/1.1 ", BAD_REQUEST_LINE),
            (b"GET /a b HTTP/1.1", BAD_REQUEST_LINE),
            (b"GE(T / HTTP/1.1", BAD_REQUEST_LINE),
            (b"GET / http/1.1", BAD_REQUEST_LINE),
            (b"GET / HTTP/1.10", BAD_REQUEST_LINE),
            (b"GET / HTTP/11", BAD_REQUEST_LINE),
            (b"GET / HTTPS/1.1", BAD_REQUEST_LINE),
            (b"GET\t/ HTTP/1.1", BAD_LINE_END),
            (b"GET /\x00 HTTP/1.1", BAD_LINE_END),
            (b"GET /\r HTTP/1.1", BAD_LINE_END),
            (b"GET / HTTP/1.2", BAD_VERSION),
            (b"GET / HTTP/0.9", BAD_VERSION),
            (b"PRI * HTTP/2.0", BAD_VERSION),
            (b"get / HTTP/1.1", BAD_METHOD),
            (b"Head / HTTP/1.1", BAD_METHOD),
            (b"trace / HTTP/1.1", METHOD_NOT_ALLOWED),
            (b"A" * 33 + b" / HTTP/1.1", BAD_METHOD),
            (b"CONNECT app.example:443 HTTP/1.1", METHOD_NOT_ALLOWED),
            (b"CONNECT / HTTP/1.1", METHOD_NOT_ALLOWED),
            (b"TRACE / HTTP/1.1", METHOD_NOT_ALLOWED),
            (b"GET " + b"/" * 101 + b" HTTP/1.1", TARGET_TOO_LONG),
            (b"GET * HTTP/1.1", BAD_TARGET),
            (b"GET a HTTP/1.1", BAD_TARGET),
            (b"GET app.example:80 HTTP/1.1", BAD_TARGET),
            (b"GET /a#b HTTP/1.1", BAD_TARGET),
            (b"GET /\xc3\xa9 HTTP/1.1", BAD_TARGET),
            (b"GET ftp://app.example/ HTTP/1.1", BAD_TARGET),
            (b"GET http:/app.example/ HTTP/1.1", BAD_TARGET),
            (b"GET https://app.example/ HTTP/1.1", MISDIRECTED),
            (b"GET http:///a HTTP/1.1", BAD_HOST),
            (b"GET http://user@app.example/ HTTP/1.1", BAD_HOST),
            (b"GET http://user:pw@app.example/ HTTP/1.1", BAD_HOST),
        ]
        for line, refusal in cases:
            with self.assertRaises(MessageRefused, msg=line) as caught:
                parse_request_line(line, "http", 100)
            self.assertIs(caught.exception.refusal, refusal, line)


class AuthorityTests(SynchronousTestCase):
    """`parse_authority` and the comparison of two."""

    def test_hosts(self) -> None:
        """Names, addresses and ports are read; the normal form is lower case without a trailing dot."""
        cases = {
            b"App.Example": ("app.example", 0),
            b"app.example.:8443": ("app.example", 8443),
            b"_a.b_c": ("_a.b_c", 0),
            b"127.0.0.1:80": ("127.0.0.1", 80),
            b"[2001:DB8::1]:80": ("[2001:db8::1]", 80),
        }
        for value, (host, port) in cases.items():
            self.assertEqual(parse_authority(value), Authority(host, port))

    def test_refusals(self) -> None:
        """What is no host, or could be taken for two, is refused."""
        for value in (
            b"",
            b".",
            b"a..b",
            b".a",
            b"a b",
            b"a,b",
            b"a@b",
            b"a/b",
            b"a%2eb",
            b"a:b",
            b"a:",
            b"a:65536",
            b"a:80:80",
            b"[::1",
            b"::1",
            b"a\tb",
            b"\xc3\xa9",
            b"a" * 64,
            b".".join([b"a" * 60] * 5),
        ):
            with self.assertRaises(MessageRefused, msg=value) as caught:
                parse_authority(value)
            self.assertIs(caught.exception.refusal, BAD_HOST)

    def test_default_port_is_the_same_authority(self) -> None:
        """A port left out is the scheme's."""
        check_same_authority(Authority("a", 0), Authority("a", 80), "http")
        check_same_authority(Authority("a", 443), Authority("a", 0), "https")

    def test_another_authority_is_refused(self) -> None:
        """Another host or another port is a mismatch."""
        for other in (Authority("b", 0), Authority("a", 81)):
            with self.assertRaises(MessageRefused) as caught:
                check_same_authority(Authority("a", 0), other, "http")
            self.assertIs(caught.exception.refusal, HOST_MISMATCH)
