"""Tests of the lines that tell an origin about its visitor."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.forwarding import FACTS, Fact, Forwarding, Statements, parse_statements


class ForwardingTests(SynchronousTestCase):
    """The lines for one request."""

    def test_ipv4(self) -> None:
        """Each fact is said once in each dialect."""
        self.assertEqual(
            Forwarding("192.0.2.7", "https").lines(b"app.example:8443"),
            b"X-Forwarded-For: 192.0.2.7\r\n"
            b"X-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: app.example:8443\r\n"
            b'Forwarded: for=192.0.2.7;proto=https;host="app.example:8443"\r\n',
        )

    def test_ipv6_is_quoted(self) -> None:
        """RFC 7239 §6: an IPv6 address stands in brackets and quotes."""
        lines = Forwarding("2001:db8::1", "http").lines(b"app.example")
        self.assertIn(b"X-Forwarded-For: 2001:db8::1\r\n", lines)
        self.assertIn(b'Forwarded: for="[2001:db8::1]";proto=http;', lines)

    def test_statements(self) -> None:
        """Further fields say address, port and scheme, once each, in the order and spelling of the settings' names."""
        said = parse_statements(["x-real-ip", "X-Forwarded-Port", "CF-Connecting-IP", "X-REAL-IP", "x-scheme"])
        self.assertEqual([name for name, _ in said], ["X-Real-IP", "X-Forwarded-Port", "CF-Connecting-IP", "X-Scheme"])
        lines = Forwarding("2001:db8::1", "https", said, 8443).lines(b"app.example")
        addresses = b"X-Real-IP: 2001:db8::1\r\nX-Forwarded-Port: 8443\r\nCF-Connecting-IP: 2001:db8::1\r\n"
        self.assertTrue(lines.endswith(addresses + b"X-Scheme: https\r\n"))
        self.assertEqual(len(lines.splitlines()), 8)

    def test_each_statement(self) -> None:
        """Every field that can be set is set; the port is left out where there is none."""
        lines = Forwarding("192.0.2.7", "http", parse_statements(FACTS), 0).lines(b"app.example")
        for name, fact in FACTS.items():
            self.assertEqual(b"\r\n%b: " % name.encode() in lines, fact is not Fact.PORT, name)
        self.assertIn(b"X-Forwarded-SSL: off\r\n", lines)

    def test_unknown_statement(self) -> None:
        """A name that the edge has nothing to say in is refused, with those that it has."""
        error = self.assertRaises(ValueError, parse_statements, ["X-Real-IP", "X-Country"])
        self.assertIn("CF-Connecting-IP, ", str(error))
        self.assertIn("got 'X-Country'", str(error))

    def test_port_is_needed(self) -> None:
        """Only who is asked for the port needs to know it."""
        self.assertTrue(Statements(parse_statements(["X-Forwarded-Port"])).needs_port)
        self.assertFalse(Statements(parse_statements(["X-Real-IP"])).needs_port)
