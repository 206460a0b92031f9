"""Tests of `warp_twisted.routing.cookies`."""

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing import cookies
from warp_twisted.routing.cookies import LENGTH, CookieKeys, Kept, address_draw, agent_number, take_cookies

NAME = b"warp_route"
USUAL = b" warp_route="
NOW = 1_800_000_030.0
PIECES = [b"Cookie: ", b"cookie:", b"X: ", b"warp_route=1", b"; ", b";", b"a=b", b"warp_route", b"=", b"\r\n"]


class CookieTests(SynchronousTestCase):
    """What a visitor carries."""

    def setUp(self) -> None:
        self.keys = CookieKeys([(7, b"k" * 32)])
        self.value = self.keys.written("app.example", NAME, 0x0123456789ABCDEF, 42, NOW)

    def test_read_back(self) -> None:
        """A cookie says what was written, to the minute."""
        kept = self.keys.read("app.example", NAME, self.value)
        self.assertEqual(kept, Kept(0x0123456789ABCDEF, 42, 1_800_000_000.0, is_current=True))
        self.assertEqual(len(self.value), LENGTH)

    def test_forged(self) -> None:
        """A cookie with any character changed, of another hostname, name or key, says nothing."""
        for at in range(LENGTH):
            changed = b"B" if self.value[at : at + 1] == b"A" else b"A"
            forged = self.value[:at] + changed + self.value[at + 1 :]
            self.assertIsNone(self.keys.read("app.example", NAME, forged), at)
        self.assertIsNone(self.keys.read("other.example", NAME, self.value))
        self.assertIsNone(self.keys.read("app.example", b"other", self.value))
        self.assertIsNone(CookieKeys([(7, b"x" * 32)]).read("app.example", NAME, self.value))
        self.assertIsNone(CookieKeys([(8, b"k" * 32)]).read("app.example", NAME, self.value))

    def test_rotation(self) -> None:
        """With a new key, cookies of the one before still say what they said, and that they want to be written anew."""
        rotated = CookieKeys([(8, b"n" * 32), (7, b"k" * 32)])
        kept = rotated.read("app.example", NAME, self.value)
        assert kept is not None
        self.assertEqual((kept.draw, kept.agent, kept.is_current), (0x0123456789ABCDEF, 42, False))
        again = rotated.read("app.example", NAME, rotated.written("app.example", NAME, kept.draw, kept.agent, NOW))
        assert again is not None
        self.assertTrue(again.is_current)
        self.assertIsNone(self.keys.read("app.example", NAME, rotated.written("app.example", NAME, 1, 1, NOW)))

    @given(st.binary(max_size=80))
    @example(b"*" * LENGTH)
    @example(b"A" * LENGTH)
    @example(b"\xff" * LENGTH)
    @example(b"====" * 14)
    def test_any_value(self, value: bytes) -> None:
        """Whatever a visitor sends is no cookie of ours."""
        self.assertIsNone(self.keys.read("app.example", NAME, value))

    def test_numbers(self) -> None:
        """Agents have numbers other than 0; an address has a draw for each hostname, the same at every edge."""
        self.assertNotEqual(agent_number("a"), agent_number("b"))
        self.assertGreater(agent_number("a"), 0)
        draws = {
            address_draw(hostname, network)
            for hostname in ("a.example", "b.example")
            for network in ("192.0.2.1", "192.0.2.2")
        }
        self.assertEqual(len(draws), 4)

    def test_remembered(self) -> None:
        """What was read once is not verified again; it says no more for another hostname, and memory is bounded."""
        for _ in range(2):
            self.assertIsNotNone(self.keys.read("app.example", NAME, self.value))
            self.assertIsNone(self.keys.read("other.example", NAME, self.value))
        self.patch(cookies, "MAX_REMEMBERED", 10)
        for draw in range(50):
            self.keys.read("app.example", NAME, self.keys.written("app.example", NAME, draw, 1, NOW))
            self.assertLessEqual(len(self.keys._read), 10)


