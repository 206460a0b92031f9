"""Tests of the lines that tell an origin about its visitor."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.http1.forwarding import Forwarding


class ForwardingTests(SynchronousTestCase):
    """The lines for one request."""

    def test_ipv4(self) -> None:
        """Each fact is said once in each dialect."""
        self.assertEqual(
            Forwarding("192.0.2.7", "https").lines(b"app.example:8443"),
            b"X-Forwarded-For: 192.0.2.7\r\n"
            b"X-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: app.example:8443\r\n"
            b'Forwarded: for=192.0.2.7;proto=https;host="app.example:8443"\r\n'
            b"Via: 1.1 warp\r\n",
        )

    def test_ipv6_is_quoted(self) -> None:
        """RFC 7239 §6: an IPv6 address stands in brackets and quotes."""
        lines = Forwarding("2001:db8::1", "http").lines(b"app.example")
        self.assertIn(b"X-Forwarded-For: 2001:db8::1\r\n", lines)
        self.assertIn(b'Forwarded: for="[2001:db8::1]";proto=http;', lines)

    def test_via_can_be_left_out(self) -> None:
        """Without a pseudonym no Via is sent."""
        self.assertNotIn(b"Via", Forwarding("192.0.2.7", "http", "").lines(b"app.example"))
