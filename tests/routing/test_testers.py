"""Tests of `warp_twisted.routing.testers`."""

from time import process_time

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.document.testers import Testers as TestersDocument
from warp_twisted.policy.interfaces import Identity
from warp_twisted.policy.sources.prefixes import PrefixSet
from warp_twisted.policy.visitor import Visitor
from warp_twisted.routing.layout import NOBODY
from warp_twisted.routing.testers import Testers

NAMES = ("release=stable", "release in (a,b)", "")
OFFICE = 1, PrefixSet.of(["192.0.2.0/24"])
INSIDE, OUTSIDE = Visitor("192.0.2.7", "192.0.2.7"), Visitor("203.0.113.9", "203.0.113.9")
ALICE = Identity("basic", "alice")
HOST = b"Host: a.example\r\n"


def testers(**keys: object) -> Testers:
    """Return compiled testers, by a field unless told otherwise."""
    keys = {"sources": ["192.0.2.0/24"], "header": "X-Release", **keys}
    document = msgspec.convert({key: value for key, value in keys.items() if value is not None}, TestersDocument)
    return Testers(document, NAMES, OFFICE if document.sources is not None else None)


class FieldTests(SynchronousTestCase):
    """A field that chooses."""

    def chosen(self, *lines: bytes, of: Testers | None = None, visitor: Visitor = INSIDE) -> tuple[int, bytes]:
        """Return what some field lines choose, and what is left of them behind Host."""
        section = HOST + b"".join(line + b"\r\n" for line in lines)
        share, left = (of or testers()).choose(section, visitor, ())
        self.assertEqual(left[: len(HOST)], HOST)
        return share, left[len(HOST) :]

    def test_each_share(self) -> None:
        """A share is chosen by its selector, letter by letter; the one for all others by the name it is shown with."""
        for value, share in (
            (b"release=stable", 0),
            (b"release in (a,b)", 1),
            (b"(all others)", 2),
            (b"release==stable", NOBODY),
            (b"release=stable,", NOBODY),
            (b"Release=stable", NOBODY),
            (b"release in (b,a)", NOBODY),
            (b"", NOBODY),
        ):
            self.assertEqual(self.chosen(b"X-Release: " + value, b"A: b"), (share, b"A: b\r\n"), value)
        self.assertEqual(self.chosen(b"x-release:\t release=stable \t"), (0, b""))

    def test_nothing_chosen(self) -> None:
        """A request without the field keeps its lines as they are, the same object."""
        section = HOST + b"A: X-Release: release=stable\r\nX-Released: release=stable\r\n"
        share, left = testers().choose(section, INSIDE, ())
        self.assertEqual(share, NOBODY)
        self.assertIs(left, section)

    def test_ambiguous(self) -> None:
        """Two fields, or one that only some servers take for this one, choose nothing and reach nobody."""
        for lines in (
            (b"X-Release: release=stable", b"X-Release: release=stable"),
            (b"X-Release: release=stable", b"x_release: release in (a,b)"),
            (b"X_Release: release=stable",),
            (b"X.Release: release=stable",),
        ):
            self.assertEqual(self.chosen(*lines), (NOBODY, b""), lines)

    def test_who(self) -> None:
        """An address or an identity is enough; from others the field is taken out and chooses nothing."""
        line = b"X-Release: release=stable"
        self.assertEqual(self.chosen(line, visitor=OUTSIDE), (NOBODY, b""))
        self.assertEqual(self.chosen(line, visitor=Visitor("unix", "unix")), (NOBODY, b""))
        section = HOST + line + b"\r\n"
        both = testers(identities=["basic:alice", "jwt:bob"])
        only = testers(identities=["basic:alice"], sources=None)
        for of, visitor, identities, share in (
            (both, OUTSIDE, (ALICE,), 0),
            (both, OUTSIDE, (Identity("jwt", "eve"), Identity("jwt", "bob")), 0),
            (both, INSIDE, (), 0),
            (both, OUTSIDE, (Identity("jwt", "alice"), Identity("basic", "bob")), NOBODY),
            (only, INSIDE, (), NOBODY),
            (only, OUTSIDE, (ALICE,), 0),
        ):
            self.assertEqual(of.choose(section, visitor, identities), (share, HOST), (visitor.address, identities))

    @given(st.lists(st.sampled_from([b"X-Release", b"x-RELEASE", b"X_Release", b"Via", b"A"]), max_size=5), st.data())
    def test_any_lines(self, names: list[bytes], data: st.DataObject) -> None:
        """Whatever is sent: no twin of the field is left, everything else is, and only an exact value chooses."""
        value = st.sampled_from([b"release=stable", b"release in (a,b)", b"x", b"", b"(all others)"])
        lines = [(name, data.draw(value)) for name in names]
        share, left = self.chosen(*(b"%b: %b" % line for line in lines))
        kept = [b"%b: %b\r\n" % line for line in lines if line[0] in (b"Via", b"A")]
        self.assertEqual(left, b"".join(kept))
        sent = [line for line in lines if line[0] not in (b"Via", b"A")]
        known = {b"release=stable": 0, b"release in (a,b)": 1, b"(all others)": 2}
        is_plain = len(sent) == 1 and sent[0][0].lower() == b"x-release"
        self.assertEqual(share, known.get(sent[0][1], NOBODY) if is_plain else NOBODY)

    def test_price(self) -> None:
        """The largest head, with the field or with nothing but such cookies, is read in far less than 5 ms."""
        fields = b"".join(b"A-%d: %b\r\n" % (number, b"x" * 600) for number in range(98)) + b"X-Release: x\r\n"
        cookies = b"Cookie: " + b"; ".join([b"warp_release=x"] * 4_000) + b"\r\n"
        for of, lines in ((testers(), fields), (testers(header=None, cookie="warp_release"), cookies)):
            took = []
            for _ in range(5):
                began = process_time()
                self.assertEqual(of.choose(HOST + lines, INSIDE, ())[0], NOBODY)
                took.append(process_time() - began)
            self.assertLess(min(took), 0.005)


class CookieTests(SynchronousTestCase):
    """A cookie that chooses."""

    def test_cookie(self) -> None:
        """One cookie chooses; it is taken out, whoever sent it, and all others stay."""
        by_cookie = testers(header=None, cookie="warp_release")
        for cookies, share, left in (
            (b"warp_release=release=stable", NOBODY + 1, b""),
            (b"a=b; warp_release=release in (a,b); c=d", 1, b"Cookie: a=b; c=d\r\n"),
            (b"warp_release=release=stable; warp_release=release=stable", NOBODY, b""),
            (b"warp_release=nothing; c=d", NOBODY, b"Cookie: c=d\r\n"),
            (b"other=warp_release=release=stable", NOBODY, b"Cookie: other=warp_release=release=stable\r\n"),
        ):
            section = HOST + b"Cookie: " + cookies + b"\r\n"
            found, lines = by_cookie.choose(section, INSIDE, ())
            self.assertEqual((found, lines.replace(b"Cookie:  ", b"Cookie: ")), (share, HOST + left), cookies)
            self.assertEqual(by_cookie.choose(section, OUTSIDE, ()), (NOBODY, lines))
        self.assertEqual(by_cookie.told_by, "cookie warp_release")
        self.assertEqual((testers().told_by, testers(taken_back=True).may_take_back), ("header X-Release", True))
