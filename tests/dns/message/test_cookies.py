"""Tests of `warp_dns.message.cookies`, with the examples of RFC 9018 appendix A."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from warp_dns.errors import InvalidSettings
from warp_dns.message.cookies import CookieJar, CookieState, parse_secrets

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
ADDRESS = socket.inet_aton("198.51.100.100")
CLIENT = bytes.fromhex("2464c4abcf10c957")
MADE_AT = 1559731985


class CookieTests(SynchronousTestCase):
    """Server cookies."""

    def setUp(self) -> None:
        """Make a jar with the RFC's secret."""
        self.jar = CookieJar([SECRET])

    def test_a_new_cookie_is_the_rfcs(self) -> None:
        """RFC 9018 A.1: the first cookie for a client."""
        cookie = self.jar.make(CLIENT, ADDRESS, MADE_AT)
        self.assertEqual(cookie.hex(), "2464c4abcf10c957010000005cf79f111f8130c3eee29480")

    def test_an_old_cookie_is_renewed(self) -> None:
        """RFC 9018 A.2: after forty minutes the cookie holds, and a new one is due."""
        cookie = self.jar.make(CLIENT, ADDRESS, MADE_AT)
        self.assertIs(self.jar.state_of(cookie, ADDRESS, MADE_AT + 1800), CookieState.VALID)
        self.assertIs(self.jar.state_of(cookie, ADDRESS, MADE_AT + 2400), CookieState.AGING)
        renewed = self.jar.make(CLIENT, ADDRESS, MADE_AT + 2400)
        self.assertEqual(renewed.hex(), "2464c4abcf10c957010000005cf7a871d4a564a1442aca77")

    def test_reserved_octets_are_hashed_only(self) -> None:
        """RFC 9018 A.3: a cookie with reserved octets set is ours all the same."""
        cookie = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
        address = socket.inet_aton("203.0.113.203")
        self.assertIs(self.jar.state_of(cookie, address, 0x5CF78F71 + 60), CookieState.VALID)

    def test_a_secret_can_be_replaced(self) -> None:
        """RFC 9018 A.4: cookies of the old secret hold while it is listed second, over IPv6 as well."""
        old = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
        new = bytes.fromhex("445536bcd2513298075a5d379663c962")
        address = socket.inet_pton(socket.AF_INET6, "2001:db8:220:1:59de:d0f4:8769:82b8")
        cookie = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
        now = 0x5CF7C609
        self.assertIs(CookieJar([new, old]).state_of(cookie, address, now), CookieState.VALID)
        self.assertIs(CookieJar([new]).state_of(cookie, address, now), CookieState.UNPROVEN)
        self.assertEqual(
            CookieJar([new, old]).make(cookie[:8], address, now).hex(),
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
        )

    def test_what_is_not_ours_proves_nothing(self) -> None:
        """A client cookie alone, another address, another version, a changed octet or another size do not count."""
        cookie = self.jar.make(CLIENT, ADDRESS, MADE_AT)
        self.assertIs(self.jar.state_of(CLIENT, ADDRESS, MADE_AT), CookieState.UNPROVEN)
        self.assertIs(self.jar.state_of(cookie, b"\1\2\3\4", MADE_AT), CookieState.UNPROVEN)
        self.assertIs(self.jar.state_of(cookie[:-1], ADDRESS, MADE_AT), CookieState.UNPROVEN)
        for at in (0, 8, 9, 23):
            changed = bytearray(cookie)
            changed[at] ^= 1
            self.assertIs(self.jar.state_of(bytes(changed), ADDRESS, MADE_AT), CookieState.UNPROVEN)

    def test_time_has_two_ends(self) -> None:
        """A cookie holds for an hour, and from five minutes before it was made; counters may wrap."""
        for made_at in (MADE_AT, 2**32 - 100):
            cookie = self.jar.make(CLIENT, ADDRESS, made_at)
            self.assertIs(self.jar.state_of(cookie, ADDRESS, made_at + 3600), CookieState.AGING)
            self.assertIs(self.jar.state_of(cookie, ADDRESS, made_at + 3601), CookieState.UNPROVEN)
            self.assertIs(self.jar.state_of(cookie, ADDRESS, made_at - 300), CookieState.VALID)
            self.assertIs(self.jar.state_of(cookie, ADDRESS, made_at - 301), CookieState.UNPROVEN)

    def test_secrets_are_read_and_not_shown(self) -> None:
        """Secrets are lines of 32 hexadecimal digits; other lines and sizes are refused, and none is in a repr."""
        self.assertEqual(parse_secrets(f"{SECRET.hex()}\n\n{SECRET.hex()}\n"), [SECRET, SECRET])
        for text in ("nonsense", SECRET.hex()[:-1]):
            self.assertRaises(InvalidSettings, parse_secrets, text)
        for secrets in ([], [SECRET[:-1]]):
            self.assertRaises(InvalidSettings, CookieJar, secrets)
        self.assertNotIn(repr(SECRET), repr(self.jar))