class TakeTests(SynchronousTestCase):
    """Cookies in a request."""

    def test_taken(self) -> None:
        """The cookie goes, others stay as they came, and a field that held nothing else goes with it."""
        for lines, values, left in (
            (b"Host: a\r\nCookie: warp_route=1\r\nX: y\r\n", [b"1"], b"Host: a\r\nX: y\r\n"),
            (b"Host: a\r\nCookie: a=b; warp_route=1; c=d\r\n", [b"1"], b"Host: a\r\nCookie: a=b; c=d\r\n"),
            (b"cookie:warp_route=1;a=b\r\n", [b"1"], b"cookie:a=b\r\n"),
            (b"COOKIE: a=b;warp_route=1\r\n", [b"1"], b"COOKIE: a=b\r\n"),
            (b"Cookie: warp_route=1; a=b\r\n", [b"1"], b"Cookie: a=b\r\n"),
            (b"Cookie: warp_route=1\r\nCookie: warp_route=2\r\nA: b\r\n", [b"1", b"2"], b"A: b\r\n"),
            (b"Cookie: warp_route=1; warp_route=2\r\n", [b"1", b"2"], b""),
            (b"Cookie: warp_route =1\r\n", [b"1"], b""),
            (b"Cookie: warp_route\r\n", [b""], b""),
        ):
            self.assertEqual(take_cookies(lines, NAME, USUAL), (values, left), lines)

    def test_spelt_as_usual(self) -> None:
        """The quick way, for a cookie as edges write it, does the same as the slow one."""
        value = b"A" * LENGTH
        usual = b"warp_route=" + value
        for lines in (
            b"Host: a\r\nCookie: %b\r\nX: y\r\n",
            b"Host: a\r\nCookie: a=b; %b\r\nX: y\r\n",
            b"Host: a\r\nCookie: %b; a=b\r\n",
            b"Host: a\r\nCookie: a=b; %b; c=d\r\n",
            b"Host: a\r\nX-Cookie: a=b; %b; c=d\r\n",
            b"Host: a\r\ncookie: a=b; %b; c=d\r\n",
            b"Host: a\r\nCookie: a=b; my%b; c=d\r\n",
            b"Host: a\r\nCookie: a=b; %bB; c=d\r\n",
            b"Host: a\r\nCookie: a=b;  %b; c=d\r\n",
            b"Host: a\r\nCookie: a=b; %b;c=d\r\n",
            b"Host: a\r\nCookie: a=b %b\r\n",
            b"Host: a\r\nCookie: a=b: %b; c=d\r\n",
            b"Host: a\r\nCookie: a=b: %b\r\n",
            b"Host: a\r\nCookie: %b \r\n",
            b"Host: a\r\nCookie:  %b\r\n",
            b"Host: a\r\nCookie: a=b;warp_route=x; %b; c=d\r\n",
            b"Host: a\r\nCookie:warp_route=x\r\nCookie: %b\r\n",
        ):
            given = lines % usual
            at = given.find(NAME)
            self.assertEqual([*take_cookies(given, NAME, USUAL)[0]], [*cookies._take_each(given, NAME, at)[0]], given)
            self.assertEqual(take_cookies(given, NAME, USUAL)[1], cookies._take_each(given, NAME, at)[1], given)

    def test_left(self) -> None:
        """What only looks alike stays."""
        for lines in (
            b"Host: a\r\n",
            b"Host: a\r\nCookie: my_warp_route=1; warp_route2=3; x=warp_route\r\n",
            b"X-Cookie: warp_route=1\r\nReferer: /?warp_route=1\r\n",
            b"Host: warp_route\r\n",
        ):
            values, left = take_cookies(lines, NAME, USUAL)
            self.assertEqual(([*values], left), ([], lines), lines)

    def test_bounded(self) -> None:
        """Of many cookies with the name a few are looked at, and all of them go."""
        lines = b"Cookie: " + b"; ".join([b"warp_route=x"] * 1_000) + b"\r\n"
        values, left = take_cookies(lines, NAME, USUAL)
        self.assertEqual((len(values), left), (4, b""))

    @given(st.lists(st.sampled_from(PIECES), max_size=30))
    def test_any_lines(self, pieces: list[bytes]) -> None:
        """Whatever the fields are, none of the cookies is left, and what is no Cookie field stays."""
        lines = b"Host: a\r\n" + b"".join(pieces) + b"\r\n"
        _, left = take_cookies(lines, NAME, USUAL)
        values, again = take_cookies(left, NAME, USUAL)
        self.assertEqual(([*values], again), ([], left))
        for line in lines.split(b"\r\n"):
            if not line.lower().startswith(b"cookie:"):
                self.assertIn(line, left.split(b"\r\n"))
